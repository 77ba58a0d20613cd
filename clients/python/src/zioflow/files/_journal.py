"""What is to be changed in a file, written down before it is changed.

A journal holds pages of a file as they are to become. It lies beside the file as long as
that is written, and its lock is the right to write the file. Whoever gets the lock and
finds pages there completes what somebody has left undone.

Records follow one another: how many pages, the file's size, for each page its number, the
checksums of what is in its place in the file, and itself; in the end a checksum of all that.
Disks write sectors whole, and pages not always: so each sector has a checksum.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator, Mapping

from .errors import Held, StoreError

PAGE = 4096
_HEAD = struct.Struct("<8sQQ")  # a magic word, how many pages, the file's size
_SECTOR = 512
_PAGE = struct.Struct("<Q8I")  # the page's number, the checksums of what it replaces
_END = struct.Struct("<I")
_MAGIC = b"ZIOPAGES"


#: The checksums of a page's sectors.
Sums = tuple[int, ...]


def sums(page: bytes) -> Sums:
    """The checksums of a page's sectors."""
    return tuple(zlib.crc32(page[at : at + _SECTOR]) for at in range(0, PAGE, _SECTOR))


class Journal:
    """The journal of one file, locked. Not to be used by two threads at once."""

    def __init__(self, folder: int, name: str) -> None:
        """Makes the journal of a file where there is none. Held if another has its lock."""
        self._name = name + ".journal"
        self._folder = os.dup(folder)
        try:
            self._file = self._open(name)
        except BaseException:
            os.close(self._folder)
            raise
        # Where the next record goes. What somebody has left is dealt with before.
        self._end = os.fstat(self._file).st_size

    def _open(self, name: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            file = os.open(self._name, flags, 0o666, dir_fd=self._folder)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                there = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
                if there.st_ino == os.fstat(file).st_ino:
                    return file
            except BlockingIOError:
                os.close(file)
                raise Held(f"{name} is being written by another file server") from None
            except FileNotFoundError:
                pass  # who had it has just removed it
            except BaseException:
                os.close(file)
                raise
            os.close(file)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be done."""
        return self._end == 0

    def add(self, pages: Mapping[int, bytes], replaced: Mapping[int, Sums], size: int) -> None:
        """Writes a record down. If that fails, OSError, nothing is changed."""
        record = [_HEAD.pack(_MAGIC, len(pages), size)]
        for number, page in pages.items():
            record += (_PAGE.pack(number, *replaced[number]), page)
        whole = b"".join(record)
        whole += _END.pack(zlib.crc32(whole))
        try:
            write_at(self._file, whole, self._end)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(whole)

    def sync(self) -> None:
        """Returns when the disk has it."""
        os.fsync(self._file)

    def clear(self) -> None:
        """Forgets all records: the file is as they say."""
        os.ftruncate(self._file, 0)
        self._end = 0

    def close(self, *, remove: bool) -> None:
        """Gives up the lock, and removes the journal if nothing is left to do."""
        if remove:
            os.unlink(self._name, dir_fd=self._folder)
        os.close(self._file)
        os.close(self._folder)

    def _records(self) -> Iterator[tuple[int, dict[int, tuple[Sums, bytes]]]]:
        """Sizes and pages of the records that are whole."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(0)
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                magic, count, size = _HEAD.unpack(head)
                if magic != _MAGIC:
                    return
                body = file.read(count * (_PAGE.size + PAGE)) if count < 1 << 40 else b""
                end = file.read(_END.size)
                if len(end) < _END.size or zlib.crc32(head + body) != _END.unpack(end)[0]:
                    return
                pages = {}
                for at in range(0, len(body), _PAGE.size + PAGE):
                    number, *replaced = _PAGE.unpack_from(body, at)
                    start = at + _PAGE.size
                    pages[number] = (tuple(replaced), body[start : start + PAGE])
                yield size, pages

    def holds_anything(self) -> bool:
        """Whether there is a record that somebody has left."""
        return any(True for _ in self._records())

    def recover(self, data: int) -> bool:
        """Completes in the file what was begun; returns whether there was anything.

        A file that was never finished becomes empty. StoreError if the file is not the
        one that the journal was written for, or has been changed since.
        """
        size: int | None = None
        pages: dict[int, tuple[Sums, bytes]] = {}
        for size, more in self._records():
            pages.update(more)
        if size is None:
            self.clear()
            return False
        for number, (replaced, page) in pages.items():
            there = zip(sums(read_page(data, number)), replaced, sums(page))
            if any(one not in (old, new) for one, old, new in there):
                raise StoreError(
                    f"{self._name} is not the journal of the file beside it, or that was "
                    "changed by another program: move one of them away"
                )
        for number, (_, page) in sorted(pages.items()):
            write_at(data, page, number * PAGE)
        os.ftruncate(data, size)
        os.fsync(data)
        self.clear()
        return True


def write_at(file: int, data: bytes | memoryview, at: int) -> None:
    """Writes all of it."""
    view = memoryview(data)
    while view:
        done = os.pwrite(file, view, at)
        view, at = view[done:], at + done


def read_page(file: int, number: int) -> bytes:
    """A page of a file, with zeros for what lies behind the file's end."""
    return os.pread(file, PAGE, number * PAGE).ljust(PAGE, b"\0")
