"""Giving a whole iterable in one call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Union

import grpc

from ._connection import Connection
from ._ending import Ending
from ._gen.zio.gateway.v1 import flow_pb2
from .errors import FlowEnded, error_from_rpc
from .messages import Bot, Dat, Eot, Part, read_bot, taken_by, write_dat

#: What `Gateway.put` makes a DAT of: one part, a sequence of parts, or a Dat,
#: whose seqno is ignored.
Item = Union[Part, Sequence[Part], Dat]
Items = Union[Iterable[Item], AsyncIterable[Item]]


@dataclass(frozen=True)
class PutResult:
    """What became of a `Gateway.put`."""

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

    async def run(self, bot: flow_pb2.Bot, items: Items) -> None:
        """Raises what the items raise, and nothing if the call fails."""
        if not await self._write(flow_pb2.PutRequest(bot=bot)):
            return
        async with contextlib.aclosing(_each(items)) as each:
            async for item in each:
                if not await self._write(flow_pb2.PutRequest(dat=_dat(item, bot.origin))):
                    return
                self.written += 1
        self.finished = True
        # Said, and not left to the end of the stream, which says as much of a caller that
        # was cut off.
        if await self._write(flow_pb2.PutRequest(eot=flow_pb2.Eot())):
            await self._call.done_writing()

    async def _write(self, request: flow_pb2.PutRequest) -> bool:
        self._connection.check_size(request)
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return False  # the answer says why
        return True


async def put(connection: Connection, bot: flow_pb2.Bot, items: Items) -> PutResult:
    """See Gateway.put."""
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
        raise error_from_rpc(await ending.of(error) or error) from None
    finally:
        call.cancel()
        feeding.cancel()
        answer.cancel()
        await asyncio.gather(feeding, answer, return_exceptions=True)
    result = PutResult(
        flow_id=response.flow_id,
        bot=read_bot(response.bot),
        messages=response.messages,
        bytes=response.bytes,
        eot_label=response.eot_label,
    )
    _check(feed, result)
    return result


async def _answer(call: Any) -> Any:
    return await call


def _check(feed: _Feed, result: PutResult) -> None:
    """Raises FlowEnded if the taker is known not to have used everything."""
    taken = taken_by(Eot(label=result.eot_label))
    used = result.messages if taken is None else min(taken, result.messages)
    if feed.finished and used >= feed.written:
        return
    of = f"of {feed.written} DATs" if feed.finished else "DATs, before the last one was given"
    raise FlowEnded(
        f"the taker ended the flow after using {used} {of}", flow_id=result.flow_id, taken=taken
    )


async def _each(items: Items) -> AsyncGenerator[Item, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


def _dat(item: Item, origin: int) -> flow_pb2.Dat:
    if isinstance(item, Dat):
        return write_dat(
            item.payload,
            label=item.label,
            origin=item.origin,
            granule=item.granule,
            level=item.level,
        )
    parts = [item] if isinstance(item, (bytes, bytearray, memoryview)) else item
    return write_dat(parts, label="", origin=origin, granule=0, level=0)
