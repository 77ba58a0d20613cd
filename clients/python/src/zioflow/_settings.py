"""How a gateway is reached, whichever way it is used."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import grpc

from ._gen.zio.gateway.v1 import flow_pb2, flow_pb2_grpc, handler_pb2, handler_pb2_grpc
from ._retry import CHANNEL_PAUSES
from ._wire import HEAD_ROOM

if TYPE_CHECKING:
    from .native import Curve

#: What ZeroMQ's addresses begin with, and gRPC's do not.
NATIVE = ("tcp://", "ipc://")

#: The largest payload that a gateway takes unless it is set otherwise.
MAX_MESSAGE = 64 << 20

_OPEN = "/zio.gateway.v1.FlowService/Open"
_PUT = "/zio.gateway.v1.FlowService/Put"


class AnyGateway:
    """What gateways have in common, to be used by asyncio or by threads."""

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
        `ipc://PATH` make a gateway of `zioflow.native`, whose arguments are its own.

        Without credentials, such as grpc.ssl_channel_credentials(ca), the
        connection is not encrypted. The token, without space around it such as a
        newline, is shown with every call; one that has to be renewed is a function
        that returns it. ValueError if it would leave this machine in clear text.
        max_message is the largest payload in bytes, which should be the gateway's own
        limit. Options are gRPC channel options, which win over those set here.
        """
        if credentials is not None and not isinstance(credentials, grpc.ChannelCredentials):
            raise ValueError(f"credentials for gRPC are not {type(credentials).__name__}")
        if token is not None and credentials is None and not is_local(address):
            raise ValueError(f"a token for {address} would cross the network in clear text")
        self._settings = Settings(address, credentials, token, max_message, tuple(options))

    def _listen_request(self, name: str, match: str, max_flows: int) -> handler_pb2.ListenRequest:
        return handler_pb2.ListenRequest(
            name=name,
            match=match,
            max_flows=max_flows,
            # What is received here.
            max_offer_bytes=min(self._settings.max_message, 2**32 - 1),
        )


class Settings:
    """What a connection is made of."""

    def __init__(
        self,
        address: str,
        credentials: grpc.ChannelCredentials | None,
        token: str | Callable[[], str] | None,
        max_message: int,
        options: tuple[tuple[str, Any], ...],
    ) -> None:
        self.address = address
        self.credentials = credentials
        self.token = token
        self.max_message = max_message
        #: The most bytes that a message may have.
        self.limit = max_message + HEAD_ROOM
        self._options = options
        self._process = os.getpid()

    def channel(self, grpc_: Any) -> Any:
        """A channel of grpc's or of grpc.aio's."""
        options = [
            ("grpc.max_send_message_length", self.limit),
            ("grpc.max_receive_message_length", self.limit),
            ("grpc.enable_http_proxy", 0),
            # A gateway that has vanished without a word is noticed.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            *CHANNEL_PAUSES,
            *self._options,
        ]
        if self.credentials is None:
            return grpc_.insecure_channel(self.address, options=options)
        return grpc_.secure_channel(self.address, self.credentials, options=options)

    def stubs(self, channel: Any) -> tuple[Any, Any]:
        """The calls about flows, and those about handlers.

        What is sent and received by Open, and sent by Put, is bytes: see _wire.
        """
        flows: Any = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
        flows.Open = channel.stream_stream(_OPEN)
        flows.Put = channel.stream_unary(
            _PUT, response_deserializer=flow_pb2.PutResponse.FromString
        )
        handlers: Any = handler_pb2_grpc.HandlerServiceStub(channel)  # type: ignore[no-untyped-call]
        if self.token is None:
            return flows, handlers
        return _Authorized(flows, self.token), _Authorized(handlers, self.token)


class _Authorized:
    """A stub whose calls show a bearer token."""

    def __init__(self, stub: Any, token: str | Callable[[], str]) -> None:
        self._stub = stub
        self._token = token

    def __getattr__(self, name: str) -> Any:
        return _AuthorizedCall(getattr(self._stub, name), self._token)


class _AuthorizedCall:
    def __init__(self, method: Any, token: str | Callable[[], str]) -> None:
        self._method = method
        self._token = token

    def __call__(self, *args: Any) -> Any:
        return self._method(*args, metadata=self._metadata())

    def future(self, *args: Any) -> Any:
        """As grpc's own: returns before there is an answer."""
        return self._method.future(*args, metadata=self._metadata())

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        token = self._token() if callable(self._token) else self._token
        return (("authorization", f"Bearer {token.strip()}"),)


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
