"""The connection to a gateway, which everything else shares."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message

from ._gen.zio.gateway.v1 import flow_pb2_grpc, handler_pb2_grpc

#: The largest payload that a gateway takes unless it is set otherwise.
MAX_MESSAGE = 64 << 20
#: How much longer a message may be than its payload: its label and the encoding.
_HEAD_ROOM = 64 << 10


class Connection:
    """A channel, its stubs, and the tasks that work for it in the background."""

    def __init__(
        self,
        address: str,
        *,
        credentials: grpc.ChannelCredentials | None,
        token: str | Callable[[], str] | None,
        max_message: int,
        options: Sequence[tuple[str, Any]],
    ) -> None:
        self._limit = max_message + _HEAD_ROOM
        settings: list[tuple[str, Any]] = [
            ("grpc.max_send_message_length", self._limit),
            ("grpc.max_receive_message_length", self._limit),
            ("grpc.enable_http_proxy", 0),
            # A gateway that has vanished without a word is noticed.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            *options,
        ]
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, options=settings)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, options=settings)
        self.flows: Any = flow_pb2_grpc.FlowServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self.handlers: Any = handler_pb2_grpc.HandlerServiceStub(self._channel)  # type: ignore[no-untyped-call]
        if token is not None:
            self.flows = _Authorized(self.flows, token)
            self.handlers = _Authorized(self.handlers, token)
        self._tasks: set[asyncio.Task[Any]] = set()

    def check_size(self, request: Message) -> None:
        """ValueError if the message is larger than may be sent.

        gRPC would end the call, and with it the flow.
        """
        size = request.ByteSize()
        if size > self._limit:
            raise ValueError(f"the message has {size} bytes, at most {self._limit} can be sent")

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
