"""Giving a whole iterable in one call."""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from .._items import each_of
from .._put import PutResult, check_used, read_result, result_of
from .._wire import put_request
from ..messages import Bot, Eot, GivenDat, Item, write_item
from ._connection import Connection, Outbox
from ._flow import Giver


class _Feed:
    """Writes items to a call until they end or the call does."""

    def __init__(self, limit: int) -> None:
        self.outbox = Outbox()
        self.written = 0
        self.finished = False
        self._limit = limit

    def run(self, bot: Bot, items: Iterable[Item]) -> None:
        """Raises what the items raise, and nothing if the call ends."""
        if not self._write(bot):
            return
        for item in each_of(items):
            if not self._write(write_item(item, bot.origin)):
                return
            self.written += 1
        self.finished = True
        # Said, and not left to the end of the stream, which says as much of a caller that
        # was cut off.
        self._write(Eot())

    def _write(self, message: Bot | GivenDat | Eot) -> bool:
        self.outbox.put(put_request(message, self._limit))
        return self.outbox.drain()


def put_by_flow(flow: Giver, items: Iterable[Item]) -> PutResult:
    """What put does, by a flow of which it is known that it was opened."""
    messages = size = 0
    with flow:
        for item in each_of(items):
            dat = write_item(item, flow._giving.origin)
            flow._give(dat)
            messages += 1
            size += sum(map(len, dat.payload))
    return result_of(flow.bot, flow.eot, messages, size)


def put(connection: Connection, bot: Bot, items: Iterable[Item]) -> PutResult:
    """See Gateway.put_all."""
    feed = _Feed(connection.limit)
    call = connection.flows.Put.future(feed.outbox)
    call.add_done_callback(lambda _: feed.outbox.end())
    try:
        feed.run(bot, items)
        result = read_result(call.result())
    except grpc.RpcError as error:
        raise connection.failure(error) from None
    finally:
        call.cancel()
        feed.outbox.end()
    check_used(result, written=feed.written, finished=feed.finished)
    return result
