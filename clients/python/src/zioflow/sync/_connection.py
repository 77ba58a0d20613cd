"""The connection of a program with threads to a gateway: grpcio's own synchronous stack."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from .. import _wire
from .._gen.zio.gateway.v1 import handler_pb2
from .._settings import Process, Settings
from ..errors import EndReason, FlowError
from ..messages import Incoming, Outgoing


class Connection:
    """A channel and its calls: the `Transport` of flows that are carried by gRPC."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._channel = settings.channel(grpc)
        self._flows, self._handlers = settings.stubs(self._channel)
        self._process = Process()
        #: The most bytes that a message may have.
        self.limit = settings.limit
        #: Set when it is closed.
        self.closing = threading.Event()

    @property
    def flows(self) -> Any:
        """The calls about flows; RuntimeError in a process that was forked."""
        self._process.check()
        return self._flows

    @property
    def handlers(self) -> Any:
        """The calls about handlers; likewise."""
        self._process.check()
        return self._handlers

    def failure(self, error: grpc.RpcError) -> FlowError:
        """What a call's status says."""
        return self._settings.failure(error)

    def encode(self, message: Outgoing) -> bytes:
        """See Transport."""
        self._process.check()
        return _wire.open_request(message, self.limit)

    def open(self) -> _Stream:
        """See Transport."""
        return _Stream(self.flows.Open, self.failure)

    def decline(self, cid: int, detail: str) -> None:
        """See Transport."""
        try:
            self.handlers.Decline(handler_pb2.DeclineRequest(cid=cid, detail=detail))
        except grpc.RpcError as error:
            failure = self.failure(error)
            if failure.code is not grpc.StatusCode.NOT_FOUND:
                raise failure from None

    def close(self) -> None:
        """Ends all calls."""
        if not self._process.is_this:
            return
        self.closing.set()
        self._channel.close()


#: So many bytes may wait to be sent until senders wait as well: enough for small messages to
#: need no change of threads each.
_ROOM = 64 << 10


class Outbox:
    """What is to be sent by a call: an iterator that a thread of grpc's goes through.

    It asks for the next when the one before is on its way.
    """

    def __init__(self) -> None:
        self._frames: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._over = False
        self._changed = threading.Condition()

    def put(self, frame: bytes) -> None:
        """Adds a message. After the end it is never sent."""
        with self._changed:
            self._frames.append(frame)
            self._size += len(frame)
            self._changed.notify_all()

    def drain(self) -> bool:
        """Waits until there is room for more; False if it ended before all was asked for."""
        with self._changed:
            while self._size >= _ROOM and not self._over:
                self._changed.wait()
            return not (self._frames and self._over)

    def end(self) -> None:
        """Nothing is sent any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def __iter__(self) -> Outbox:
        return self

    def __next__(self) -> bytes:
        with self._changed:
            while not self._frames and not self._over:
                self._changed.wait()
            if self._over:
                raise StopIteration
            frame = self._frames.popleft()
            self._size -= len(frame)
            self._changed.notify_all()
            return frame


class _Stream:
    """A call of Open."""

    def __init__(self, opens: Any, failure: Callable[[Any], FlowError]) -> None:
        self._failure = failure
        self._outbox = Outbox()
        self.write, self.drain = self._outbox.put, self._outbox.drain
        self._call = opens(self._outbox)
        self._call.add_done_callback(lambda _: self._outbox.end())

    def read(self) -> Incoming | None:
        try:
            for raw in self._call:
                message = _wire.read_response(raw)
                if message is not None:
                    return message
        except grpc.RpcError as error:
            raise self._failure(error) from None
        except DecodeError:
            detail = "what came is no message of a gateway's"
            raise FlowError(EndReason.UNSPECIFIED, detail) from None
        return None

    def cancel(self) -> None:
        self._call.cancel()
