"""A thread that works the socket of one flow, which ZeroMQ lets no two threads use."""

from __future__ import annotations

import collections
import contextlib
import socket as sockets
import threading
from collections.abc import Callable
from typing import Any

import zmq

from ..errors import FlowError
from ..messages import Incoming
from . import _socket
from ._exchange import Exchange, Frame


class Pump:
    """Sends what is posted and keeps what comes, until the exchange ends.

    Any thread may call its methods at any time. `notify` is called by the pump's own thread
    after each change, and must return soon. It ends by itself, at the latest when it is
    cancelled, and closes the socket.
    """

    def __init__(
        self,
        exchange: Exchange,
        socket: zmq.Socket[bytes],
        monitor: zmq.Socket[bytes],
        *,
        notify: Callable[[], None],
    ) -> None:
        self._exchange = exchange  # the thread's, until it is over
        self._socket, self._monitor = socket, monitor  # the thread's
        self._notify = notify
        self._lock = threading.Lock()
        # Guarded by the lock.
        self._frames: collections.deque[Frame] = collections.deque()
        self._came: collections.deque[Incoming] = collections.deque()
        self._cancelled = self._over = False
        # What is written into the one wakes the thread, which reads from the other.
        self._waker, self._woken = sockets.socketpair()
        for end in (self._waker, self._woken):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="zioflow native", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether everything that was posted has been handed to ZeroMQ."""
        return not self._frames

    @property
    def over(self) -> bool:
        """Whether nothing more is sent, and nothing more comes than what has come."""
        return self._over

    def post(self, frame: Frame) -> None:
        """Sends a message after those posted before."""
        with self._lock:
            self._frames.append(frame)
        self._wake()

    def next(self) -> Incoming | None:
        """What has come next; None if nothing has."""
        with self._lock:
            return self._came.popleft() if self._came else None

    def failure(self) -> FlowError | None:
        """Why it is over; None if the exchange has ended well."""
        return self._exchange.failure()

    def cancel(self) -> None:
        """Ends the exchange at once."""
        with self._lock:
            self._cancelled = True
        self._wake()

    def join(self) -> None:
        """Waits until the thread has ended."""
        self._thread.join()

    def _wake(self) -> None:
        # If it is full, the thread has enough to wake it; if it is closed, there is none.
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def _run(self) -> None:
        poller: Any = zmq.Poller()
        poller.register(self._woken, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        try:
            while not self._step(poller):
                pass
        finally:
            with self._lock:
                self._over = True
                linger = 0 if self._cancelled else self._exchange.linger
            _socket.close(self._socket, self._monitor, linger)
            self._waker.close()
            self._woken.close()
            self._notify()

    def _step(self, poller: Any) -> bool:
        """Waits, and does what there is to do; returns whether it is over."""
        poller.register(self._socket, zmq.POLLIN | (zmq.POLLOUT if self._frames else 0))
        ready = dict(poller.poll())
        if self._woken.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(4096)
        if self._cancelled:
            self._exchange.cancelled = True
            return True
        if self._monitor in ready:
            self._exchange.connection.happened(self._monitor.recv_multipart())
        lost = self._exchange.connection.lost is not None
        if not lost:
            self._send()
        self._receive()
        return lost or self._exchange.over

    def _send(self) -> None:
        """Sends as much as there is room for."""
        changed = False
        with contextlib.suppress(zmq.Again):
            while self._frames:
                frame = self._frames[0]
                if frame is not self._numbered:
                    self._parts, self._numbered = self._exchange.outgoing(frame), frame
                self._socket.send_multipart(self._parts, zmq.NOBLOCK, copy=False)
                self._exchange.sent(frame)
                self._parts = []
                with self._lock:
                    self._frames.popleft()
                changed = True
        if changed:
            self._notify()

    # The message that is to be sent next, if it has its number already.
    _numbered: Frame | None = None
    _parts: list[bytes]

    def _receive(self) -> None:
        """Takes in what has come."""
        changed = False
        with contextlib.suppress(zmq.Again):
            while not self._exchange.over:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
                message = self._exchange.incoming(parts)
                if message is not None:
                    with self._lock:
                        self._came.append(message)
                    changed = True
        if changed:
            self._notify()
