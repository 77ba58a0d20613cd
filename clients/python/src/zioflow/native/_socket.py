"""What asyncio and threads have in common: one socket for each flow, and what becomes of
its connection.

A flow has a connection of its own, which is never made again: by a new one, the gateway
would not know the flow, and nobody here would see what was lost with the old one.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import zmq
from zmq.utils.monitor import parse_monitor_message

from .._curve import Curve
from ..errors import EndReason, FlowError

#: How long a connection may take to be made, and its handshake, in milliseconds.
_PATIENCE = 10_000
#: How long what is sent last may take to leave, after its flow has ended well.
LINGER = 10_000
#: Instead of never, which would take away what has come but was not read yet.
_NEVER = 2**30
#: How many messages may lie here until the network takes them.
_QUEUE = 16

_Socket = TypeVar("_Socket", bound="zmq.Socket[Any]")


@dataclass(frozen=True)
class Endpoint:
    """How to reach a gateway."""

    #: `tcp://HOST:PORT` or `ipc://PATH`.
    address: str
    curve: Curve | None
    #: Whether it is reached by a CLIENT socket, and not by a DEALER.
    client: bool
    #: For how many seconds it may show no sign of life.
    silence: float

    def socket(self, context: zmq.Context[_Socket]) -> tuple[_Socket, _Socket]:
        """A new socket, which begins to connect, and the one that says what becomes of
        that. ValueError says that the address is none."""
        socket = context.socket(zmq.CLIENT if self.client else zmq.DEALER)
        try:
            name = f"python-{os.getpid()}-{secrets.token_hex(8)}"
            if not self.client:
                socket.identity = name.encode()  # by which operators find the process
            socket.linger = 0
            socket.sndhwm = _QUEUE
            socket.rcvhwm = 0  # what has been paid for is the bound
            socket.setsockopt(zmq.RECONNECT_IVL, _NEVER)
            socket.setsockopt(zmq.CONNECT_TIMEOUT, _PATIENCE)
            socket.setsockopt(zmq.HANDSHAKE_IVL, _PATIENCE)
            socket.setsockopt(zmq.HEARTBEAT_IVL, max(1, round(self.silence * 250)))
            socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, max(1, round(self.silence * 750)))
            socket.setsockopt(zmq.IPV6, 1)
            if self.curve is not None:
                self.curve.apply(socket)
            monitor = socket.get_monitor_socket(zmq.EVENT_ALL, f"inproc://{name}")
        except BaseException:
            socket.close(0)
            raise
        try:
            socket.connect(self.address)
        except BaseException as error:
            close(socket, monitor, 0)
            if isinstance(error, zmq.ZMQError):
                raise ValueError(f"{self.address} is no address: {error}") from None
            raise
        return socket, monitor


def prepare(context: zmq.Context[Any]) -> None:
    """Lets a context have as many sockets as there can be, and not just a thousand."""
    context.set(zmq.MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT))


def close(socket: zmq.Socket[Any], monitor: zmq.Socket[Any], linger: int) -> None:
    """Closes a socket with its monitor."""
    if not socket.closed:
        socket.disable_monitor()
    socket.close(linger)
    monitor.close(0)


class Connection:
    """What has become of a socket's connection, by what its monitor says."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._reached = False
        self._made = False
        #: Why there is none any more.
        self.lost: FlowError | None = None

    def happened(self, event: list[bytes]) -> None:
        """Takes in an event."""
        found = parse_monitor_message(event)
        what, value = found["event"], found["value"]
        if what == zmq.EVENT_CONNECTED:
            self._reached = True
        elif what == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._made = True
        elif self.lost is None and what in _LOST:
            self.lost = self._error(what, value)

    def _error(self, what: int, value: int) -> FlowError:
        address, code = self._endpoint.address, grpc.StatusCode.UNAVAILABLE
        if self._made:
            reason, detail = EndReason.PEER_GONE, f"the connection to {address} was lost"
        elif not self._reached:
            reason, detail = EndReason.UNSPECIFIED, f"no gateway can be reached at {address}"
        else:
            reason, detail = EndReason.UNSPECIFIED, self._refused(value)
            if value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
                code = grpc.StatusCode.UNAUTHENTICATED  # another attempt will not help
        return FlowError(reason, detail, code=code)

    def _refused(self, value: int) -> str:
        """Why there was no handshake. ZeroMQ knows little of it."""
        address, curve = self._endpoint.address, self._endpoint.curve
        if value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
            if curve is None:
                return f"the gateway at {address} asks for CURVE keys: credentials=Curve(...)"
            return f"the gateway at {address} has no CURVE: leave out the credentials"
        kind, option = ("CLIENT", "server") if self._endpoint.client else ("DEALER", "router")
        place = f"an address of a gateway's --zmq-{option}, for {kind} sockets"
        if curve is not None:
            return f"{address} refused the keys, or has another server_key, or is not {place}"
        return f"{address} is not {place}"


_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
)
#: Any of these ends the connection: it is not made again.
_LOST = (zmq.EVENT_CLOSED, zmq.EVENT_CONNECT_RETRIED, zmq.EVENT_DISCONNECTED, *_FAILED)


def no_listener() -> NotImplementedError:
    """Why no one can register as a listener."""
    return NotImplementedError(
        "ZeroMQ has no way to register as a listener: have the gateway start the handler by an"
        " exec route or connect to it by a connect route (docs/routes.md), or handle by gRPC:"
        ' Gateway("127.0.0.1:7575")'
    )


def no_decline() -> NotImplementedError:
    """Why no offer can be declined."""
    return NotImplementedError(
        "ZeroMQ has no way to decline an offer: a command of an exec route exits, with a line"
        " on standard error that says why; a listener declines by gRPC"
    )
