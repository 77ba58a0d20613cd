"""Handling flows that clients open."""

from __future__ import annotations

import asyncio
import datetime
import enum
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from ._connection import EOF, Connection
from ._cut import cut
from ._gen.zio.gateway.v1 import handler_pb2
from ._wire import read_bot
from .errors import EndReason, FlowError, error_from_rpc
from .giver import Giver
from .messages import Bot, BotOptions, Direction, write_bot
from .taker import Taker
from .transport import Transport

if TYPE_CHECKING:
    from typing_extensions import Unpack

_log = logging.getLogger("zioflow")

_Side = TypeVar("_Side", Giver, Taker)

_EPOCH = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)


@dataclass(frozen=True)
class Peer:
    """What is attached to the gateway on one side of a flow."""

    #: "zmq-server", "zmq-router", "grpc" or "builtin".
    transport: str = ""
    #: Its network address, where known.
    address: str = ""
    #: Its name, where it has shown one.
    identity: str = ""


class _State(enum.Enum):
    OPEN = enum.auto()
    ACCEPTING = enum.auto()
    ACCEPTED = enum.auto()
    DELEGATED = enum.auto()
    DECLINED = enum.auto()


class Offer:
    """A client's BOT that waits for a handler: accept it or decline it."""

    #: The client's BOT; its direction is the handler's, its credit the client's
    #: proposal, 0 if it leaves that to the handler.
    bot: Bot
    #: When the offer lapses; the epoch where it was made by other means.
    deadline: datetime.datetime
    #: Who the client is.
    peer: Peer
    #: The token that accepts it, for a handler in another process.
    cid: int

    def __init__(
        self,
        transport: Transport,
        cid: int,
        bot: Bot,
        *,
        deadline: datetime.datetime = _EPOCH,
        peer: Peer | None = None,
    ) -> None:
        self._transport = transport
        self._state = _State.OPEN
        self.bot = bot
        self.deadline = deadline
        self.peer = peer or Peer()
        self.cid = cid

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes of the client's BOT."""
        return self.bot.attributes

    @property
    def direction(self) -> Direction:
        """What the handler has to do: EXTRACT to give, INJECT to take."""
        if self.bot.direction is None:
            raise ValueError("the offer names no direction")
        return self.bot.direction

    def accept(
        self,
        attributes: Mapping[str, Any] | None = None,
        **bot: Unpack[BotOptions],
    ) -> Giver | Taker:
        """The handler's side of the flow, a Giver or a Taker by the direction.

        Entering its block accepts the offer; FlowError with the reason
        `rejected` says that the offer was gone. The arguments are those of the
        handler's BOT, as for `Gateway.give`; the credit agreed is the smaller of
        both sides'.
        """
        if self.direction is Direction.EXTRACT:
            return self._open(Giver, attributes, bot)
        return self._open(Taker, attributes, bot)

    def give(
        self,
        attributes: Mapping[str, Any] | None = None,
        **bot: Unpack[BotOptions],
    ) -> Giver:
        """What accept does, for an offer to give; ValueError if it is one to take."""
        self._expect(Direction.EXTRACT)
        return self._open(Giver, attributes, bot)

    def take(
        self,
        attributes: Mapping[str, Any] | None = None,
        **bot: Unpack[BotOptions],
    ) -> Taker:
        """What accept does, for an offer to take; ValueError if it is one to give."""
        self._expect(Direction.INJECT)
        return self._open(Taker, attributes, bot)

    def _expect(self, direction: Direction) -> None:
        if self.direction is not direction:
            raise ValueError(f"the offer is one to {self.direction}, not to {direction}")

    def _open(
        self, make: type[_Side], attributes: Mapping[str, Any] | None, options: BotOptions
    ) -> _Side:
        if self._state is not _State.OPEN:
            raise RuntimeError("an offer can be accepted or declined only once")
        bot = write_bot(self.direction, attributes, cid=self.cid, **options)
        flow = make(self._transport, bot, accepted=self._accepted)
        self._state = _State.ACCEPTING
        return flow

    def delegate(self) -> int:
        """Leaves the offer to another process or a native peer; returns its cid.

        Whoever opens a flow with that cid accepts the offer. The handler has no more
        to do with it and may return, but may still decline it.
        """
        if self._state is not _State.OPEN:
            raise RuntimeError("an offer can be accepted or declined only once")
        self._state = _State.DELEGATED
        return self.cid

    async def decline(self, detail: str = "") -> None:
        """Refuses the offer: the client sees `rejected` and the detail, cut to
        1,024 bytes of UTF-8.

        An offer that is gone already needs no refusal: that is no error.
        """
        if self._state in (_State.ACCEPTED, _State.DECLINED):
            raise RuntimeError("an offer can be accepted or declined only once")
        self._state = _State.DECLINED
        await self._transport.decline(self.cid, cut(detail))

    def _accepted(self) -> None:
        self._state = _State.ACCEPTED

    @property
    def _pending(self) -> bool:
        return self._state in (_State.OPEN, _State.ACCEPTING)


