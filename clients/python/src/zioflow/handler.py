"""Handling flows that clients open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from ._connection import EOF, Connection
from ._cut import cut
from ._gen.zio.gateway.v1 import handler_pb2
from ._offer import AnyOffer, Peer, read_offer
from ._retry import ListenerState, Registration
from .errors import EndReason, FlowError, words_of
from .giver import Giver
from .messages import BotOptions, Direction
from .taker import Taker
from .transport import Transport

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Handler", "Listener", "ListenerState", "Offer", "Peer"]

_log = logging.getLogger("zioflow")


class Offer(AnyOffer):
    """A client's BOT that waits for a handler: accept it or decline it."""

    def __init__(self, transport: Transport, **offer: Any) -> None:
        super().__init__(**offer)
        self._transport = transport

    def accept(
        self, attributes: Mapping[str, Any] | None = None, **bot: Unpack[BotOptions]
    ) -> Giver | Taker:
        """The handler's side of the flow, a Giver or a Taker by the direction.

        Entering its block accepts the offer; FlowError with the reason
        `rejected` says that the offer was gone. The arguments are those of the
        handler's BOT, as for `Gateway.give`; the credit agreed is the smaller of
        both sides'.
        """
        if self.direction is Direction.EXTRACT:
            return self.give(attributes, **bot)
        return self.take(attributes, **bot)

    def give(self, attributes: Mapping[str, Any] | None = None, **bot: Unpack[BotOptions]) -> Giver:
        """What accept does, for an offer to give; ValueError if it is one to take."""
        answer = self._answer(Direction.EXTRACT, attributes, bot)
        flow = Giver(self._transport, answer, accepted=self._accepted)
        self._accepting()
        return flow

    def take(self, attributes: Mapping[str, Any] | None = None, **bot: Unpack[BotOptions]) -> Taker:
        """What accept does, for an offer to take; ValueError if it is one to give."""
        answer = self._answer(Direction.INJECT, attributes, bot)
        flow = Taker(self._transport, answer, accepted=self._accepted)
        self._accepting()
        return flow

    async def decline(self, detail: str = "") -> None:
        """Refuses the offer: the client sees `rejected` and the detail, cut to
        1,024 bytes of UTF-8.

        An offer that is gone already needs no refusal: that is no error.
        """
        self._declining()
        await self._transport.decline(self.cid, cut(detail))


#: What handles one flow. See `Gateway.handle`.
Handler = Callable[[Offer], Awaitable[None]]


class Listener:
    """A registration for flows; made by `Gateway.handle`.

    An asynchronous context manager, to be entered once. Entering returns when
    the gateway has registered it: flows opened from then on can reach it.
    Leaving the block stops listening, cancels the handlers that have not
    accepted yet, and waits for the others to end; left by an exception, it
    cancels these too. Leaving raises FlowError if the registration had ended by
    itself.
    """

    def __init__(
        self,
        connection: Connection,
        request: handler_pb2.ListenRequest,
        handler: Handler,
        registration: Registration,
    ) -> None:
        self._connection = connection
        self._request = request
        self._handler = handler
        self._registration = registration
        self._call: Any = None
        self._running: asyncio.Task[None] | None = None
        self._error: FlowError | None = None
        self._leaving = asyncio.Event()
        self._handling: dict[asyncio.Task[None], Offer] = {}
        # Those of them that were cancelled here.
        self._cancelled: set[asyncio.Task[None]] = set()

    async def wait(self) -> None:
        """Waits until the registration ends for good, and raises FlowError that says why.

        Returns if the block is left meanwhile.
        """
        if self._running is None:
            raise RuntimeError("the listener has not been entered")
        await asyncio.wait({self._running})
        if self._error is not None:
            raise self._error._again()

    async def __aenter__(self) -> Listener:
        if self._call is not None:
            raise RuntimeError("a listener can be entered only once")
        await self._register()
        self._running = self._connection.spawn(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._running is not None:
                # Not the task, whose read would leave something of grpc's behind.
                self._leaving.set()
                self._call.cancel()
                await asyncio.wait({self._running})
            if error is None and self._handling:
                await asyncio.wait(self._handling)
        finally:
            for task in self._handling:
                self._cancel(task)
            if self._handling:
                await asyncio.wait(self._handling)
        if self._error is None:
            self._registration.closed()
        if error is None and self._error is not None:
            raise self._error._again()

    async def _register(self) -> None:
        self._call = self._connection.handlers.Listen(self._request)
        try:
            first = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise self._connection.failure(error) from None
        if first is EOF or first.WhichOneof("event") != "listening":
            self._call.cancel()
            raise FlowError(EndReason.UNSPECIFIED, "the gateway did not confirm the listener")
        self._registration.listening()

    async def _run(self) -> None:
        """Takes in offers, and registers again, until that is over; a task of its own."""
        try:
            error: FlowError | None = await self._read()
            while error is not None:
                pause = self._registration.lost(error)
                if pause is None:
                    self._error = error
                    return
                error = await self._again(pause)
        except asyncio.CancelledError:
            pass  # the block was left, the connection closed, or the event loop shuts down

    async def _again(self, pause: float) -> FlowError | None:
        """Registers after a pause; returns why that has ended, None if it is over."""
        if not await self._connection.pause(pause, self._leaving):
            return None
        try:
            await self._register()
        except FlowError as error:
            return error._again()
        return await self._read()

    async def _read(self) -> FlowError:
        """Takes in offers until the stream ends; returns why it did."""
        try:
            while (response := await self._call.read()) is not EOF:
                self._receive(response)
            return FlowError(EndReason.UNSPECIFIED, "the gateway ended the listener")
        except grpc.aio.AioRpcError as error:
            return self._connection.failure(error)
        finally:
            self._call.cancel()
            for task, offer in self._handling.items():
                if offer._pending:
                    self._cancel(task)

    def _receive(self, response: handler_pb2.ListenResponse) -> None:
        event = response.WhichOneof("event")
        if event == "offer":
            offer = Offer(self._connection, **read_offer(response.offer))
            task = asyncio.ensure_future(self._handle(offer))
            self._handling[task] = offer
            task.add_done_callback(self._handled)
        elif event == "withdrawn":
            for task, offer in self._handling.items():
                if offer.cid == response.withdrawn.cid and offer._pending:
                    self._cancel(task)

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._handling.pop(task)
        self._cancelled.discard(task)

    def _cancel(self, task: asyncio.Task[None]) -> None:
        """Ends a handler whose offer is gone, or is about to be withdrawn."""
        self._cancelled.add(task)
        task.cancel()

    async def _handle(self, offer: Offer) -> None:
        try:
            await self._handler(offer)
            if offer._pending:
                await offer.decline("the handler neither accepted nor declined")
        except asyncio.CancelledError as error:
            if asyncio.current_task() not in self._cancelled:
                # What the handler has awaited was cancelled, or the handler by another.
                _log.warning("a handler of flows was cancelled")
                await self._give_up(offer, error)
            raise
        except Exception as error:
            if isinstance(error, FlowError):
                _log.warning("a flow that is handled here ended: %s", error)
            else:
                _log.exception("a handler of flows failed")
            await self._give_up(offer, error)

    async def _give_up(self, offer: Offer, error: BaseException) -> None:
        if offer._pending:
            try:
                await offer.decline(words_of(error) or type(error).__name__)
            except FlowError as failed:
                _log.warning("an offer could not be declined: %s", failed)
