"""Handling flows that clients open, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from .._cut import cut
from .._gen.zio.gateway.v1 import handler_pb2
from .._offer import AnyOffer, read_offer
from .._retry import Registration
from ..errors import EndReason, FlowError, words_of
from ..messages import BotOptions, Direction
from ._connection import Connection
from ._flow import Flow, Giver, Taker
from .transport import Transport

if TYPE_CHECKING:
    from typing_extensions import Unpack

_log = logging.getLogger("zioflow")

#: For how long, in seconds, handlers whose flows were broken off are waited for.
_GRACE = 2.0


class Offer(AnyOffer):
    """A client's BOT that waits for a handler: accept it or decline it."""

    #: Whether it can no longer be accepted: its client has gone, or it was too late.
    withdrawn: bool = False

    def __init__(self, transport: Transport, **offer: Any) -> None:
        super().__init__(**offer)
        self._transport = transport
        self._flow: Flow | None = None

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
        self._flow = flow
        return flow

    def take(self, attributes: Mapping[str, Any] | None = None, **bot: Unpack[BotOptions]) -> Taker:
        """What accept does, for an offer to take; ValueError if it is one to give."""
        answer = self._answer(Direction.INJECT, attributes, bot)
        flow = Taker(self._transport, answer, accepted=self._accepted)
        self._accepting()
        self._flow = flow
        return flow

    def decline(self, detail: str = "") -> None:
        """Refuses the offer: the client sees `rejected` and the detail, cut to
        1,024 bytes of UTF-8.

        An offer that is gone already needs no refusal: that is no error.
        """
        self._declining()
        self._transport.decline(self.cid, cut(detail))

    def _withdraw(self) -> None:
        """It is gone: who is accepting it sees that at once."""
        if self._pending:
            self.withdrawn = True
            self._break_off()

    def _break_off(self) -> None:
        flow = self._flow
        if flow is not None and flow._stream is not None:
            flow._stream.cancel()


#: What handles one flow. See `Gateway.handle`.
Handler = Callable[[Offer], None]


class Listener:
    """A registration for flows; made by `Gateway.handle`.

    A context manager, to be entered once. Entering returns when the gateway has
    registered it: flows opened from then on can reach it. Leaving the block stops
    listening, withdraws the offers that were not accepted yet, and waits for their
    handlers and the others to end; left by an exception, it breaks their flows off, and
    waits for two seconds at most. Leaving raises FlowError if the registration had ended
    by itself.
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
        self._running: threading.Thread | None = None
        self._error: FlowError | None = None
        self._leaving = threading.Event()
        # Guards what follows, and _call.
        self._lock = threading.Lock()
        self._handling: dict[threading.Thread, Offer] = {}

    def wait(self, timeout: float | None = None) -> None:
        """Waits until the registration ends for good, and raises FlowError that says why;
        TimeoutError if that takes longer than so many seconds.

        Returns if the block is left meanwhile.
        """
        if self._running is None:
            raise RuntimeError("the listener has not been entered")
        self._running.join(timeout)
        if self._running.is_alive():
            raise TimeoutError("the listener goes on")
        if self._error is not None:
            raise self._error._again()

    def __enter__(self) -> Listener:
        if self._call is not None:
            raise RuntimeError("a listener can be entered only once")
        self._register()
        self._running = threading.Thread(
            target=self._run, name=f"zioflow {self._request.name}", daemon=True
        )
        self._running.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._running is not None
        with self._lock:
            self._leaving.set()
            self._call.cancel()
        try:
            self._running.join()
            if error is None:
                self._join(None)
        finally:
            for offer in self._offers():
                offer._break_off()
            self._join(_GRACE)
        if self._error is None:
            self._registration.closed()
        if error is None and self._error is not None:
            raise self._error._again()

    def _offers(self) -> list[Offer]:
        with self._lock:
            return list(self._handling.values())

    def _join(self, seconds: float | None) -> None:
        with self._lock:
            threads = list(self._handling)
        for thread in threads:
            thread.join(seconds)

    def _register(self) -> None:
        with self._lock:
            self._call = self._connection.handlers.Listen(self._request)
            if self._leaving.is_set():
                self._call.cancel()
        try:
            first = next(self._call, None)
        except grpc.RpcError as error:
            raise self._connection.failure(error) from None
        except BaseException:
            self._call.cancel()
            raise
        if first is None or first.WhichOneof("event") != "listening":
            self._call.cancel()
            raise FlowError(EndReason.UNSPECIFIED, "the gateway did not confirm the listener")
        self._registration.listening()

    def _run(self) -> None:
        """Takes in offers, and registers again, until that is over; a thread of its own."""
        error = self._read()
        while not self._over():
            pause = self._registration.lost(error)
            if pause is None:
                self._error = error
                return
            self._leaving.wait(pause)
            if not self._over():
                error = self._again()

    def _over(self) -> bool:
        return self._leaving.is_set() or self._connection.closing.is_set()

    def _again(self) -> FlowError:
        try:
            self._register()
        except FlowError as error:
            return error._again()
        except ValueError:  # grpc's, for a channel that was closed meanwhile
            return FlowError(EndReason.UNSPECIFIED, "the gateway was left")
        return self._read()

    def _read(self) -> FlowError:
        """Takes in offers until the stream ends; returns why it did."""
        try:
            for response in self._call:
                self._receive(response)
            return FlowError(EndReason.UNSPECIFIED, "the gateway ended the listener")
        except grpc.RpcError as error:
            return self._connection.failure(error)
        finally:
            self._call.cancel()
            for offer in self._offers():
                offer._withdraw()

    def _receive(self, response: handler_pb2.ListenResponse) -> None:
        event = response.WhichOneof("event")
        if event == "offer":
            offer = Offer(self._connection, **read_offer(response.offer))
            thread = threading.Thread(
                target=self._handle, args=(offer,), name=f"zioflow offer {offer.cid}", daemon=True
            )
            with self._lock:
                self._handling[thread] = offer
            try:
                thread.start()
            except RuntimeError as error:  # there are as many as there may be
                with self._lock:
                    self._handling.pop(thread)
                self._give_up(offer, error)
        elif event == "withdrawn":
            for offer in self._offers():
                if offer.cid == response.withdrawn.cid:
                    offer._withdraw()

    def _handle(self, offer: Offer) -> None:
        try:
            self._handler(offer)
            if offer._pending and not offer.withdrawn:
                offer.decline("the handler neither accepted nor declined")
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything
            self._give_up(offer, error)
        finally:
            with self._lock:
                self._handling.pop(threading.current_thread(), None)

    def _give_up(self, offer: Offer, error: BaseException) -> None:
        if offer.withdrawn:
            return  # a handler that was in the midst of accepting
        if isinstance(error, FlowError):
            _log.warning("a flow that is handled here ended: %s", error)
        else:
            _log.exception("a handler of flows failed")
        if offer._pending:
            try:
                offer.decline(words_of(error) or type(error).__name__)
            except FlowError as failed:
                _log.warning("an offer could not be declined: %s", failed)
