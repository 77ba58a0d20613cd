"""What `Broker` and `Server` have in common: the gateway, the listener, the factory."""

from __future__ import annotations

import logging
import os
import socket
import time
import urllib.parse
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypedDict, TypeVar

import grpc

from .._settings import MAX_MESSAGE
from ._listening import Listening
from ._program import Program

#: What judges BOTs: called with a message, it returns true if it has started a handler.
Factory = Callable[[Any], Any]

_log = logging.getLogger("zioflow")

_Self = TypeVar("_Self", bound="Service")

#: ZeroMQ's numbers of the sockets that a broker of ZIO's binds.
_ROUTER, _SERVER = 6, 12

#: For how long, in milliseconds, a closed port goes on telling those it has turned away.
_LINGER = 1000

#: For how long, in seconds, an address may still be held by who has given it up.
_RELEASE = 5.0


class Options(TypedDict, total=False):
    """What else a `Service` can be told, see there."""

    name: str
    match: str
    max_flows: int
    credentials: grpc.ChannelCredentials | None
    token: str | Callable[[], str] | None
    max_message: int
    gateway: str | os.PathLike[str] | None
    flags: Sequence[str]


class Service:
    """A factory behind a gateway; a context manager that stops it in the end."""

    #: What judges BOTs.
    factory: Factory
    #: Where clients and handlers reach the gateway by ZeroMQ, if it is this one's
    #: own; empty otherwise.
    addresses: tuple[str, ...] = ()

    def __init__(
        self,
        where: Any,
        factory: Factory,
        *,
        name: str = "zio-factory",
        match: str = "",
        max_flows: int = 0,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | Callable[[], str] | None = None,
        max_message: int = MAX_MESSAGE,
        gateway: str | os.PathLike[str] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        """Returns when BOTs can come.

        Where is the address of a running gateway, in gRPC's notation
        ("127.0.0.1:7575"); or a ZeroMQ address to bind ("tcp://127.0.0.1:5555"), for a
        gateway of its own that is started here and stopped by `stop`; or a bound port
        of ZIO's, whose address such a gateway takes over.

        Name, match and max_flows are those of the listener, as for `Gateway.handle`:
        a gateway that has other handlers needs a match that says which flows are this
        factory's. Credentials, token and max_message are as for `Gateway`. The gateway
        is the program to start, if it is not `gateway` on the PATH or what the variable
        ZIO_GATEWAY names; the flags are added to its command line. It is set by its own
        environment variables as well, where the command line does not say otherwise, and
        is no node of ZIO's unless these say `--node`.

        Raises FlowError if the gateway can't be reached or does not register the
        listener, FileNotFoundError if there is no program, `GatewayExited` if it does
        not start, ValueError for a port that is not bound, TypeError for what is none.
        """
        self.factory = factory
        self._stopped = False
        self._program = _own_gateway(where, gateway, flags)
        address = str(where)
        if self._program is not None:
            address, self.addresses = self._program.grpc, self._program.zmq
        try:
            self._listening = Listening(
                address,
                name=name,
                match=match,
                max_flows=max_flows,
                check=self._program.check if self._program is not None else lambda: None,
                credentials=credentials,
                token=token,
                max_message=max_message,
            )
        except BaseException:
            if self._program is not None:
                self._program.stop()
            raise

    def stop(self) -> None:
        """Takes no more BOTs, stops the factory, and then a gateway of its own.

        The factory is stopped by its own `stop`, if it has one; what that raises is
        raised when all else has been stopped. Flows through a running gateway go on for
        as long as their handlers do; through one of its own they are ended, with the
        reason `draining`. Stopping again does nothing.
        """
        if self._stopped:
            return
        self._stopped = True
        try:
            self._listening.close()
            self._stop_calling()
            stop = getattr(self.factory, "stop", None)
            if callable(stop):
                stop()
        finally:
            if self._program is not None:
                self._program.stop()

    def _stop_calling(self) -> None:
        """Waits until the factory is not being called."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _own_gateway(
    where: Any, binary: str | os.PathLike[str] | None, flags: Sequence[str]
) -> Program | None:
    """A gateway of one's own, if that is what is asked for."""
    if isinstance(where, str):
        if not where.startswith(("tcp://", "ipc://")):
            return None
        return Program(server=[where], binary=binary, flags=flags)
    if not hasattr(where, "sock"):
        raise TypeError(f"want an address or a port of ZIO's, not {type(where).__name__}")
    kind = int(where.sock.type)
    if kind not in (_SERVER, _ROUTER):
        raise ValueError(f"a broker's port has a SERVER or a ROUTER socket, not type {kind}")
    addresses = _take_over(where)
    if kind == _SERVER:
        return Program(server=addresses, binary=binary, flags=flags)
    return Program(router=addresses, binary=binary, flags=flags)


def _take_over(port: Any) -> list[str]:
    """The addresses that a port of ZIO's has bound, which it gives up.

    Its node stays online, and goes on telling others of them.
    """
    addresses = [str(address) for address in port.bound]
    if not addresses:
        raise ValueError("the port is not bound: take its node online first")
    _turn_away(port)
    port.sock.close(linger=_LINGER)  # not unbound: that would cut off who is to be told
    port.bound.clear()
    for address in addresses:
        _until_free(address)
    return addresses


def _turn_away(port: Any) -> None:
    """Says EOT to those whose BOTs came too early: nobody else would answer them."""
    while (message := port.recv(0)) is not None:
        message.label = '{"flow":"EOT","error":"draining","detail":"ask the broker again"}'
        message.payload = []
        try:
            port.send(message)
        except Exception as error:  # noqa: BLE001 - ZeroMQ's, for a peer that has gone
            _log.warning("a client that came early could not be told: %s", error)


def _until_free(address: str) -> None:
    """Waits until a TCP address can be bound again: ZeroMQ closes in the background."""
    url = urllib.parse.urlsplit(address)
    if url.scheme != "tcp" or url.port is None:
        return
    deadline = time.monotonic() + _RELEASE
    family = socket.AF_INET6 if ":" in (url.hostname or "") else socket.AF_INET
    while True:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((url.hostname or "", url.port))
                probe.listen()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
        time.sleep(0.01)  # nothing tells when it is closed
