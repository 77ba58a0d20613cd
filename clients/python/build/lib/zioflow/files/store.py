"""What the file server asks of a store: a kind of file that has groups of messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from ._paths import Where
from .layout import Record


class Reader(Protocol):
    """The messages of one group, as they were when it was opened; for one thread at a time."""

    def __iter__(self) -> Iterator[Record]:
        """In the order of their numbers. StoreError for one that cannot be read."""
        ...

    def close(self) -> None:
        """Gives up the file."""


class Writer(Protocol):
    """A file that this process writes, and no other; for one thread at a time."""

    def open_group(self, group: tuple[str, ...]) -> None:
        """Makes a group ready for messages, and makes it if it is missing. StoreError if
        the file has something else there, or a message's own group."""

    def append(self, group: tuple[str, ...], record: Record) -> None:
        """Adds a message after all others of its group; see commit. StoreError if it
        cannot be stored: then it leaves nothing behind, nor do those since the commit."""

    def commit(self) -> None:
        """What was appended is kept from now on, whatever becomes of this process.
        StoreError if that fails: nothing since the last commit was appended."""

    def settle(self) -> bool:
        """Shows others what was committed, unless one reads just now; returns whether
        everything is shown."""
        ...

    def reader(self, group: tuple[str, ...]) -> Reader:
        """The messages that have been committed to a group; StoreError if it is missing."""
        ...

    def close(self) -> None:
        """Gives up the file. What is committed stays."""


class Store(Protocol):
    """A kind of file. May be used by many threads."""

    def writer(self, where: Where) -> Writer:
        """A file, which is made if it is missing. Busy if another program writes it,
        StoreError if it cannot be opened."""
        ...

    def reader(self, where: Where, group: tuple[str, ...]) -> Reader:
        """The messages of a group of a file. StoreError if one of both is missing."""
        ...

    def recover(self, where: Where) -> bool:
        """Completes what a writer that was killed has left undone; returns whether there
        was anything. Busy if the file is being written, StoreError if it cannot be done."""
        ...


def options(compression: str) -> tuple[str, Any]:
    """A compression's name and level, of what a user writes: gzip, gzip:4."""
    name, colon, level = compression.partition(":")
    if colon and not level.isdigit():
        raise ValueError(f"compression {compression!r}: want a name, or a name and a level, gzip:4")
    return name, int(level) if colon else None
