"""The side of a flow that takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ._core import Taking
from .flow import Flow
from .messages import Bot, Dat
from .transport import Transport


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

    def __init__(self, transport: Transport, bot: Bot, **options: Any) -> None:
        self._taking = Taking(bot.origin)
        super().__init__(transport, bot, self._taking, **options)

    def __aiter__(self) -> AsyncIterator[Dat]:
        return self

    async def __anext__(self) -> Dat:
        """The next DAT. Cancelled, it has taken none."""
        self._taking.ask()
        while True:
            dat = self._taking.take()
            self._flush()
            if dat is not None:
                return dat
            if self._taking.done:
                raise StopAsyncIteration
            await self._news.wait()

    def refuse(self, detail: str) -> None:
        """Says why no more is taken: for the EOT, which the end of the block sends.

        The DAT that came last counts as not used. A giver gets FlowEnded with the detail,
        which is cut to 1,024 bytes; a native one reads it in the EOT's label, as `detail`.
        Leave the block then, without an exception.
        """
        self._taking.refuse(detail)
