"""The gateway, from which everything starts."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import grpc

from . import _wire
from ._connection import Connection
from ._gen.zio.gateway.v1 import flow_pb2
from ._items import Items
from ._put import PutResult, put, put_by_flow
from ._retry import OnState, Registration
from ._settings import NATIVE, NATIVE_CLASSES, AnyGateway
from .giver import Giver
from .handler import Handler, Listener, Offer
from .messages import Bot, BotOptions, Dat, Direction, Item, is_item, write_bot
from .taker import Taker
from .transport import Transport

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class Gateway(AnyGateway):
    """A connection to a ZIO flow gateway.

    An asynchronous context manager. Entering does not wait for the network: an
    unreachable gateway shows in the first call, as FlowError with the code
    UNAVAILABLE. Leaving the block breaks off what still uses the connection.

    Any number of flows share one gateway. All methods but `put`, `put_all` and `get` only
    prepare what they return: nothing is sent before that is entered.
    """

    _connection: Connection | None = None

    def __new__(cls, address: str = "127.0.0.1:7575", **_: Any) -> Self:
        if cls is Gateway and address.startswith(NATIVE):
            return cast("Self", object.__new__(NATIVE_CLASSES[Gateway]()))
        return super().__new__(cls)

    async def __aenter__(self) -> Self:
        if self._connection is not None:
            raise RuntimeError("the gateway has been entered already")
        self._connection = Connection(self._settings)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def give(
        self,
        attributes: Mapping[str, Any] | None = None,
        *,
        retry: float = 0,
        **bot: Unpack[BotOptions],
    ) -> Giver:
        """Opens a flow as a client that gives::

            async with gateway.give({"stream": "raw"}) as flow:
                await flow.put(b"one", b"two")

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

            async with gateway.take({"stream": "raw"}) as flow:
                async for dat in flow:
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

            async def handler(offer):
                async with offer.accept() as flow:
                    ...

            async with gateway.handle("raw", handler, match="...") as listener:
                await listener.wait()

        Listeners of one name share its flows. match, a CEL expression, says
        which flows; the empty one takes all. No more than max_flows are handled
        at once; 0 sets no bound. What is left of a registration that was lost does not
        count for the next one.

        Every offer gets a task that runs the handler. If it raises before it has
        accepted, the offer is declined with the exception's text, which the
        client sees; if it returns before that, likewise. Later exceptions break
        off the flow. All are logged, by the logger "zioflow". The task is
        cancelled if the offer is withdrawn. A BOT's payload beyond max_message is
        left out of its offer, as `offer.bot.left_out` says.

        If the gateway is lost once it has registered the listener, that registers again,
        after a pause of 50 ms, which doubles up to half a second with each attempt that
        fails, give or take a quarter; flows that were accepted are broken off. Not
        after an error that another attempt would not change, such as
        UNAUTHENTICATED, or without reconnect: then `wait` raises it. on_state is called
        in the event loop with each `ListenerState`.
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

    async def put(
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
        says that the taker has not used it. To give an iterable of items by this method
        is deprecated: there is `put_all`.
        """
        items: Items = (item,)
        if not is_item(item):
            warnings.warn("put is for one DAT: give many by put_all", DeprecationWarning, 2)
            items = cast(Items, item)
        return await self.put_all(items, attributes, retry=retry, **bot)

    async def put_all(
        self,
        items: Items,
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
            return await put_by_flow(self.give(attributes, retry=retry, **bot), items)
        opening = write_bot(Direction.EXTRACT, attributes, **bot)
        return await put(self._connected(), opening, items)

    async def get(
        self,
        attributes: Mapping[str, Any] | None = None,
        **bot: Unpack[BotOptions],
    ) -> AsyncGenerator[Dat, None]:
        """Takes everything that a flow gives: `async for dat in gateway.get():`

        The arguments are those of give. FlowError at the end says that the flow
        did not complete. Leaving the loop early, or cancelling it, breaks the
        flow off; `take` can end it in good order.
        """
        opening = write_bot(Direction.INJECT, attributes, **bot)
        connection = self._connected()
        call = connection.flows.Get(flow_pb2.GetRequest(bot=_wire.write_bot(opening)))
        try:
            async with contextlib.aclosing(aiter(call)) as responses:
                async for response in responses:
                    if (dat := _wire.read_get_response(response)) is not None:
                        yield dat
        except grpc.aio.AioRpcError as error:
            raise connection.failure(error) from None
        finally:
            call.cancel()

    def _flows(self) -> Transport:
        """What flows run on."""
        return self._connected()

    def _connected(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the gateway has not been entered, or has been left")
        return self._connection
