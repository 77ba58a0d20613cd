"""What both sides of a flow have in common: the stream, the BOTs and the EOTs."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import grpc

from ._connection import Connection
from ._ending import Ending
from ._gen.zio.gateway.v1 import flow_pb2
from .errors import EndReason, FlowEnded, FlowError, error_from_rpc
from .messages import Bot, Eot, read_bot, read_eot

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
        connection: Connection,
        bot: flow_pb2.Bot,
        *,
        accepted: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._request = flow_pb2.OpenRequest(bot=bot)
        self._connection.check_size(self._request)
        self._origin = bot.origin
        self._accepted = accepted
        self._call: Any = None
        self._reader: asyncio.Task[Any] | None = None
        self._bot: Bot | None = None
        self._eot: Eot | None = None
        self._error: FlowError | None = None
        self._said_eot = False
        self._left = False
        self._done = False
        # Replaced whenever it is set: who waits for it waits for the next news.
        self._news = asyncio.Event()
        # Those under way, in order: each waits for the one before.
        self._writes: collections.deque[asyncio.Task[bool]] = collections.deque()

    @property
    def bot(self) -> Bot:
        """The other side's BOT, with the credit agreed and the flow's id."""
        if self._bot is None:
            raise RuntimeError("the flow has not been entered")
        return self._bot

    @property
    def eot(self) -> Eot | None:
        """The other side's EOT, or the gateway's in its place; None before."""
        return self._eot

    async def __aenter__(self: _Self) -> _Self:
        if self._call is not None:
            raise RuntimeError("a flow can be entered only once")
        self._call = self._connection.flows.Open()
        self._reader = self._connection.spawn(self._read(Ending(self._call)))
        try:
            self._post(self._request)
            while self._bot is None and not self._done:
                await self._news.wait()
            if self._bot is None:
                raise self._failure()
        except BaseException:
            await self._abandon()
            raise
        self._accepted()
        self._begin(self._bot)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()
        # Where both sides have said EOT, FlowEnded leaves nothing to break off.
        both = self._said_eot and self._eot is not None
        if error is not None and not (both and isinstance(error, FlowEnded)):
            await self._abandon()
            return
        try:
            self._say_eot()
            await self._until_done()
        except BaseException:
            await self._abandon()
            raise
        if error is None:
            self._conclude()

    def _leave(self) -> None:
        """Does what comes first when the block is left."""
        self._left = True

    def _begin(self, bot: Bot) -> None:
        """Does what comes after the BOTs."""

    def _take_in(self, kind: str, message: Any) -> None:
        """Deals with a message that came."""
        raise NotImplementedError

    def _eot_label(self) -> str:
        return ""

    def _conclude(self) -> None:
        """Raises unless the flow, which is done, has ended well."""
        if self._error is not None or self._eot is None:
            raise self._failure()

    def _failure(self) -> FlowError:
        """Why the stream is done, for one that still needed it."""
        if self._error is not None:
            return self._error._again()
        detail = "the gateway ended the stream too early"
        return FlowError(EndReason.UNSPECIFIED, detail, flow_id=self._flow_id())

    def _flow_id(self) -> int:
        return self._bot.flow_id if self._bot is not None else 0

    async def _read(self, ending: Ending) -> None:
        """Takes in what comes until the stream ends; a task of its own.

        No one else reads: in grpc, a read that is cancelled ends the call.
        """
        try:
            async for response in self._call:
                self._receive(response)
                self._tell()
        except grpc.aio.AioRpcError as error:
            self._error = self._as_told(error)
            self._error = await self._meant(error, ending)
        except asyncio.CancelledError:  # of the call, or of all tasks at the very end
            self._error = FlowError(
                EndReason.UNSPECIFIED,
                "the flow was broken off on this side",
                code=grpc.StatusCode.CANCELLED,
                flow_id=self._flow_id(),
            )
        finally:
            self._call.cancel()
            for write in self._writes:  # which would wait for ever for a call that never began
                write.cancel()
            self._done = True
            self._tell()

    def _receive(self, response: flow_pb2.OpenResponse) -> None:
        kind = response.WhichOneof("message")
        if kind is None:
            return
        message = getattr(response, kind)
        if kind == "bot":
            self._bot = read_bot(message)
        elif kind == "eot":
            self._eot = read_eot(message)
        self._take_in(kind, message)

    async def _meant(self, error: grpc.aio.AioRpcError, ending: Ending) -> FlowError | None:
        status = await ending.of(error)
        return self._as_told(status) if status is not None else None

    def _as_told(self, status: grpc.aio.AioRpcError) -> FlowError:
        """The status as an error; the EOT's reason counts if the status has none."""
        error = error_from_rpc(status, flow_id=self._flow_id())
        if self._eot is None or not self._eot_failed() or error.reason is not EndReason.UNSPECIFIED:
            return error
        return FlowError(self._eot.reason, self._eot.detail, code=error.code, flow_id=error.flow_id)

    def _eot_failed(self) -> bool:
        """Whether the EOT that came says that the flow has failed."""
        good = (EndReason.UNSPECIFIED, EndReason.COMPLETED)
        return self._eot is not None and self._eot.reason not in good

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _until_done(self) -> None:
        while not self._done:
            await self._news.wait()

    def _say_eot(self) -> None:
        """Says EOT unless that has been done, or is too late."""
        if self._said_eot or self._done:
            return
        self._said_eot = True
        self._tell()
        eot = flow_pb2.Eot(label=self._eot_label(), origin=self._origin)
        self._post(flow_pb2.OpenRequest(eot=eot))

    def _post(self, request: flow_pb2.OpenRequest) -> asyncio.Task[bool]:
        """Sends a message after all earlier ones, whoever waits for it or not.

        The task answers False, or is cancelled, if the stream has ended. No one
        else may cancel it: in grpc, a write that is cancelled ends the call.
        """
        before = self._writes[-1] if self._writes else None
        write = self._connection.spawn(self._write(request, before))
        self._writes.append(write)
        write.add_done_callback(self._writes.remove)
        return write

    async def _write(
        self, request: flow_pb2.OpenRequest, before: asyncio.Task[bool] | None
    ) -> bool:
        try:
            if before is not None:
                await asyncio.wait({before})
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError):
            return False  # the reader learns why
        return True

    async def _abandon(self) -> None:
        """Ends the stream at once, and waits until nothing of it is left."""
        self._call.cancel()
        if self._reader is not None:
            await asyncio.wait({self._reader, *self._writes})
