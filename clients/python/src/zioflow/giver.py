"""The side of a flow that gives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from ._core import Giving
from ._items import Items, items_of
from .flow import Flow
from .messages import Bot, Dat, GivenDat, Label, Part, write_dat, write_given, write_item
from .tensors import Array
from .transport import Transport


class Giver(Flow):
    """A side that gives: put DATs into it.

    Leaving the block raises FlowEnded if the taker had ended the flow before, and
    used less than was put or did not say how much it used. (What is under way
    while a taker says EOT is lost. A Taker says how much it has used; of others it
    is known only that they ended the flow, unless both sides did so at once.)
    """

    def __init__(self, transport: Transport, bot: Bot, **options: Any) -> None:
        self._giving = Giving(bot.origin)
        super().__init__(transport, bot, self._giving, **options)
        # Held by the one whose turn it is to put.
        self._turn = asyncio.Lock()

    async def put(
        self,
        *payload: Part | Array | tuple[Part | Array, ...] | Dat,
        label: Label = "",
        origin: int | None = None,
        granule: int = 0,
        level: int = 0,
    ) -> None:
        """Gives one DAT with these parts, once the taker has paid for it.

        A part is bytes, a text, which goes out in UTF-8, or an array, which the label
        describes, see `put_arrays`. A single tuple holds the parts; a single Dat is
        given as it is, but for its seqno. A granule of 0 becomes the present, in
        microseconds since the epoch, an origin of None the flow's.

        FlowEnded says that the taker has ended the flow, FlowError that the flow
        failed; in both cases the taker does not use this DAT. ValueError or
        TypeError say that no DAT can be made of the arguments, or that it is too
        large; the flow goes on. A label's text is left to the gateway to judge.

        Cancelled while it waits for credit, it gives nothing. Cancelled later,
        the DAT goes out all the same. Concurrent calls take turns.
        """
        await self._give(
            write_given(
                payload,
                self._giving.origin,
                label=label,
                origin=origin,
                granule=granule,
                level=level,
            )
        )

    async def put_arrays(
        self,
        *arrays: Array,
        metadata: Mapping[str, Any] | None = None,
        order: str = "C",
        label: Label = "",
        origin: int | None = None,
        granule: int = 0,
        level: int = 0,
    ) -> None:
        """Gives one DAT whose parts are these arrays, in ZIO's form TENS.

        The arrays are NumPy's or what becomes one, or a `Tensor`, which has metadata of
        its own. They may have booleans, integers of 1 to 8 bytes, floats of 2 to 8,
        complex numbers of 8 and 16, and long doubles, which only machines of the same
        kind understand; where ml_dtypes is installed also what that has, which other
        readers see as unsigned integers. TypeError names any other dtype.
        An xarray.DataArray keeps its name and the names of its dimensions, as metadata.

        They go out row by row, as every reader of ZIO's expects; with the order "K", one
        that lies column by column goes out as it lies, and its description says so,
        which readers of ZIO's own ignore. The metadata is that of the message.
        The other arguments, and errors, are those of put.
        """
        await self._give(
            write_dat(
                arrays,
                label=label,
                origin=self._giving.origin if origin is None else origin,
                granule=granule,
                level=level,
                metadata=metadata or {},
                order=order,
            )
        )

    async def put_all(self, items: Items) -> None:
        """Gives a DAT for each item: what put makes one of. FlowEnded and FlowError are
        those of put; what the iterable raises is raised."""
        async with contextlib.aclosing(items_of(items)) as each:
            async for item in each:
                await self._give(write_item(item, self._giving.origin))

    async def _give(self, dat: GivenDat) -> None:
        frame = self._transport.encode(dat)
        async with self._turn:
            while not self._giving.may_give():
                await self._news.wait()
            self._giving.give()
            sent = await self._post(frame)
        if not sent:
            await self._until_done()
            raise self._giving.not_sent()
