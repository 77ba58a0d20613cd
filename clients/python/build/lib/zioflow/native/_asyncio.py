"""Flows over ZeroMQ, on asyncio: by DEALER sockets, as those have a descriptor to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Union

import zmq
import zmq.asyncio

from .._settings import Process
from ..messages import Incoming, Outgoing
from ..transport import StreamEnded
from . import _exchange, _pump, _socket


class Transport:
    """The sockets of a gateway's flows; see transport.Transport."""

    def __init__(self, endpoint: _socket.Endpoint, *, max_message: int) -> None:
        self._endpoint = endpoint
        self._max_message = max_message
        self._process = Process()
        self._context = zmq.asyncio.Context()
        _socket.prepare(self._context)
        self._plain: zmq.Context[zmq.Socket[bytes]]
        self._plain = zmq.Context.shadow(self._context.underlying)
        self._streams: set[AnyStream] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def encode(self, message: Outgoing) -> _exchange.Frame:
        """See transport.Transport."""
        self._process.check()
        return _exchange.frame(message, self._max_message)

    def open(self) -> AnyStream:
        """See transport.Transport. ValueError says that the address is none."""
        exchange = _exchange.Exchange(self._endpoint, self._max_message)
        stream: AnyStream
        if self._endpoint.client:
            stream = PumpedStream(self, exchange, *self._endpoint.socket(self._plain))
        else:
            stream = Stream(self, exchange, *self._endpoint.socket(self._context))
        self._streams.add(stream)
        return stream

    def closed(self, stream: AnyStream) -> None:
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
        if not self._process.is_this:
            return
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
        exchange: _exchange.Exchange,
        socket: zmq.asyncio.Socket,
        monitor: zmq.asyncio.Socket,
    ) -> None:
        self._transport = transport
        self._exchange = exchange
        self._socket, self._monitor = socket, monitor
        self._closed = False
        # Done when nothing more comes than what has come.
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watching = transport.spawn(self._watch())

    async def write(self, frame: _exchange.Frame) -> None:
        """See transport.Stream."""
        if self._over.done():
            raise StreamEnded
        parts = self._exchange.outgoing(frame)
        sending: Any = self._socket.send_multipart(parts, copy=False)
        await self._either(sending)
        if not sending.done() or sending.cancelled() or sending.exception() is not None:
            raise StreamEnded
        self._exchange.sent(frame)
        if self._exchange.over:
            self._finish()

    async def read(self) -> Incoming | None:
        """See transport.Stream."""
        parts = await self._receive()
        message = self._exchange.incoming(parts) if parts is not None else None
        if self._exchange.over:
            self._finish()
        if message is not None:
            return message
        failure = self._exchange.failure()
        self._close(self._exchange.linger)
        if failure is not None:
            raise failure
        return None

    def cancel(self) -> None:
        """See transport.Stream."""
        if not self._closed:
            self._exchange.cancelled = True
            self._finish()
            self._close(0)

    async def _receive(self) -> list[bytes] | None:
        """The parts of the next message; None if none will come."""
        while not self._exchange.over and not self._closed:
            receiving: Any = self._socket.recv_multipart(zmq.NOBLOCK if self._over.done() else 0)
            await self._either(receiving)
            if receiving.done() and not receiving.cancelled():
                if receiving.exception() is not None:  # EAGAIN: nothing has come any more
                    return None
                parts: list[bytes] = receiving.result()
                return parts
        return None

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
        while self._exchange.connection.lost is None:
            self._exchange.connection.happened(await self._monitor.recv_multipart())
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


class PumpedStream:
    """One flow's CLIENT socket, which a thread works, as it has no descriptor; see
    transport.Stream."""

    def __init__(
        self,
        transport: Transport,
        exchange: _exchange.Exchange,
        socket: zmq.Socket[bytes],
        monitor: zmq.Socket[bytes],
    ) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        # Replaced whenever it is set.
        self._news = asyncio.Event()
        self._pump = _pump.Pump(exchange, socket, monitor, notify=self._notify)

    async def write(self, frame: _exchange.Frame) -> None:
        """See transport.Stream."""
        self._pump.post(frame)
        while not self._pump.idle and not self._pump.over:
            await self._news.wait()
        if not self._pump.idle:
            raise StreamEnded

    async def read(self) -> Incoming | None:
        """See transport.Stream."""
        while True:
            over = self._pump.over  # before what came last is looked for
            message = self._pump.next()
            if message is not None:
                return message
            if over:
                break
            await self._news.wait()
        self._transport.closed(self)
        failure = self._pump.failure()
        if failure is not None:
            raise failure
        return None

    def cancel(self) -> None:
        """See transport.Stream."""
        self._pump.cancel()
        self._transport.closed(self)

    def _notify(self) -> None:
        """There are news; in the pump's thread."""
        try:
            self._loop.call_soon_threadsafe(self._tell)
        except RuntimeError:
            pass  # the loop is closed: nobody waits

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


AnyStream = Union[Stream, PumpedStream]
