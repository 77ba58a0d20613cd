"""The connection to a gateway, which everything else shares."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from . import _wire
from ._ending import Ending
from ._gen.zio.gateway.v1 import flow_pb2, flow_pb2_grpc, handler_pb2, handler_pb2_grpc
from .errors import EndReason, FlowError, error_from_rpc
from .messages import Incoming, Outgoing
from .transport import StreamEnded

#: The largest payload that a gateway takes unless it is set otherwise.
MAX_MESSAGE = 64 << 20

#: What grpc.aio reads at the end of a stream.
EOF: Any = vars(grpc.aio)["EOF"]

_OPEN = "/zio.gateway.v1.FlowService/Open"
_PUT = "/zio.gateway.v1.FlowService/Put"


class Connection:
    """A channel, its calls, and the tasks that work for it in the background.

    The `Transport` of flows that are carried by gRPC.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: grpc.ChannelCredentials | None,
        token: str | Callable[[], str] | None,
        max_message: int,
        options: Sequence[tuple[str, Any]],
    ) -> None:
        #: The most bytes that a message may have.
        self.limit = max_message + _wire.HEAD_ROOM
        settings = channel_settings(self.limit, options)
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, options=settings)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, options=settings)
        self.flows, self.handlers = stubs(self._channel, token)
        self._tasks: set[asyncio.Task[Any]] = set()

    def encode(self, message: Outgoing) -> bytes:
        """See Transport."""
        return _wire.open_request(message, self.limit)

    def open(self) -> _Stream:
        """See Transport."""
        return _Stream(self.flows.Open())

    async def decline(self, cid: int, detail: str) -> None:
        """See Transport."""
        try:
            await self.handlers.Decline(handler_pb2.DeclineRequest(cid=cid, detail=detail))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise error_from_rpc(error) from None

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that close waits for. The work ends when its call does."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Ends all calls and waits until nothing of them is left."""
        await self._channel.close()
        if self._tasks:
            await asyncio.wait(self._tasks)


class _Stream:
    """A call of Open; see transport.Stream."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._ending = Ending(call)

    async def write(self, frame: bytes) -> None:
        try:
            await self._call.write(frame)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError):
            raise StreamEnded from None

    async def read(self) -> Incoming | None:
        try:
            while (raw := await self._call.read()) is not EOF:
                message = _wire.read_response(raw)
                if message is not None:
                    return message
        except grpc.aio.AioRpcError as error:
            status = await self._ending.of(error)
            if status is not None:
                raise error_from_rpc(status) from None
        except DecodeError:
            detail = "what came is no message of a gateway's"
            raise FlowError(EndReason.UNSPECIFIED, detail) from None
        return None

    def cancel(self) -> None:
        self._call.cancel()


def channel_settings(limit: int, options: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The channel's options for messages of so many bytes, with the user's own."""
    return [
        ("grpc.max_send_message_length", limit),
        ("grpc.max_receive_message_length", limit),
        ("grpc.enable_http_proxy", 0),
        # A gateway that has vanished without a word is noticed.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        *options,
    ]


def stubs(channel: Any, token: str | Callable[[], str] | None) -> tuple[Any, Any]:
    """The calls about flows and about handlers, on a channel of asyncio's or another.

    What is sent and received by Open, and sent by Put, is bytes: see _wire.
    """
    flows: Any = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
    flows.Open = channel.stream_stream(_OPEN)
    flows.Put = channel.stream_unary(_PUT, response_deserializer=flow_pb2.PutResponse.FromString)
    handlers: Any = handler_pb2_grpc.HandlerServiceStub(channel)  # type: ignore[no-untyped-call]
    if token is None:
        return flows, handlers
    return _Authorized(flows, token), _Authorized(handlers, token)


class _Authorized:
    """A stub whose calls show a bearer token."""

    def __init__(self, stub: Any, token: str | Callable[[], str]) -> None:
        self._stub = stub
        self._token = token

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._stub, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            token = self._token() if callable(self._token) else self._token
            return method(*args, metadata=(("authorization", f"Bearer {token.strip()}"),), **kwargs)

        return call


def is_local(address: str) -> bool:
    """Whether what is sent to an address, in gRPC's notation, stays on this machine."""
    scheme, _, rest = address.partition(":")
    if scheme in ("unix", "unix-abstract"):
        return True
    if scheme in ("dns", "ipv4", "ipv6"):
        address = rest.rpartition("/")[2]
    host, _, port = address.rpartition(":")
    if not port.isdigit() or (":" in host and not host.startswith("[")):
        host = address
    host = host.removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
