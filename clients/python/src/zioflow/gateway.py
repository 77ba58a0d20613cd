"""The gateway, from which everything starts."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import grpc

from . import _wire
from ._connection import MAX_MESSAGE, Connection, is_local
from ._gen.zio.gateway.v1 import flow_pb2, handler_pb2
from ._put import Items, PutResult, put
from .errors import error_from_rpc
from .giver import Giver
from .handler import Handler, Listener, Offer
from .messages import Bot, BotOptions, Dat, Direction, Item, is_item, write_bot
from .taker import Taker
from .transport import Transport

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .native import Curve

#: What ZeroMQ's addresses begin with, and gRPC's do not.
_NATIVE = ("tcp://", "ipc://")


class Gateway:
    """A connection to a ZIO flow gateway.

    An asynchronous context manager. Entering does not wait for the network: an
    unreachable gateway shows in the first call, as FlowError with the code
    UNAVAILABLE. Leaving the block breaks off what still uses the connection.

    Any number of flows share one gateway. All methods but `put`, `put_all` and `get` only
    prepare what they return: nothing is sent before that is entered.
    """

    def __new__(cls, address: str = "127.0.0.1:7575", **_: Any) -> Self:
        if cls is Gateway and address.startswith(_NATIVE):
            from . import native

            return cast("Self", object.__new__(native.Gateway))
        return super().__new__(cls)

    def __init__(
        self,
        address: str = "127.0.0.1:7575",
        *,
        credentials: grpc.ChannelCredentials | Curve | None = None,
        token: str | Callable[[], str] | None = None,
        max_message: int = MAX_MESSAGE,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """A gateway at an address, in gRPC's notation, or in ZeroMQ's: `tcp://HOST:PORT` and
        `ipc://PATH` make a `zioflow.native.Gateway`, whose arguments are its own.

        Without credentials, such as grpc.ssl_channel_credentials(ca), the
        connection is not encrypted. The token, without space around it such as a
        newline, is shown with every call; one that has to be renewed is a function
        that returns it. ValueError if it would leave this machine in clear text.
        max_message is the largest payload in bytes, which should be the gateway's own
        limit. Options are gRPC channel options, which win over those set here.
        """
        if token is not None and credentials is None and not is_local(address):
            raise ValueError(f"a token for {address} would cross the network in clear text")
        if credentials is not None and not isinstance(credentials, grpc.ChannelCredentials):
            raise ValueError(f"credentials for gRPC are not {type(credentials).__name__}")
        self._address = address
        self._token = token
        self._credentials = credentials
        self._max_message = max_message
        self._options = tuple(options)
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        if self._connection is not None:
            raise RuntimeError("the gateway has been entered already")
        self._connection = Connection(
            self._address,
            credentials=self._credentials,
            token=self._token,
            max_message=self._max_message,
            options=self._options,
        )
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
        **bot: Unpack[BotOptions],
    ) -> Giver:
        """Opens a flow as a client that gives::

            async with gateway.give({"stream": "raw"}) as flow:
                await flow.put(b"one", b"two")

        The attributes, by which a handler is found, become the BOT's label,
        merged over `label`. `BotOptions` tells of the keyword arguments: credit, which
        is how many DATs may be under way, and which the handler may lower; label, payload
        and origin.
        """
        opening = write_bot(Direction.EXTRACT, attributes, **bot)
        return Giver(self._flows(), opening)

    def take(
        self,
        attributes: Mapping[str, Any] | None = None,
        **bot: Unpack[BotOptions],
    ) -> Taker:
        """Opens a flow as a client that takes::

            async with gateway.take({"stream": "raw"}) as flow:
                async for dat in flow:
                    ...

        The arguments are those of give.
        """
        opening = write_bot(Direction.INJECT, attributes, **bot)
        return Taker(self._flows(), opening)

    def handle(
        self, name: str, handler: Handler, *, match: str = "", max_flows: int = 0
    ) -> Listener:
        """Handles flows that clients open, for as long as the block lasts::

            async def handler(offer):
                async with offer.accept() as flow:
                    ...

            async with gateway.handle("raw", handler, match="...") as listener:
                await listener.wait()

        Listeners of one name share its flows. match, a CEL expression, says
        which flows; the empty one takes all. No more than max_flows are handled
        at once; 0 sets no bound.

        Every offer gets a task that runs the handler. If it raises before it has
        accepted, the offer is declined with the exception's text, which the
        client sees; if it returns before that, likewise. Later exceptions break
        off the flow. All are logged, by the logger "zioflow". The task is
        cancelled if the offer is withdrawn. A BOT's payload beyond max_message is
        left out of its offer, as `offer.bot.left_out` says.
        """
        request = handler_pb2.ListenRequest(
            name=name,
            match=match,
            max_flows=max_flows,
            max_offer_bytes=min(self._max_message, 2**32 - 1),  # what is received here
        )
        return Listener(self._connected(), request, handler)

    def offer(self, cid: int, direction: Direction) -> Offer:
        """The offer with a cid that this program was told by other means.

        A route has started the program for one flow: the cid is in its
        environment as ZIO_GATEWAY_CID, the direction in the JSON on its standard
        input. Nothing else is known of the offer here.
        """
        return Offer(self._flows(), cid, Bot(direction=direction))

    async def put(
        self,
        item: Item,
        attributes: Mapping[str, Any] | None = None,
        **bot: Unpack[BotOptions],
    ) -> PutResult:
        """Gives a flow of one DAT, and returns when the taker has ended the flow as well.

        The item is an array, bytes or a text, which is one part; a tuple, which holds the
        parts; or a Dat. The other arguments are those of give, for the BOT. FlowEnded
        says that the taker has not used it. To give an iterable of items by this method
        is deprecated: there is `put_all`.
        """
        items: Items = (item,)
        if not is_item(item):
            warnings.warn("put is for one DAT: give many by put_all", DeprecationWarning, 2)
            items = cast(Items, item)
        return await self.put_all(items, attributes, **bot)

    async def put_all(
        self,
        items: Items,
        attributes: Mapping[str, Any] | None = None,
        **bot: Unpack[BotOptions],
    ) -> PutResult:
        """Gives a DAT for each item, and returns when the taker has ended the flow as well.

        An item is what `put` gives. The other arguments are those of give, for the BOT.
        FlowEnded says that the taker has not used all items. An exception of the iterable
        breaks the flow off and is raised.
        """
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
        call = self._connected().flows.Get(flow_pb2.GetRequest(bot=_wire.write_bot(opening)))
        try:
            async with contextlib.aclosing(aiter(call)) as responses:
                async for response in responses:
                    if response.HasField("dat"):
                        yield _wire.read_dat(response.dat)
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error) from None
        finally:
            call.cancel()

    def _flows(self) -> Transport:
        """What flows run on."""
        return self._connected()

    def _connected(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the gateway has not been entered, or has been left")
        return self._connection
