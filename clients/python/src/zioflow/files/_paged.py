"""A file that HDF5 writes to, and that is whole at any time, for others and after a crash.

HDF5 changes its tables in place, in many small pieces: a process that is killed in the
middle of that leaves a file that nobody can read. So what HDF5 changes in the part of the
file that is in use goes into pages in memory, first; what it adds behind that part goes
straight to the file, where it disturbs nobody. To commit is to write the pages into a
journal. To settle is to write them into the file as well, while no other program reads it.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Callable
from typing import Any

from ._journal import PAGE, Journal, Sums, read_page, sums, write_at
from .errors import Busy, StoreError

#: So many bytes of pages wait for other programs' readers; then these see the file change.
MAX_WAITING = 64 << 20


class _Seekable:
    """The half of Python's file protocol that h5py asks for first."""

    _at = 0
    _size = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (self._size if whence == os.SEEK_END else 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, _: int = -1) -> bytes:
        raise NotImplementedError  # h5py wants to see it, and uses readinto

    def flush(self) -> None:
        pass


def _read(file: int, at: int, buffer: Any, *overlays: dict[int, bytes]) -> int:
    """Fills the buffer from the file, and then with what overlays have of it."""
    view = memoryview(buffer).cast("B")
    size, done = len(view), 0
    while done < size and (got := os.preadv(file, [view[done:]], at + done)):
        done += got
    view[done:] = bytes(size - done)
    for pages in overlays:
        if not pages:
            continue
        first, last = at // PAGE, (at + size - 1) // PAGE
        for number in range(first, last + 1):
            page = pages.get(number)
            if page is not None:
                start, end = max(at, number * PAGE), min(at + size, (number + 1) * PAGE)
                view[start - at : end - at] = page[start - number * PAGE : end - number * PAGE]
    return size


class Snapshot(_Seekable):
    """What was committed at one time, to be read while more is written.

    To be used by one thread at a time, which may be another than the writer's.
    """

    def __init__(self, file: int, pages: dict[int, bytes], size: int) -> None:
        self._file = file
        self._size = size
        # Those that the file does not have, or has no more.
        self.pages = pages

    def readinto(self, buffer: Any) -> int:
        # The file first: a page is put here before it is changed there.
        done = _read(self._file, self._at, buffer, self.pages)
        self._at += done
        return done

    def write(self, _: Any) -> int:
        raise OSError("the file is read only")

    def truncate(self, _: int | None = None) -> int:
        return self._size

    def close(self) -> None:
        os.close(self._file)


