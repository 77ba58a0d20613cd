"""The gateway, as a native peer reaches it."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc
import zmq

from .. import gateway, transport
from .._curve import Curve
from .._items import Items
from .._put import PutResult, put_by_flow
from .._settings import MAX_MESSAGE
from ..messages import BotOptions, Dat, Item
from ..sync import _gateway as sync_gateway
from ..sync import _put as sync_put
from ..sync import transport as sync_transport
from . import _asyncio, _threads
from ._socket import Endpoint, no_listener

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class AnyGateway:
    """What native gateways have in common, to be used by asyncio or by threads.

    Every flow has a connection of its own: a DEALER socket, whose identity begins with
    `python-` and the process's number. That connection is not made again when it is lost,
    which a flow sees as FlowError with the reason PEER_GONE; one that cannot be made at all
    has the code UNAVAILABLE. The next flow tries anew.

    What ZIO's messages do not say is not known here: a flow's id is 0, and `taken_by` is
    None. An EOT that crosses one's own looks like its answer, so that a giver learns only of
    takers that say how much they have used, as those of this library do, that something was
    lost when both sides ended the flow at once.

    `handle` is not for native peers; `offer` is, with the cid that a command of an exec route
    finds in its environment, or that `Offer.delegate` returns.
    """

    def __init__(
        self,
        address: str = "tcp://127.0.0.1:5556",
        *,
        credentials: grpc.ChannelCredentials | Curve | None = None,
        token: str | Callable[[], str] | None = None,
        max_message: int = MAX_MESSAGE,
        options: Sequence[tuple[str, Any]] = (),
        client: bool = False,
        silence: float = 60.0,
    ) -> None:
        """A gateway at an address of its `--zmq-router`, `tcp://HOST:PORT` or `ipc://PATH`.

        The credentials are a `Curve`, for a gateway that asks for keys. max_message is the
        largest payload in bytes. With client it is reached by CLIENT sockets, at an address
        of its `--zmq-server`, which needs a pyzmq that has drafts. A gateway that shows no
        sign of life for `silence` seconds is taken for lost. Tokens and channel options are
        gRPC's: ValueError says so.
        """
        if token is not None:
            raise ValueError("a token is for gRPC: natively there is credentials=Curve(...)")
        if options:
            raise ValueError("there are no channel options over ZeroMQ")
        if credentials is not None and not isinstance(credentials, Curve):
            raise ValueError(f"credentials over ZeroMQ are a Curve, not {type(credentials)}")
        if client and not zmq.has("draft"):
            raise ValueError(
                "this pyzmq has no CLIENT sockets, which are drafts of ZeroMQ's: leave out"
                " client, and give an address of the gateway's --zmq-router"
            )
        if not silence > 0:
            raise ValueError(f"silence is {silence}, want more than 0 seconds")
        self._endpoint = Endpoint(address, credentials, client, silence)
        self._max_message = max_message

    def handle(self, *_: Any, **__: Any) -> Any:
        """NotImplementedError, which says what to do instead: ZeroMQ has no listeners."""
        raise no_listener()


class Gateway(AnyGateway, gateway.Gateway):
    """A ZIO flow gateway, or another broker of ZIO's, that is reached over ZeroMQ.

    It is used as `zioflow.Gateway`, which makes one of these by itself for an address such
    as `tcp://127.0.0.1:5556`. AnyGateway says what is different.
    """

    _transport: _asyncio.Transport | None = None

    async def __aenter__(self) -> Self:
        if self._transport is not None:
            raise RuntimeError("the gateway has been entered already")
        self._transport = _asyncio.Transport(self._endpoint, max_message=self._max_message)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        left, self._transport = self._transport, None
        if left is not None:
            await left.close()

    async def put_all(
        self,
        items: Items,
        attributes: Mapping[str, Any] | None = None,
        *,
        retry: float = 0,
        **bot: Unpack[BotOptions],
    ) -> PutResult:
        """See zioflow.Gateway."""
        return await put_by_flow(self.give(attributes, retry=retry, **bot), items)

    async def get(
        self,
        attributes: Mapping[str, Any] | None = None,
        **bot: Unpack[BotOptions],
    ) -> AsyncGenerator[Dat, None]:
        """See zioflow.Gateway."""
        async with self.take(attributes, **bot) as flow:
            async for dat in flow:
                yield dat

    def _flows(self) -> transport.Transport:
        if self._transport is None:
            raise RuntimeError("the gateway has not been entered, or has been left")
        return self._transport


class SyncGateway(AnyGateway, sync_gateway.Gateway):
    """A `Gateway` for threads: it is used as `zioflow.sync.Gateway`, which makes one of these
    by itself. Every flow has a thread that works its socket."""

    def __init__(self, address: str = "tcp://127.0.0.1:5556", **options: Any) -> None:
        """The arguments are those of `Gateway`."""
        super().__init__(address, **options)
        self._lock = threading.Lock()
        self._transport: _threads.Transport | None = None  # guarded by the lock

    def __enter__(self) -> Self:
        self._flows()
        return self

    def close(self) -> None:
        """See zioflow.sync.Gateway. Waits until what was said last has left."""
        with self._lock:
            self._closed = True
            left = self._transport
        if left is not None:
            left.close()

    def put_all(
        self,
        items: Iterable[Item],
        attributes: Mapping[str, Any] | None = None,
        *,
        retry: float = 0,
        **bot: Unpack[BotOptions],
    ) -> PutResult:
        """See zioflow.sync.Gateway."""
        return sync_put.put_by_flow(self.give(attributes, retry=retry, **bot), items)

    def get(
        self, attributes: Mapping[str, Any] | None = None, **bot: Unpack[BotOptions]
    ) -> Generator[Dat, None, None]:
        """See zioflow.sync.Gateway."""
        with self.take(attributes, **bot) as flow:
            yield from flow

    def _flows(self) -> sync_transport.Transport:
        with self._lock:
            if self._closed:
                raise RuntimeError("the gateway has been closed")
            if self._transport is None:
                self._transport = _threads.Transport(self._endpoint, max_message=self._max_message)
            return self._transport
