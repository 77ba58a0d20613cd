"""How a gateway is reached, whichever way it is used."""

from __future__ import annotations

import ipaddress
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import grpc

from ._explain import explain, is_too_large
from ._gen.zio.gateway.v1 import flow_pb2, flow_pb2_grpc, handler_pb2, handler_pb2_grpc
from ._retry import CHANNEL_PAUSES
from ._wire import HEAD_ROOM
from .errors import EndReason, FlowError, error_from_rpc

if TYPE_CHECKING:
    from ._curve import Curve

#: The schemes of gRPC's addresses that are followed by slashes.
_SCHEMES = ("dns://", "unix://")

#: What ZeroMQ's addresses begin with, and gRPC's do not.
NATIVE = ("tcp://", "ipc://")

#: Which class makes a gateway's object for such an address. It builds on that gateway,
#: and needs pyzmq, so that the packages, which know both, set it.
NATIVE_CLASSES: dict[type, Callable[[], type]] = {}

#: The largest payload that a gateway takes unless it is set otherwise.
MAX_MESSAGE = 64 << 20

_OPEN = "/zio.gateway.v1.FlowService/Open"
_GET = "/zio.gateway.v1.FlowService/Get"
_PUT = "/zio.gateway.v1.FlowService/Put"


class AnyGateway:
    """What gateways have in common, to be used by asyncio or by threads."""

    def __init__(
        self,
        address: str = "127.0.0.1:7575",
        *,
        credentials: grpc.ChannelCredentials | Curve | None = None,
        token: str | Callable[[], str] | None = None,
        name: str | None = None,
        max_message: int = MAX_MESSAGE,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """A gateway at an address, in gRPC's notation, or in ZeroMQ's: `tcp://HOST:PORT` and
        `ipc://PATH` make a gateway of `zioflow.native`, whose arguments are its own.

        Without credentials, such as those of `tls`, the
        connection is not encrypted. The token, without space around it such as a
        newline, is shown with every call; one that has to be renewed is a function
        that returns it. ValueError if it would leave this machine in clear text.
        The name, of printable ASCII, is what operators know this program by; it proves
        nothing. max_message is the largest payload in bytes, which should be the gateway's own
        limit. Options are gRPC channel options, which win over those set here.
        """
        if credentials is not None and not isinstance(credentials, grpc.ChannelCredentials):
            raise ValueError(f"credentials for gRPC are not {type(credentials).__name__}")
        if "://" in address and not address.startswith(_SCHEMES):
            raise ValueError(f"the address is {address}: want HOST:PORT, without a scheme")
        if token is not None and credentials is None and not is_local(address):
            raise ValueError(
                f"a token for {address} would cross the network in clear text: give credentials"
            )
        if isinstance(token, str):
            bearer(token)
        if name is not None and not (name and name.isascii() and name.isprintable()):
            raise ValueError(f"the name is {name!r}: want printable ASCII")
        self._settings = Settings(address, credentials, token, name, max_message, tuple(options))

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
        name: str | None,
        max_message: int,
        options: tuple[tuple[str, Any], ...],
    ) -> None:
        self.address = address
        self.credentials = credentials
        self.token = token
        self.name = name
        self.max_message = max_message
        #: The most bytes that a message may have.
        self.limit = max_message + HEAD_ROOM
        self._options = options

    def failure(self, error: Any) -> FlowError:
        """The error that a call's status tells of, in words for who has set this."""
        failure = error_from_rpc(error)
        if failure.reason is not EndReason.UNSPECIFIED or failure.code is None:
            return failure
        large = is_too_large(failure.detail)
        reason = EndReason.MESSAGE_TOO_LARGE if large else failure.reason
        encrypted = self.credentials is not None
        detail = explain(failure.code, failure.detail, self.address, encrypted=encrypted)
        return failure._with(reason=reason, detail=detail, flow_id=failure.flow_id)

    def channel(self, grpc_: Any) -> Any:
        """A channel of grpc's or of grpc.aio's."""
        options = [
            ("grpc.max_send_message_length", self.limit),
            ("grpc.max_receive_message_length", self.limit),
            ("grpc.enable_http_proxy", 0),
            ("grpc.primary_user_agent", f"{_program()} zioflow-python"),
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

        The messages of Open, those that Put sends and Get receives are bytes: see _wire.
        """
        flows: Any = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
        flows.Open = channel.stream_stream(_OPEN)
        flows.Put = channel.stream_unary(
            _PUT, response_deserializer=flow_pb2.PutResponse.FromString
        )
        flows.Get = channel.unary_stream(_GET, flow_pb2.GetRequest.SerializeToString)
        handlers: Any = handler_pb2_grpc.HandlerServiceStub(channel)  # type: ignore[no-untyped-call]
        if self.token is None and self.name is None:
            return flows, handlers
        return _Shown(flows, self._shown), _Shown(handlers, self._shown)

    def _shown(self) -> tuple[tuple[str, str], ...]:
        """What is shown with a call."""
        shown = []
        if self.token is not None:
            token = self.token() if callable(self.token) else self.token
            shown.append(("authorization", f"Bearer {bearer(token)}"))
        if self.name is not None:
            shown.append(("zio-client-name", self.name))
        return tuple(shown)


def _program() -> str:
    """This program's name, as a user agent can have it."""
    name = pathlib.Path(sys.argv[0] if sys.argv else "").name
    return "".join(c if "!" <= c <= "~" else "_" for c in name)[:64] or "python"


class _Shown:
    """A stub whose calls show something."""

    def __init__(self, stub: Any, shown: Callable[[], tuple[tuple[str, str], ...]]) -> None:
        self._stub = stub
        self._shown = shown

    def __getattr__(self, name: str) -> Any:
        return _ShownCall(getattr(self._stub, name), self._shown)


class _ShownCall:
    def __init__(self, method: Any, shown: Callable[[], tuple[tuple[str, str], ...]]) -> None:
        self._method = method
        self._shown = shown

    def __call__(self, *args: Any) -> Any:
        return self._method(*args, metadata=self._shown())

    def future(self, *args: Any) -> Any:
        """As grpc's own: returns before there is an answer."""
        return self._method.future(*args, metadata=self._shown())


class Process:
    """The process in which a connection was made, and can be used."""

    def __init__(self) -> None:
        self._id = os.getpid()

    @property
    def is_this(self) -> bool:
        """Whether it is the one that asks."""
        return os.getpid() == self._id

    def check(self) -> None:
        """RuntimeError if it is another: gRPC's threads do not come along."""
        if not self.is_this:
            raise RuntimeError(
                f"this Gateway was made in process {self._id}, before it forked: make one in "
                "each process, and start processes by multiprocessing's 'spawn'"
            )


def tls(
    ca: bytes | str | os.PathLike[str] | None = None,
    *,
    cert: bytes | str | os.PathLike[str] | None = None,
    key: bytes | str | os.PathLike[str] | None = None,
) -> grpc.ChannelCredentials:
    """Credentials for a gateway that uses TLS.

    ca is the certificate of who has signed the gateway's, by default one of those that the
    system knows; cert and key say who this program is. Each is the path of a PEM file, or
    what such a file has, as bytes. OSError says that a file can't be read.
    """
    if (cert is None) != (key is None):
        raise ValueError("cert and key go together")
    return grpc.ssl_channel_credentials(_pem(ca), _pem(key), _pem(cert))


def _pem(what: bytes | str | os.PathLike[str] | None) -> bytes | None:
    return what if what is None or isinstance(what, bytes) else pathlib.Path(what).read_bytes()


def bearer(token: str) -> str:
    """The token without the space around it; ValueError if it can be none."""
    token = token.strip()
    if not token:
        raise ValueError("the token is empty")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError("the token is no single line of letters and digits: is it the right file?")
    return token


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
