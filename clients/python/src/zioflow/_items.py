"""What `put_all` gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Union

from .messages import Dat, Item

#: What asyncio's iterates over.
Items = Union[Iterable[Item], AsyncIterable[Item]]


def each_of(items: Iterable[Item]) -> Iterable[Item]:
    """The items; TypeError for one that is text or bytes, whose characters would be DATs."""
    if isinstance(items, (str, bytes, bytearray, memoryview, Dat)):
        raise TypeError(f"put_all gives many: for {type(items).__name__} there is put")
    return items


async def items_of(items: Items) -> AsyncGenerator[Item, None]:
    """The items, whichever way they are iterated over; see each_of."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in each_of(items):
            yield item