class PagedFile(_Seekable):
    """A file that one writer has. Not to be used by two threads at once.

    What h5py calls never raises: an error of the disk is kept in `error`, after which
    nothing but `roll_back` makes sense. (In the middle of HDF5's work there is nobody who
    would deal with an exception.)
    """

    def __init__(self, file: int, journal: Journal, *, sync: bool) -> None:
        """Owns both descriptors from now on. Busy if another program has the file open."""
        self._file = file
        self._journal = journal
        self._sync = sync
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy("is being written by another program") from None
        self.error: OSError | None = None
        self._size = self._committed = self._allocated = os.fstat(file).st_size
        self._bound = _round_up(self._size)
        self._dirty: dict[int, bytes] = {}  # bytearrays, in truth: they are changed
        self._waiting: dict[int, bytes] = {}
        # The checksums of what is in the file in the place of a page of these.
        self._replaced: dict[int, Sums] = {}
        self._snapshots: weakref.WeakSet[Snapshot] = weakref.WeakSet()
        if not self._size:
            journal.add({}, {}, 0)  # who finds this finds a file that is to be empty

    def readinto(self, buffer: Any) -> int:
        done = _read(self._file, self._at, buffer, self._waiting, self._dirty)
        self._at += done
        return done

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        size, at = len(view), self._at
        inside = min(size, max(0, self._bound - at))
        if inside:
            self._patch(at, view[:inside])
        if inside < size:
            self._allocate(at + inside)
            if self._try(lambda: write_at(self._file, view[inside:], at + inside)):
                self._allocated = max(self._allocated, at + size)
        self._at = at + size
        self._size = max(self._size, self._at)
        return size

    def truncate(self, size: int | None = None) -> int:
        self._size = self._at if size is None else size
        self._allocate(self._size)
        return self._size

    def _allocate(self, size: int) -> None:
        """Makes the file as long, and not merely so: the disk must not lack it later."""
        more = size - self._allocated
        if more > 0:
            if self._try(lambda: _reserve(self._file, self._allocated, more)):
                self._allocated = size

    def _try(self, work: Callable[[], None]) -> bool:
        """Does something unless something has failed before; returns whether it is done."""
        if self.error is None:
            try:
                work()
                return True
            except OSError as error:
                self.error = error
        return False

    def _patch(self, at: int, view: memoryview) -> None:
        while view:
            number, start = divmod(at, PAGE)
            part = view[: PAGE - start]
            page: Any = self._dirty.get(number)
            if page is None:
                page = self._dirty[number] = bytearray(self._committed_page(number))  # type: ignore[assignment]
            page[start : start + len(part)] = part
            view, at = view[len(part) :], at + len(part)

    def _committed_page(self, number: int) -> bytes:
        page = self._waiting.get(number)
        if page is None:
            page = read_page(self._file, number)
            self._replaced[number] = sums(page)
        return page

    def page(self, number: int) -> bytearray:
        """A page as it is to become, to be changed before the commit."""
        if number not in self._dirty:
            self._patch(number * PAGE, memoryview(self._committed_page(number)))
        return self._dirty[number]  # type: ignore[return-value]

    def commit(self) -> None:
        """Makes what was written since the last commit last, even if this process is
        killed now; with `sync`, even if the machine stops. OSError if that fails."""
        if self.error is not None:
            raise self.error
        if not self._dirty and self._size == self._committed:
            return
        pages = {number: bytes(page) for number, page in self._dirty.items()}
        for number in pages.keys() - self._replaced.keys():
            self._replaced[number] = sums(read_page(self._file, number))
        if self._sync:
            os.fsync(self._file)
        self._journal.add(pages, self._replaced, self._size)
        if self._sync:
            self._journal.sync()
        self._waiting.update(pages)
        self._dirty.clear()
        self._committed = self._size
        self._bound = max(self._bound, _round_up(self._size))

    def discard(self) -> None:
        """Has everything that is written from now on lead nowhere, until `roll_back`."""
        self.error = self.error or OSError("what is written is not wanted")

    def roll_back(self) -> None:
        """Forgets what was written since the last commit."""
        self.error = None
        self._dirty.clear()
        self._size = self._committed

    @property
    def settled(self) -> bool:
        """Whether the file itself has all that was committed."""
        return self._journal.empty

    def settle(self) -> bool:
        """Brings what was committed into the file, unless another program reads it just
        now; returns whether that is done. OSError if the disk fails: then it is tried
        again, and nothing is lost meanwhile."""
        if self.settled:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._share()
            if len(self._waiting) * PAGE < MAX_WAITING:
                return False
        for snapshot in tuple(self._snapshots):
            for number in self._waiting:
                if number not in snapshot.pages:
                    snapshot.pages[number] = read_page(self._file, number)
        for number in sorted(self._waiting):
            write_at(self._file, self._waiting[number], number * PAGE)
        if self._sync:
            os.fsync(self._file)
        self._journal.clear()
        self._waiting.clear()
        self._replaced.clear()
        self._share()
        return True

    def _share(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError("another program has begun to write the file") from None

    def snapshot(self) -> Snapshot:
        """What was committed last. May be read, and closed, after this file is closed."""
        snapshot = Snapshot(os.dup(self._file), dict(self._waiting), self._committed)
        self._snapshots.add(snapshot)
        return snapshot

    def close(self) -> None:
        """Gives up the file; what is not committed is lost, what is not settled stays in
        the journal."""
        settled = self.settled
        if settled:
            os.ftruncate(self._file, self._committed)
        os.close(self._file)
        self._journal.close(remove=settled)


def _reserve(file: int, at: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, at, size)
    else:  # macOS
        os.ftruncate(file, at + size)


def _round_up(size: int) -> int:
    return -(-size // PAGE) * PAGE
