"""Giving a whole iterable in one call."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import grpc

from ._connection import Connection
from ._ending import Ending
from ._gen.zio.gateway.v1 import flow_pb2
from ._items import Items, items_of
from ._wire import put_request, read_bot
from .errors import FlowEnded
from .giver import Giver
from .messages import Bot, Eot, GivenDat, refusal_of, taken_by, write_item


@dataclass(frozen=True)
class PutResult:
    """What became of a `Gateway.put` or `put_all`."""

    #: The flow's id, by which operators know it.
    flow_id: int
    #: The taker's BOT.
    bot: Bot
    #: DATs passed on to the taker.
    messages: int
    #: Payload bytes in them.
    bytes: int
    #: The label of the EOT with which the taker answered.
    eot_label: str


class _Feed:
    """Writes items to a call until they end or the call does."""

    def __init__(self, connection: Connection, call: Any) -> None:
        self._connection = connection
        self._call = call
        self.written = 0
        self.finished = False

    async def run(self, bot: Bot, items: Items) -> None:
        """Raises what the items raise, and nothing if the call fails."""
        if not await self._write(bot):
            return
        async with contextlib.aclosing(items_of(items)) as each:
            async for item in each:
                if not await self._write(write_item(item, bot.origin)):
                    return
                self.written += 1
        self.finished = True
        # Said, and not left to the end of the stream, which says as much of a caller that
        # was cut off.
        if await self._write(Eot()):
            await self._call.done_writing()

    async def _write(self, message: Bot | GivenDat | Eot) -> bool:
        request = put_request(message, self._connection.limit)
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return False  # the answer says why
        return True


async def put(connection: Connection, bot: Bot, items: Items) -> PutResult:
    """See Gateway.put_all."""
    call = connection.flows.Put()
    ending = Ending(call)
    feed = _Feed(connection, call)
    feeding = asyncio.ensure_future(feed.run(bot, items))
    answer = asyncio.ensure_future(_answer(call))
    try:
        await asyncio.wait({feeding, answer}, return_when=asyncio.FIRST_COMPLETED)
        if feeding.done():
            feeding.result()  # what the items raised
        response = await answer
    except grpc.aio.AioRpcError as error:
        raise connection.failure(await ending.of(error) or error) from None
    finally:
        call.cancel()
        feeding.cancel()
        answer.cancel()
        await asyncio.gather(feeding, answer, return_exceptions=True)
    result = read_result(response)
    check_used(result, written=feed.written, finished=feed.finished)
    return result


async def _answer(call: Any) -> Any:
    return await call


def read_result(response: flow_pb2.PutResponse) -> PutResult:
    """What the gateway says of a Put."""
    return PutResult(
        flow_id=response.flow_id,
        bot=read_bot(response.bot),
        messages=response.messages,
        bytes=response.bytes,
        eot_label=response.eot_label,
    )


def result_of(bot: Bot, eot: Eot | None, messages: int, size: int) -> PutResult:
    """What became of a flow that was given, which has completed."""
    assert eot is not None
    return PutResult(bot.flow_id, bot, messages, size, eot.label)


async def put_by_flow(flow: Giver, items: Items) -> PutResult:
    """What put does, by a flow of which it is known that it was opened."""
    messages = size = 0
    async with flow, contextlib.aclosing(items_of(items)) as each:
        async for item in each:
            dat = write_item(item, flow._giving.origin)
            await flow._give(dat)
            messages += 1
            size += sum(map(len, dat.payload))
    return result_of(flow.bot, flow.eot, messages, size)


def check_used(result: PutResult, *, written: int, finished: bool) -> None:
    """Raises FlowEnded if the taker is known not to have used everything: finished says
    whether everything was written."""
    eot = Eot(label=result.eot_label)
    taken, why = taken_by(eot), refusal_of(eot)
    used = result.messages if taken is None else min(taken, result.messages)
    if finished and used >= written:
        return
    of = f"of {written} DATs" if finished else "DATs, before the last one was given"
    raise FlowEnded(
        f"the taker ended the flow after using {used} {of}" + (f": {why}" if why else ""),
        flow_id=result.flow_id,
        taken=taken,
    )
