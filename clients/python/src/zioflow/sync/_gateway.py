"""The gateway, from which everything starts."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import grpc

from .. import _wire
from .._gen.zio.gateway.v1 import flow_pb2
from .._put import PutResult
from .._retry import OnState, Registration
from .._settings import NATIVE, NATIVE_CLASSES, AnyGateway
from ..messages import Bot, BotOptions, Dat, Direction, Item, write_bot
from ._connection import Connection
from ._flow import Giver, Taker
from ._handler import Handler, Listener, Offer
from ._put import put, put_by_flow
from .transport import Transport

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class Gateway(AnyGateway):
    """A connection to a ZIO flow gateway, for any number of threads.

    It connects by itself when it is used; an unreachable gateway shows in the first call,
    as FlowError with the code UNAVAILABLE. As a context manager it is closed when the
    block is left; in a notebook `close` does that.

    Any number of flows share one gateway. All methods but `put`, `put_all` and `get` only
    prepare what they return: nothing is sent before that is entered.
    """

    _connection: Connection | None = None
    _closed = False

    def __new__(cls, address: str = "127.0.0.1:7575", **_: Any) -> Self:
        if cls is Gateway and address.startswith(NATIVE):
            return cast("Self", object.__new__(NATIVE_CLASSES[Gateway]()))
        return super().__new__(cls)

    def __enter__(self) -> Self:
        self._connected()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Breaks off what still uses the connection. Closing again does nothing."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()

    def give(
        self,
        attributes: Mapping[str, Any] | None = None,
        *,
        retry: float = 0,
        **bot: Unpack[BotOptions],
    ) -> Giver:
        """Opens a flow as a client that gives::

            with gateway.give({"stream": "raw"}) as flow:
                flow.put(b"one", b"two")

        The attributes, by which a handler is found, become the BOT's label,
        merged over `label`. `BotOptions` tells of the keyword arguments: credit, which
        is how many DATs may be under way, and which the handler may lower; label, payload
        and origin.

        With retry, opening is tried again for so many seconds while the gateway can't be
        reached, or says that another attempt may succeed, as when no handler is there:
        nothing was given yet. A handler may see that as a flow that broke off empty. A flow
        that was opened is never opened again.
        """
        opening = write_bot(Direction.EXTRACT, attributes, **bot)
        return Giver(self._flows(), opening, retry=retry)

    def take(
        self,
        attributes: Mapping[str, Any] | None = None,
        *,
        retry: float = 0,
        **bot: Unpack[BotOptions],
    ) -> Taker:
        """Opens a flow as a client that takes::

            with gateway.take({"stream": "raw"}) as flow:
                for dat in flow:
                    ...

        The arguments are those of give.
        """
        opening = write_bot(Direction.INJECT, attributes, **bot)
        return Taker(self._flows(), opening, retry=retry)

    def handle(
        self,
        name: str,
        handler: Handler,
        *,
        match: str = "",
        max_flows: int = 0,
        reconnect: bool = True,
        on_state: OnState = None,
    ) -> Listener:
        """Handles flows that clients open, for as long as the block lasts::

            def handler(offer):
                with offer.accept() as flow:
                    ...

            with gateway.handle("raw", handler, match="...") as listener:
                listener.wait()

        As `zioflow.Gateway.handle`, but that every offer gets a thread, which nobody
        can cancel: if the offer is withdrawn, `offer.withdrawn` says so, and accepting it
        raises FlowError. on_state is called in a thread of the listener's own, but for the
        first time. max_flows bounds the threads as well.
        """
        request = self._listen_request(name, match, max_flows)
        registration = Registration(reconnect=reconnect, on_state=on_state)
        return Listener(self._connected(), request, handler, registration)

    def offer(self, cid: int, direction: Direction) -> Offer:
        """The offer with a cid that this program was told by other means.

        A route has started the program for one flow: the cid is in its
        environment as ZIO_GATEWAY_CID, the direction in the JSON on its standard
        input. Nothing else is known of the offer here.
        """
        return Offer(self._flows(), cid=cid, bot=Bot(direction=direction))

    def put(
        self,
        item: Item,
        attributes: Mapping[str, Any] | None = None,
        *,
        retry: float = 0,
        **bot: Unpack[BotOptions],
    ) -> PutResult:
        """Gives a flow of one DAT, and returns when the taker has ended the flow as well.

        The item is an array, bytes or a text, which is one part; a tuple, which holds the
        parts; or a Dat. The other arguments are those of give. FlowEnded
        says that the taker has not used it.
        """
        return self.put_all((item,), attributes, retry=retry, **bot)

    def put_all(
        self,
        items: Iterable[Item],
        attributes: Mapping[str, Any] | None = None,
        *,
        retry: float = 0,
        **bot: Unpack[BotOptions],
    ) -> PutResult:
        """Gives a DAT for each item, and returns when the taker has ended the flow as well.

        An item is what `put` gives. The other arguments are those of give: with retry
        no item is asked for before a handler has answered.
        FlowEnded says that the taker has not used all items. An exception of the iterable
        breaks the flow off and is raised.
        """
        if retry:
            return put_by_flow(self.give(attributes, retry=retry, **bot), items)
        return put(self._connected(), write_bot(Direction.EXTRACT, attributes, **bot), items)

    def get(
        self, attributes: Mapping[str, Any] | None = None, **bot: Unpack[BotOptions]
    ) -> Generator[Dat, None, None]:
        """Takes everything that a flow gives: `for dat in gateway.get():`

        The arguments are those of give. FlowError at the end says that the flow
        did not complete. Leaving the loop early breaks the flow off; `take` can end it
        in good order.
        """
        opening = _wire.write_bot(write_bot(Direction.INJECT, attributes, **bot))
        connection = self._connected()
        call = connection.flows.Get(flow_pb2.GetRequest(bot=opening))
        try:
            for response in call:
                if (dat := _wire.read_get_response(response)) is not None:
                    yield dat
        except grpc.RpcError as error:
            raise connection.failure(error) from None
        finally:
            call.cancel()

    def _flows(self) -> Transport:
        """What flows run on."""
        return self._connected()

    def _connected(self) -> Connection:
        if self._closed:
            raise RuntimeError("the gateway has been closed")
        if self._connection is None:
            self._connection = Connection(self._settings)
        return self._connection
