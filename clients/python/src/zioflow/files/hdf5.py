"""Flows in files of HDF5."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from typing import Any

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy

from . import _superblock
from ._filters import Filter, find_filters
from ._journal import Journal, read_page
from ._paged import PagedFile, Snapshot
from ._paths import Where, open_file
from .errors import Busy, FileServerError, StoreError
from .layout import (
    METADATA,
    TENSORS,
    Part,
    Record,
    message_name,
    message_number,
    part_index,
    part_name,
)

#: What is written is in the formats of HDF5 1.8, which ZIO's programs read, and which have
#: no marks that a killed process leaves behind.
_FORMATS = ("v108", "latest")

_TEXT = h5py.string_dtype()
_SCALAR = h5py.h5s.create(h5py.h5s.SCALAR)

Group = tuple[str, ...]


class Hdf5Store:
    """Files of HDF5. May be used by many threads; HDF5 itself does one thing at a time."""

    def __init__(
        self, *, compression: str = "", sync: bool = False, max_message: int = 64 << 20
    ) -> None:
        """Compression is gzip, lzf, or one of hdf5plugin's, with a level where wanted:
        "gzip:4". ValueError names one that is not known. With sync, what is committed
        lasts even if the machine stops. A message larger than max_message bytes, which
        nobody could be sent, is not read.
        """
        self._filter = Filter(compression) if compression else None
        self._sync = sync
        self._max_message = max_message
        find_filters()

    def writer(self, where: Where) -> Hdf5Writer:
        """See Store."""
        with _explained(where.shown):
            journal = Journal(where.folder, where.name)
            try:
                file = open_file(where.folder, where.name, write=True, create=True)
            except BaseException:
                journal.close(remove=True)
                raise
            try:
                _recover(file, journal)
                paged = PagedFile(file, journal, sync=self._sync)
            except BaseException:
                os.close(file)
                journal.close(remove=journal.empty)
                raise
            try:
                return Hdf5Writer(paged, where.shown, self._filter, self._max_message)
            except BaseException:
                paged.close()
                raise

    def reader(self, where: Where, group: Group) -> Hdf5Reader:
        """See Store."""
        with _explained(where.shown):
            try:
                file = open_file(where.folder, where.name, write=False, create=False)
            except FileNotFoundError:
                raise StoreError("is not there") from None
            try:
                _share(file)
                snapshot = _unmarked(file)
            except BaseException:
                os.close(file)
                raise
        return Hdf5Reader(snapshot, where.shown, group, self._max_message)

    def recover(self, where: Where) -> bool:
        """Completes what a writer that was killed has left undone; returns whether there
        was anything. Busy if the file is being written."""
        with _explained(where.shown):
            journal = Journal(where.folder, where.name)
            try:
                file = open_file(where.folder, where.name, write=True, create=False)
            except FileNotFoundError:
                journal.close(remove=True)
                return False
            except BaseException:
                journal.close(remove=journal.empty)
                raise
            done = False
            try:
                done = _recover(file, journal)
                if not os.fstat(file).st_size:
                    os.unlink(where.name, dir_fd=where.folder)  # it never was a file of HDF5
                return done
            finally:
                os.close(file)
                journal.close(remove=done or journal.empty)


def _recover(file: int, journal: Journal) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not journal.holds_anything():
            return False  # somebody reads it
        raise Busy("has to be completed, and is open in another program") from None
    done = journal.recover(file)
    page = read_page(file, 0)
    if _superblock.marks(page) & _superblock.SWMR:
        raise Busy("is marked as being written in SWMR mode by another program")
    if _superblock.marks(page):
        # Whoever set the mark would have the lock, if it were running.
        os.pwrite(file, _superblock.without_marks(page)[:48], 0)
    return done


def _share(file: int) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Busy("is being written by another program") from None


def _unmarked(file: int) -> Snapshot:
    """The file, without the mark of a writer that is gone."""
    page = read_page(file, 0)
    if _superblock.marks(page) & _superblock.SWMR:
        raise Busy("is marked as being written in SWMR mode by another program")
    marked = _superblock.marks(page)
    pages = {0: _superblock.without_marks(page)} if marked else {}
    return Snapshot(file, pages, os.fstat(file).st_size)


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """What the system or HDF5 raises, as a StoreError that names the file."""
    try:
        yield
    except Busy as wrong:
        raise type(wrong)(_named(path, str(wrong))) from None
    except StoreError as wrong:
        raise StoreError(_named(path, str(wrong))) from None
    except FileServerError:
        raise
    except OSError as wrong:
        raise StoreError(f"{path}: {wrong.strerror or _short(wrong)}") from None
    except Exception as wrong:  # whatever h5py makes of what HDF5 says
        raise StoreError(f"{path}: {_short(wrong)}") from None


def _named(path: str, what: str) -> str:
    name = path.rpartition("/")[2]
    return f"{path}{what.removeprefix(name)}" if what.startswith(name) else f"{path} {what}"


def _short(wrong: Exception) -> str:
    """What HDF5 says, without the names of its functions."""
    words = str(wrong.args[0]) if wrong.args else type(wrong).__name__
    return words.partition("(")[2].rstrip(")") or words


class Hdf5Writer:
    """One file that is written. See Writer."""

    def __init__(
        self, paged: PagedFile, path: str, compression: Filter | None, max_message: int
    ) -> None:
        self._paged = paged
        self._path = path
        self._filter = compression
        self._max_message = max_message
        self._groups: dict[Group, tuple[Any, int]] = {}
        new = paged.seek(0, os.SEEK_END) == 0
        self._file = self._open("w" if new else "r+")
        if new:
            self.commit()
            self.settle()

    def _open(self, mode: str) -> Any:
        with _explained(self._path):
            return h5py.File(self._paged, mode, libver=_FORMATS)

    def open_group(self, group: Group) -> None:
        """See Writer."""
        try:
            with _explained(self._path):
                self._group(group)
        except FileServerError:
            self._roll_back()
            raise

    def _group(self, path: Group) -> tuple[Any, int]:
        """A group and the number of its next message."""
        if path not in self._groups:
            found = self._file
            for name in path:
                inner = _child(found, name)
                if inner is None:
                    inner = found.create_group(name)
                if not isinstance(inner, h5py.Group):
                    raise StoreError(f"has no group at {inner.name}")
                if message_number(name) is not None and TENSORS in inner:
                    raise StoreError(f"has a message at {inner.name}")
                found = inner
            numbers = (message_number(name) for name in _names(found))
            self._groups[path] = found, 1 + max((n for n in numbers if n is not None), default=0)
        return self._groups[path]

    def append(self, group: Group, record: Record) -> None:
        """See Writer."""
        try:
            with _explained(self._path):
                found, number = self._group(group)
                self._write(found.create_group(message_name(number)), record)
                self._check()
                self._groups[group] = found, number + 1
        except FileServerError:
            self._roll_back()
            raise

    def _check(self) -> None:
        if self._paged.error is not None:
            raise self._paged.error

    def _write(self, message: Any, record: Record) -> None:
        _set_all(message.id, record.own)
        tensors = message.create_group(TENSORS)
        _set_all(tensors.id, record.attributes)
        for index, part in record.parts.items():
            dataset = self._dataset(tensors, part_name(index), part.array)
            _set_all(dataset, part.attributes)
            # The disk is full, say: there is no use in going on.
            self._check()
        if record.metadata:
            _set_all(message.create_group(METADATA).id, record.metadata)

    def _dataset(self, group: Any, name: str, array: numpy.ndarray[Any, Any]) -> Any:
        if self._filter is not None and array.ndim and array.size:
            return self._filter.create(group, name, array).id
        if not array.flags.c_contiguous:
            array = array.copy(order="C")
        kind = h5py.h5t.py_create(array.dtype, logical=True)
        space = h5py.h5s.create_simple(array.shape) if array.ndim else _SCALAR
        made = h5py.h5d.create(group.id, name.encode(), kind, space, _PLAIN)
        if array.size:
            made.write(h5py.h5s.ALL, h5py.h5s.ALL, array)
        return made

    def commit(self) -> None:
        """See Writer."""
        try:
            with _explained(self._path):
                self._check()
                self._file.flush()
                self._check()
                if _superblock.marks(self._paged.page(0)):
                    self._paged.page(0)[:] = _superblock.without_marks(self._paged.page(0))
                self._paged.commit()
        except FileServerError:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        """Has HDF5 forget what it did since the last commit."""
        self._groups.clear()
        self._paged.discard()
        with contextlib.suppress(Exception):
            self._file.close()
        self._paged.roll_back()
        self._file = self._open("r+")

    def settle(self) -> bool:
        """See Writer."""
        with _explained(self._path):
            return self._paged.settle()

    def reader(self, group: Group) -> Hdf5Reader:
        """See Writer."""
        return Hdf5Reader(self._paged.snapshot(), self._path, group, self._max_message)

    def close(self) -> None:
        """See Writer."""
        self._groups.clear()
        self._paged.discard()  # everything is committed, or is not to be kept
        with contextlib.suppress(Exception):
            self._file.close()
        self._paged.roll_back()
        with _explained(self._path):
            self._paged.close()


class Hdf5Reader:
    """The messages of one group. See Reader."""

    def __init__(self, snapshot: Snapshot, path: str, group: Group, max_message: int) -> None:
        """Owns the snapshot. StoreError if there is no such group."""
        self._snapshot = snapshot
        self._path = path
        self._max_message = max_message
        self._file: Any = None
        try:
            with _explained(path):
                self._file = h5py.File(snapshot, "r")
                found = self._file
                for n, name in enumerate(group):
                    found = _child(found, name)
                    if not isinstance(found, h5py.Group):
                        raise StoreError(f"has no group {'/'.join(group[: n + 1])}")
                self._group = found
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Record]:
        with _explained(self._path):
            numbered = ((message_number(name), name) for name in _names(self._group))
            names = [name for _, name in sorted((n, m) for n, m in numbered if n is not None)]
        for name in names:
            with _explained(self._path):
                message = _child(self._group, name)
                tensors = _child(message, TENSORS) if isinstance(message, h5py.Group) else None
                if isinstance(tensors, h5py.Group):
                    yield self._read(message, tensors)

    def _read(self, message: Any, tensors: Any) -> Record:
        metadata = _child(message, METADATA)
        parts: dict[int, Part] = {}
        left = self._max_message
        for name in _names(tensors):
            dataset = _child(tensors, name)
            if not isinstance(dataset, h5py.Dataset):
                raise StoreError(f"has no dataset at {tensors.name}/{name}")
            if dataset.external or dataset.is_virtual:
                raise StoreError(f"has data of other files at {dataset.name}")
            if dataset.dtype.kind not in "biufc":
                raise StoreError(f"has elements of dtype {dataset.dtype} at {dataset.name}")
            left -= dataset.nbytes
            if left < 0:
                raise StoreError(f"has a message of more than {self._max_message} bytes: {name}")
            parts[part_index(name)] = Part(_array(dataset), dict(dataset.attrs))
        return Record(
            own=dict(message.attrs),
            attributes=dict(tensors.attrs),
            metadata=dict(metadata.attrs) if metadata is not None else {},
            parts=dict(sorted(parts.items())),
        )

    def close(self) -> None:
        """See Reader."""
        if self._file is not None:
            with contextlib.suppress(Exception):
                self._file.close()
        self._snapshot.close()


def _array(dataset: Any) -> numpy.ndarray[Any, Any]:
    """A dataset's data. (What h5py makes of one without dimensions has not all its bytes.)"""
    array = numpy.empty(dataset.shape, dataset.dtype)
    if array.size:
        dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    return array


def _names(group: Any) -> list[str]:
    return list(group)


def _child(group: Any, name: str) -> Any:
    """What has this name in a group; None if nothing has. Links to other files, which lie
    outside of the root perhaps, are a StoreError, and so are those to other names."""
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise StoreError(f"has a link at {group.name.rstrip('/')}/{name}")
    return group[name]


def _plain() -> Any:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return plan


_PLAIN = _plain()


def _set_all(target: Any, attributes: Mapping[str, Any]) -> None:
    """Sets attributes that are not there yet. (h5py's own way takes three times as long.)"""
    for name, value in attributes.items():
        if isinstance(value, str):
            kind = h5py.h5t.py_create(_TEXT, logical=True)
            data: Any = numpy.array(value, dtype=_TEXT)
        else:
            large = isinstance(value, int) and value >= 1 << 63
            data = numpy.array(value, "u8" if large else None)
            kind = h5py.h5t.py_create(data.dtype)
        h5py.h5a.create(target, name.encode(), kind, _SCALAR).write(data)
