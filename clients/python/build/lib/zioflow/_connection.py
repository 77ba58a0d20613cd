"""The connection of an asyncio program to a gateway, which everything else shares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from . import _wire
from ._ending import Ending
from ._gen.zio.gateway.v1 import handler_pb2
from ._settings import Process, Settings
from .errors import EndReason, FlowError
from .messages import Incoming, Outgoing
from .transport import StreamEnded

#: What grpc.aio reads at the end of a stream.
EOF: Any = vars(grpc.aio)["EOF"]


class Connection:
    """A channel, its calls, and the tasks that work for it in the background.

    The `Transport` of flows that are carried by gRPC.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._channel = settings.channel(grpc.aio)
        self._flows, self._handlers = settings.stubs(self._channel)
        self._process = Process()
        #: The most bytes that a message may have.
        self.limit = settings.limit
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

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

    def failure(self, error: grpc.aio.AioRpcError) -> FlowError:
        """What a call's status says."""
        return self._settings.failure(error)

    def encode(self, message: Outgoing) -> bytes:
        """See Transport."""
        self._process.check()
        return _wire.open_request(message, self.limit)

    def open(self) -> _Stream:
        """See Transport."""
        return _Stream(self.flows.Open(), self.failure)

    async def decline(self, cid: int, detail: str) -> None:
        """See Transport."""
        try:
            await self.handlers.Decline(handler_pb2.DeclineRequest(cid=cid, detail=detail))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise self.failure(error) from None

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that close waits for. The work ends when its call does."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def pause(self, seconds: float, leaving: asyncio.Event) -> bool:
        """Waits for so long; returns False, at once, when the connection is closed or the
        event is set."""
        ends = [asyncio.ensure_future(event.wait()) for event in (self._closing, leaving)]
        try:
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        return not (self._closing.is_set() or leaving.is_set())

    async def close(self) -> None:
        """Ends all calls and waits until nothing of them is left."""
        if not self._process.is_this:
            return
        self._closing.set()
        await self._channel.close()
        if self._tasks:
            await asyncio.wait(self._tasks)


class _Stream:
    """A call of Open; see transport.Stream."""

    def __init__(self, call: Any, failure: Callable[[Any], FlowError]) -> None:
        self._call = call
        self._failure = failure
        self._ending = Ending(call)

    async def write(self, frame: bytes) -> None:
        try:
            await self._call.write(frame)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError):
            raise StreamEnded from None

    async def read(self) -> Incoming | None:
        try:
            while (raw := await self._call.read()) is not EOF:
                message = _wire.read_response(raw)
                if message is not None:
                    return message
        except grpc.aio.AioRpcError as error:
            status = await self._ending.of(error)
            if status is not None:
                raise self._failure(status) from None
        except DecodeError:
            detail = "what came is no message of a gateway's"
            raise FlowError(EndReason.UNSPECIFIED, detail) from None
        return None

    def cancel(self) -> None:
        self._call.cancel()
