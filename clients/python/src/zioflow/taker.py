"""The side of a flow that takes."""

from __future__ import annotations

import collections
from collections.abc import AsyncIterator
from typing import Any

from ._gen.zio.gateway.v1 import flow_pb2
from .flow import Flow
from .messages import Bot, Dat, read_dat, write_taken


class Taker(Flow):
    """A side that takes: iterate over it, in one place at a time.

    It pays by itself: for everything at the beginning, then, whenever half of the
    credit has been used, for what was used; and one by one once the giver has said
    EOT. A DAT counts as used when the next one is asked for.

    The iteration stops when the giver has said EOT, everything was used, and the
    flow has completed. If the flow fails, the iteration still yields what came
    before and then raises FlowError. Once the giver has said EOT, the gateway waits
    for its answer for a while only after the last sign of life (30 s by default), so
    no single DAT may take longer to use.

    Leaving the block before that ends the flow in good order; the giver is told
    how many DATs were used.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._came: collections.deque[flow_pb2.Dat] = collections.deque()
        self._taken = 0
        self._owed = 0

    def __aiter__(self) -> AsyncIterator[Dat]:
        return self

    async def __anext__(self) -> Dat:
        """The next DAT. Cancelled, it has taken none."""
        if self._bot is None or self._left:
            raise RuntimeError("a flow can be used only inside its block")
        self._pay_back(self._bot.credit)
        while not self._came:
            if self._done:
                self._conclude()
                raise StopAsyncIteration
            if self._eot is not None and not self._eot_failed():
                self._say_eot()
            await self._news.wait()
        self._taken += 1
        self._owed += 1  # from the next call on
        return read_dat(self._came.popleft())

    def _begin(self, bot: Bot) -> None:
        self._pay(bot.credit)

    def _pay_back(self, total: int) -> None:
        """Pays for what was used, if that is due.

        After the giver's EOT nothing more comes, and what has come may lie here or
        in grpc: only by the PAYs does the gateway see that this side still moves.
        The last one is not paid for, as the answer to the EOT follows.
        """
        due = max(1, total // 2)
        if self._eot is not None:
            if self._eot_failed() or not self._came:
                return
            due = 1
        if self._owed >= due and not self._done:
            owed, self._owed = self._owed, 0
            self._pay(owed)

    def _pay(self, credit: int) -> None:
        self._post(flow_pb2.OpenRequest(pay=flow_pb2.Pay(credit=credit)))

    def _take_in(self, kind: str, message: Any) -> None:
        if kind == "dat" and not self._left:
            self._came.append(message)

    def _leave(self) -> None:
        super()._leave()
        self._came.clear()

    def _eot_label(self) -> str:
        return write_taken(self._taken)
