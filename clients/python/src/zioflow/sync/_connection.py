"""The connection of a program with threads to a gateway: grpcio's own synchronous stack."""

from __future__ import annotations

import collections
import threading
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError

from .. import _wire
from .._gen.zio.gateway.v1 import handler_pb2
from .._settings import Settings
from ..errors import EndReason, FlowError, error_from_rpc
from ..messages import Incoming, Outgoing


class Stream(Protocol):
    """The messages of one flow, as one side sends and receives them: what
    `zioflow.transport.Stream` is, for threads.

    One thread reads at a time. All else may be called by any thread at any time.
    """

    def write(self, frame: Any) -> None:
        """Sends what `Transport.encode` has made of a message, after all before it.

        Returns at once; `drain` tells whether it was sent.
        """

    def drain(self) -> bool:
        """Waits until everything that was written is on its way.

        False says that the stream ended before; `read` tells why.
        """
        ...

    def read(self) -> Incoming | None:
        """The next message; None when the other side has ended the stream in good order.

        FlowError says why it has ended otherwise, also after `cancel`.
        """
        ...

    def cancel(self) -> None:
        """Ends the stream at once, for both sides. Ending it again, or one that has
        ended, does nothing."""


class Transport(Protocol):
    """Opens streams; shared by any number of flows and threads: what
    `zioflow.transport.Transport` is, for threads."""

    def encode(self, message: Outgoing) -> Any:
        """The message as it is sent.

        ValueError says that it cannot be sent, as it is too large or a number in it is.
        What is returned does not change when the memory of the message's parts does.
        """
        ...

    def open(self) -> Stream:
        """A stream for one flow: this side will send a BOT first. Returns at once."""
        ...

    def decline(self, cid: int, detail: str) -> None:
        """Refuses the offer with this cid, saying why in at most 1,024 bytes of UTF-8.

        One that is gone needs no refusal. FlowError says that it could not be refused.
        """


class Connection:
    """A channel and its calls: the `Transport` of flows that are carried by gRPC."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._channel = settings.channel(grpc)
        self.flows, self.handlers = settings.stubs(self._channel)
        #: The most bytes that a message may have.
        self.limit = settings.limit
        #: Set when it is closed.
        self.closing = threading.Event()

    def encode(self, message: Outgoing) -> bytes:
        """See Transport."""
        return _wire.open_request(message, self.limit)

    def open(self) -> _Stream:
        """See Transport."""
        return _Stream(self.flows.Open)

    def decline(self, cid: int, detail: str) -> None:
        """See Transport."""
        try:
            self.handlers.Decline(handler_pb2.DeclineRequest(cid=cid, detail=detail))
        except grpc.RpcError as error:
            failure = error_from_rpc(error)
            if failure.code is not grpc.StatusCode.NOT_FOUND:
                raise failure from None

    def close(self) -> None:
        """Ends all calls."""
        self.closing.set()
        self._channel.close()


class Outbox:
    """What is to be sent by a call: an iterator that a thread of grpc's goes through.

    It asks for the next when the one before is on its way.
    """

    def __init__(self) -> None:
        self._frames: collections.deque[bytes] = collections.deque()
        self._over = False
        self._changed = threading.Condition()

    def put(self, frame: bytes) -> None:
        """Adds a message. After the end it is never sent."""
        with self._changed:
            self._frames.append(frame)
            self._changed.notify_all()

    def drain(self) -> bool:
        """Waits until all messages have been asked for; False if it ended before."""
        with self._changed:
            while self._frames and not self._over:
                self._changed.wait()
            return not self._frames

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
            self._changed.notify_all()
            return frame


class _Stream:
    """A call of Open."""

    def __init__(self, opens: Any) -> None:
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
            raise error_from_rpc(error) from None
        except DecodeError:
            detail = "what came is no message of a gateway's"
            raise FlowError(EndReason.UNSPECIFIED, detail) from None
        return None

    def cancel(self) -> None:
        self._call.cancel()