def _read_offer(connection: Connection, offer: handler_pb2.Offer) -> Offer:
    return Offer(
        connection,
        offer.cid,
        read_bot(offer.bot),
        deadline=offer.deadline.ToDatetime(tzinfo=datetime.timezone.utc),
        peer=Peer(offer.peer.transport, offer.peer.address, offer.peer.identity),
    )


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
        self, connection: Connection, request: handler_pb2.ListenRequest, handler: Handler
    ) -> None:
        self._connection = connection
        self._request = request
        self._handler = handler
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._error: FlowError | None = None
        self._handling: dict[asyncio.Task[None], Offer] = {}

    async def wait(self) -> None:
        """Waits until the registration ends, and raises FlowError that says why.

        Returns if the block is left meanwhile.
        """
        if self._reader is None:
            raise RuntimeError("the listener has not been entered")
        await asyncio.wait({self._reader})
        if self._error is not None:
            raise self._error._again()

    async def __aenter__(self) -> Listener:
        if self._call is not None:
            raise RuntimeError("a listener can be entered only once")
        self._call = self._connection.handlers.Listen(self._request)
        try:
            first = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error) from None
        if first is EOF or first.WhichOneof("event") != "listening":
            self._call.cancel()
            raise FlowError(EndReason.UNSPECIFIED, "the gateway did not confirm the listener")
        self._reader = self._connection.spawn(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._call.cancel()
        try:
            if self._reader is not None:
                await asyncio.wait({self._reader})
            if error is None and self._handling:
                await asyncio.wait(self._handling)
        finally:
            for task in self._handling:
                task.cancel()
            if self._handling:
                await asyncio.wait(self._handling)
        if error is None and self._error is not None:
            raise self._error._again()

    async def _read(self) -> None:
        """Takes in offers until the stream ends; a task of its own."""
        try:
            while (response := await self._call.read()) is not EOF:
                self._receive(response)
            self._error = FlowError(EndReason.UNSPECIFIED, "the gateway ended the listener")
        except grpc.aio.AioRpcError as error:
            self._error = error_from_rpc(error)
        except asyncio.CancelledError:
            pass  # the block was left, or the event loop is shutting down
        finally:
            self._call.cancel()
            for task, offer in self._handling.items():
                if offer._pending:
                    task.cancel()

    def _receive(self, response: handler_pb2.ListenResponse) -> None:
        event = response.WhichOneof("event")
        if event == "offer":
            offer = _read_offer(self._connection, response.offer)
            task = asyncio.ensure_future(self._handle(offer))
            self._handling[task] = offer
            task.add_done_callback(self._handling.pop)
        elif event == "withdrawn":
            for task, offer in self._handling.items():
                if offer.cid == response.withdrawn.cid and offer._pending:
                    task.cancel()

    async def _handle(self, offer: Offer) -> None:
        try:
            await self._handler(offer)
            if offer._pending:
                await offer.decline("the handler neither accepted nor declined")
        except Exception as error:
            if isinstance(error, FlowError):
                _log.warning("a flow that is handled here ended: %s", error)
            else:
                _log.exception("a handler of flows failed")
            await self._give_up(offer, error)

    async def _give_up(self, offer: Offer, error: Exception) -> None:
        if offer._pending:
            try:
                await offer.decline(str(error) or type(error).__name__)
            except FlowError as failed:
                _log.warning("an offer could not be declined: %s", failed)
