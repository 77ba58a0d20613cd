"""Flows over ZeroMQ, on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import zmq
import zmq.asyncio

from ..messages import Eot, Incoming, Outgoing
from ..transport import StreamEnded
from ..zio._message import Message
from . import _socket
from ._wire import HEAD_ROOM, Numbering, Reading, encode


@dataclass(frozen=True)
class Frame:
    """A message that is ready but for its number."""

    message: Message
    is_eot: bool


class Transport:
    """The sockets of a gateway's flows; see transport.Transport."""

    def __init__(self, endpoint: _socket.Endpoint, *, max_message: int) -> None:
        self._endpoint = endpoint
        self.limit = max_message + HEAD_ROOM
        self._context = zmq.asyncio.Context()
        self._context.set(zmq.MAX_SOCKETS, self._context.get(zmq.SOCKET_LIMIT))
        self._streams: set[Stream] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def encode(self, message: Outgoing) -> Frame:
        """See transport.Transport."""
        return Frame(encode(message, self.limit), isinstance(message, Eot))

    def open(self) -> Stream:
        """See transport.Transport."""
        stream = Stream(self, *self._endpoint.socket(self._context))
        self._streams.add(stream)
        return stream

    def connection(self) -> _socket.Connection:
        """What becomes of a new socket's connection."""
        return _socket.Connection(self._endpoint)

    def closed(self, stream: Stream) -> None:
        """A stream is told to have closed."""
        self._streams.discard(stream)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """See transport.Transport."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def decline(self, cid: int, detail: str) -> None:
        """See transport.Transport: there is no way to do this."""
        raise _socket.no_decline()

    async def close(self) -> None:
        """Breaks off all flows, and waits until what was said last has left."""
        for stream in list(self._streams):
            stream.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.to_thread(self._context.term)


class Stream:
    """One flow's socket; see transport.Stream."""

    def __init__(
        self,
        transport: Transport,
        socket: zmq.asyncio.Socket,
        monitor: zmq.asyncio.Socket,
    ) -> None:
        self._transport = transport
        self._socket, self._monitor = socket, monitor
        self._delimiter = [] if socket.type == zmq.CLIENT else [_socket.DELIMITER]
        self._numbering, self._reading = Numbering(), Reading(transport.limit)
        self._connection = transport.connection()
        self._cancelled = self._closed = False
        # Done when nothing more comes than what has come.
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watching = transport.spawn(self._watch())

    async def write(self, frame: Frame) -> None:
        """See transport.Stream."""
        if self._over.done():
            raise StreamEnded
        parts = [*self._delimiter, *self._numbering.parts(frame.message)]
        sending: Any = self._socket.send_multipart(parts, copy=False)
        await self._either(sending)
        if not sending.done() or sending.cancelled() or sending.exception() is not None:
            raise StreamEnded
        if frame.is_eot:
            self._reading.answered = True
            self._check_completed()

    async def read(self) -> Incoming | None:
        """See transport.Stream."""
        parts = await self._receive()
        if parts is None:
            self._conclude()
            return None
        try:
            message = self._reading.read(parts[len(self._delimiter) :])
        except BaseException:
            self.cancel()
            raise
        self._check_completed()
        return message

    def cancel(self) -> None:
        """See transport.Stream."""
        if self._closed:
            return
        self._cancelled = True
        self._finish()
        self._close(0)

    async def _receive(self) -> list[bytes] | None:
        """The parts of the next message; None if none will come."""
        while not self._completed and not self._closed:
            receiving: Any = self._socket.recv_multipart(zmq.NOBLOCK if self._over.done() else 0)
            await self._either(receiving)
            if receiving.done() and not receiving.cancelled():
                if receiving.exception() is not None:  # EAGAIN: nothing has come any more
                    return None
                parts: list[bytes] = receiving.result()
                return parts
        return None

    @property
    def _completed(self) -> bool:
        reading = self._reading
        return reading.error is not None or (reading.answered and reading.ended)

    def _check_completed(self) -> None:
        if self._completed:
            self._finish()

    def _conclude(self) -> None:
        """Ends the stream, from which nothing more will come; raises why."""
        error = self._reading.error
        if error is None:
            if self._completed:
                self._close(_socket.LINGER)
                return
            error = _socket.broken_off() if self._cancelled else self._connection.lost
        self._close(0)
        assert error is not None
        raise error._again()

    async def _either(self, future: asyncio.Future[Any]) -> None:
        """Waits for the future, but not any more when it is over."""
        if future.done():
            return
        try:
            await asyncio.wait({future, self._over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not future.done():
                future.cancel()

    async def _watch(self) -> None:
        """Sees what becomes of the connection; a task of its own."""
        while self._connection.lost is None:
            self._connection.happened(await self._monitor.recv_multipart())
        self._finish()

    def _finish(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _close(self, linger: int) -> None:
        if self._closed:
            return
        self._closed = True
        self._watching.cancel()
        _socket.close(self._socket, self._monitor, linger)
        self._transport.closed(self)
