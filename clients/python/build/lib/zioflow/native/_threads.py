"""Flows over ZeroMQ, for threads: what `zioflow.sync` runs on."""

from __future__ import annotations

import threading

import zmq

from .._settings import Process
from ..messages import Incoming, Outgoing
from . import _exchange, _pump, _socket


class Transport:
    """The sockets of a gateway's flows; see zioflow.sync's Transport."""

    def __init__(self, endpoint: _socket.Endpoint, *, max_message: int) -> None:
        self._endpoint = endpoint
        self._max_message = max_message
        self._process = Process()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        _socket.prepare(self._context)
        self._lock = threading.Lock()
        # Guarded by the lock; with those that are over.
        self._streams: list[Stream] = []
        self._closed = False

    def encode(self, message: Outgoing) -> _exchange.Frame:
        """See Transport."""
        self._process.check()
        return _exchange.frame(message, self._max_message)

    def open(self) -> Stream:
        """See Transport. ValueError says that the address is none."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the gateway has been closed")
            exchange = _exchange.Exchange(self._endpoint, self._max_message)
            stream = Stream(exchange, *self._endpoint.socket(self._context))
            self._streams = [s for s in self._streams if not s.over]
            self._streams.append(stream)
        return stream

    def decline(self, cid: int, detail: str) -> None:
        """See Transport: there is no way to do this."""
        raise _socket.no_decline()

    def close(self) -> None:
        """Breaks off all flows, and waits until what was said last has left."""
        if not self._process.is_this:
            return
        with self._lock:
            closed, self._closed = self._closed, True
            streams, self._streams = self._streams, []
        if closed:
            return
        for stream in streams:
            stream.cancel()
        for stream in streams:
            stream.join()
        self._context.term()


class Stream:
    """One flow's socket; see zioflow.sync's Stream."""

    def __init__(
        self,
        exchange: _exchange.Exchange,
        socket: zmq.Socket[bytes],
        monitor: zmq.Socket[bytes],
    ) -> None:
        self._changed = threading.Condition()
        self._pump = _pump.Pump(exchange, socket, monitor, notify=self._notify)
        self.write, self.cancel, self.join = self._pump.post, self._pump.cancel, self._pump.join

    @property
    def over(self) -> bool:
        """Whether its thread has nothing more to do."""
        return self._pump.over

    def drain(self) -> bool:
        """See Stream."""
        with self._changed:
            while not self._pump.idle and not self._pump.over:
                self._changed.wait()
        return self._pump.idle

    def read(self) -> Incoming | None:
        """See Stream."""
        with self._changed:
            while True:
                over = self._pump.over  # before what came last is looked for
                message = self._pump.next()
                if message is not None:
                    return message
                if over:
                    break
                self._changed.wait()
        failure = self._pump.failure()
        if failure is not None:
            raise failure
        return None

    def _notify(self) -> None:
        """There are news; in the pump's thread."""
        with self._changed:
            self._changed.notify_all()
