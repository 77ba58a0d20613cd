"""What both sides of a flow have in common, on asyncio: the rules are in _core."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import grpc

from ._core import Side
from ._retry import Attempts
from .errors import EndReason, FlowError
from .messages import Bot, Eot
from .transport import Stream, StreamEnded, Transport

_Self = TypeVar("_Self", bound="Flow")


class Flow:
    """One side of one flow; made by a `Gateway` or an `Offer`.

    An asynchronous context manager, to be entered once. Entering returns when
    the other side has answered; FlowError says that nobody did. Leaving the
    block in good order ends the flow in good order: it returns when both sides
    have said EOT, and raises FlowError if the flow ended otherwise. Leaving it
    by an exception breaks the flow off: the other side sees `peer_gone`.
    """

    def __init__(
        self,
        transport: Transport,
        bot: Bot,
        side: Side,
        *,
        accepted: Callable[[], None] = lambda: None,
        retry: float = 0,
    ) -> None:
        self._transport = transport
        self._side = side
        self._request = transport.encode(bot)
        self._accepted = accepted
        self._attempts = Attempts(retry)
        self._stream: Stream | None = None
        self._reader: asyncio.Task[Any] | None = None
        self._writer: asyncio.Task[Any] | None = None
        # Replaced whenever it is set: who waits for it waits for the next news.
        self._news = asyncio.Event()
        # What is to be sent, and whom to tell whether it was.
        self._frames: collections.deque[tuple[Any, asyncio.Future[bool]]] = collections.deque()
        self._more = asyncio.Event()

    @property
    def bot(self) -> Bot:
        """The other side's BOT, with the credit agreed and the flow's id."""
        if self._side.bot is None:
            raise RuntimeError("the flow has not been entered")
        return self._side.bot

    @property
    def eot(self) -> Eot | None:
        """The other side's EOT, or the gateway's in its place; None before."""
        return self._side.eot

    async def __aenter__(self: _Self) -> _Self:
        if self._stream is not None:
            raise RuntimeError("a flow can be entered only once")
        while True:
            try:
                await self._open()
                break
            except FlowError as error:
                pause = self._attempts.failed(error)
                if pause is None:
                    raise
            await asyncio.sleep(pause)
            self._side.start_again()
        self._accepted()
        self._side.begin()
        self._flush()
        return self

    async def _open(self) -> None:
        """Opens a stream, and waits until the other side has answered."""
        self._stream = self._transport.open()
        self._writer = self._transport.spawn(self._write(self._stream))
        self._reader = self._transport.spawn(self._read(self._stream))
        try:
            self._post(self._request)
            while not self._side.opened():
                await self._news.wait()
        except BaseException:
            await self._abandon()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._side.leave()
        if self._side.breaks_off(error):
            await self._abandon()
            return
        try:
            self._side.say_eot()
            self._tell()
            await self._until_done()
        except BaseException:
            await self._abandon()
            raise
        if error is None:
            self._side.conclude()

    async def _read(self, stream: Stream) -> None:
        """Takes in what comes until the stream ends; a task of its own.

        No one else reads: in grpc, a read that is cancelled ends the call.
        """
        failure: FlowError | None = None
        try:
            while (message := await stream.read()) is not None:
                self._side.received(message)
                self._tell()
        except FlowError as error:
            failure = error
        except asyncio.CancelledError:  # of the stream, or of all tasks at the very end
            failure = FlowError(
                EndReason.UNSPECIFIED,
                "the flow was broken off on this side",
                code=grpc.StatusCode.CANCELLED,
            )
        finally:
            stream.cancel()
            assert self._writer is not None
            self._writer.cancel()  # which would wait for ever for a call that never began
            self._side.closed(failure)
            self._tell()

    async def _write(self, stream: Stream) -> None:
        """Sends what is posted until the stream ends; a task of its own.

        No one else writes: in grpc, a write that is cancelled ends the call.
        """
        try:
            while True:
                while not self._frames:
                    self._more.clear()
                    await self._more.wait()
                await stream.write(self._frames[0][0])
                _, sent = self._frames.popleft()
                _settle(sent, True)
        except (StreamEnded, asyncio.CancelledError):
            pass  # the reader learns why
        finally:
            while self._frames:
                _settle(self._frames.popleft()[1], False)

    def _post(self, frame: Any) -> asyncio.Future[bool]:
        """Sends a frame after all earlier ones, whoever waits for it or not.

        The result is whether it was sent; False says that the stream has ended.
        """
        sent: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._writer is None or self._writer.done():
            sent.set_result(False)
        else:
            self._frames.append((frame, sent))
            self._more.set()
        return sent

    def _flush(self) -> None:
        """Sends what the rules want to be sent."""
        for message in self._side.outgoing():
            self._post(self._transport.encode(message))

    def _tell(self) -> None:
        """Deals with a change: sends what follows from it, and wakes who waits for news."""
        self._flush()
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _until_done(self) -> None:
        while not self._side.done:
            await self._news.wait()

    async def _abandon(self) -> None:
        """Ends the stream at once, and waits until nothing of it is left."""
        if self._stream is None or self._reader is None or self._writer is None:
            return
        self._stream.cancel()
        await asyncio.wait({self._reader, self._writer})


def _settle(sent: asyncio.Future[bool], result: bool) -> None:
    if not sent.done():
        sent.set_result(result)
