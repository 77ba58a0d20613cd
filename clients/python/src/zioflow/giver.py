"""The side of a flow that gives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from ._gen.zio.gateway.v1 import flow_pb2
from ._put import Items, items_of
from .errors import EndReason, FlowEnded
from .flow import Flow
from .messages import Dat, Label, Part, taken_by, write_dat, write_item
from .tensors import Array


class Giver(Flow):
    """A side that gives: put DATs into it.

    Leaving the block raises FlowEnded if the taker had ended the flow before, and
    used less than was put or did not say how much it used. (What is under way
    while a taker says EOT is lost. A Taker says how much it has used; of others it
    is known only that they ended the flow, unless both sides did so at once.)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._credit = 0
        self._sent = 0
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
        parts: Any = payload
        if len(payload) == 1 and isinstance(payload[0], (tuple, Dat)):
            parts = payload[0]
        if isinstance(parts, Dat):
            if label or origin is not None or granule or level:
                raise TypeError("a Dat has its own label, origin, granule and level")
            await self._give(write_item(parts, self._origin))
            return
        await self._give(
            write_dat(
                parts,
                label=label,
                origin=self._origin if origin is None else origin,
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
                origin=self._origin if origin is None else origin,
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
                await self._give(write_item(item, self._origin))

    async def _give(self, dat: flow_pb2.Dat) -> None:
        request = flow_pb2.OpenRequest(dat=dat)
        self._connection.check_size(request)
        async with self._turn:
            await self._earn()
            self._credit -= 1
            self._sent += 1
            write = self._post(request)
            await asyncio.wait({write})
        if write.cancelled() or not write.result():
            await self._until_done()
            raise self._ended() if self._error is None else self._failure()

    async def _earn(self) -> None:
        """Waits for credit."""
        if self._bot is None or self._left:
            raise RuntimeError("a flow can be used only inside its block")
        while self._credit < 1 and self._eot is None and not self._done and not self._left:
            await self._news.wait()
        if self._eot is not None and not self._eot_failed():
            raise self._ended()
        if self._eot is not None or self._done:
            await self._until_done()
            raise self._failure()
        if self._left:
            raise RuntimeError("a flow can be used only inside its block")

    def _take_in(self, kind: str, message: Any) -> None:
        if kind == "pay":
            self._credit += message.credit
        elif kind == "eot" and not self._eot_failed():
            # Nothing more will be taken: there is nothing to wait for.
            self._say_eot()

    def _taken(self) -> int | None:
        return taken_by(self._eot) if self._eot is not None else None

    def _ended(self) -> FlowEnded:
        taken = self._taken()
        used = "an unknown number" if taken is None else taken
        return FlowEnded(
            f"the taker ended the flow after using {used} of {self._sent} DATs",
            flow_id=self._flow_id(),
            taken=taken,
        )

    def _conclude(self) -> None:
        super()._conclude()
        taken = self._taken()
        if taken is not None:
            lost = taken < self._sent
        else:
            # An EOT that does not answer ours may have come before it all was used.
            asked = self._eot is not None and self._eot.reason is EndReason.COMPLETED
            lost = self._sent > 0 and not asked
        if lost:
            raise self._ended()
