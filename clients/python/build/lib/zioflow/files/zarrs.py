"""Flows in Zarr, version 3: folders, with a file for each array's data."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import numpy
import zarr
import zarr.codecs
from zarr.storage import LocalStore

from ._journal import Journal
from ._paths import Where
from .errors import Busy, DataError, FileServerError, PathError, StoreError
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
from .store import options

Group = tuple[str, ...]

#: A message that is being written, which is no group of anybody's yet.
_NEW = ".new-"
_NODE = "zarr.json"
_CODECS = {"gzip": ("GzipCodec", 9), "zstd": ("ZstdCodec", 22), "none": ("", 0)}


class ZarrStore:
    """Folders of Zarr. May be used by many threads.

    A message appears whole, when its folder gets its name: there is nothing to complete
    after a crash.
    """

    def __init__(
        self, *, compression: str = "", sync: bool = False, max_message: int = 64 << 20
    ) -> None:
        """Compression is gzip or zstd, with a level where wanted, or none; ValueError names
        another one. With sync, what is committed lasts even if the machine stops. A message
        larger than max_message bytes, which nobody could be sent, is not read.
        """
        self._how = {"compressors": _codecs(compression or "none")}
        self._sync = sync
        self._max_message = max_message

    def writer(self, where: Where) -> ZarrWriter:
        """See Store."""
        with _explained(where.shown):
            lock = Journal(where.folder, where.name)  # nothing but its lock is used
            try:
                return ZarrWriter(where, lock, self._how, self._sync, self._max_message)
            except BaseException:
                lock.close(remove=True)
                raise

    def reader(self, where: Where, group: Group) -> ZarrReader:
        """See Store."""
        with _explained(where.shown):
            root = pathlib.Path(where.path)
            if not _enter(root, ()):
                raise StoreError("is not there")
            return ZarrReader(root, where.shown, group, self._max_message)

    def recover(self, where: Where) -> bool:
        """See Store: there is nothing to do but to take the lock's file away."""
        with _explained(where.shown):
            Journal(where.folder, where.name).close(remove=True)
            return False


def _codecs(compression: str) -> Any:
    name, level = options(compression)
    if name not in _CODECS or (level is not None and level > _CODECS[name][1]):
        raise ValueError(
            f"compression {compression!r}: Zarr has gzip (0 to 9), zstd (0 to 22), none"
        )
    if name == "none":
        return None
    made = getattr(zarr.codecs, _CODECS[name][0])
    return made() if level is None else made(level=level)


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """What the system or Zarr raises, as a StoreError that names the file."""
    try:
        yield
    except (Busy, DataError, PathError):
        raise
    except StoreError as wrong:
        raise StoreError(f"{path} {wrong}") from None
    except FileServerError:
        raise
    except OSError as wrong:
        raise StoreError(f"{path}: {wrong.strerror or wrong}") from None
    except Exception as wrong:  # whatever Zarr makes of a file that is none of its own
        raise StoreError(f"{path}: {wrong or type(wrong).__name__}") from None


def _enter(root: pathlib.Path, group: Group) -> pathlib.Path | None:
    """A group's folder; None if there is none. PathError if a link leads there."""
    folder = root
    for name in ("", *group):
        folder = folder / name if name else folder
        if folder.is_symlink():
            raise PathError(f"{folder.name} is a symbolic link")
        if not folder.is_dir():
            return None
    return folder


class ZarrWriter:
    """One folder that is written. See Writer."""

    def __init__(
        self, where: Where, lock: Journal, how: dict[str, Any], sync: bool, max_message: int
    ) -> None:
        self._path = where.shown
        self._root = pathlib.Path(where.path)
        self._lock = lock
        self._how = how
        self._sync = sync
        self._max_message = max_message
        self._groups: dict[Group, int] = {}
        self._pending: list[tuple[pathlib.Path, pathlib.Path]] = []
        self._count = 0
        if self._root.is_symlink() or (self._root.exists() and not self._root.is_dir()):
            raise PathError(f"{where.shown} is a symbolic link, or no folder")
        if not self._root.exists():
            # Whole at once, as anything else.
            made = self._root.with_name(f"{_NEW}{self._root.name}")
            shutil.rmtree(made, ignore_errors=True)
            _group(made)
            os.rename(made, self._root)
        for left in self._root.glob(_NEW + "*"):
            shutil.rmtree(left)

    def open_group(self, group: Group) -> None:
        """See Writer."""
        with _explained(self._path):
            self._next(group)

    def _next(self, group: Group) -> int:
        """The number of a group's next message."""
        if group not in self._groups:
            folder = self._root
            for n, name in enumerate(group):
                _check_name(name)
                folder = folder / name
                there = _enter(self._root, group[: n + 1])
                if there is None:
                    if folder.exists():
                        raise StoreError(f"has no group at {'/'.join(group[: n + 1])}")
                    self._make(folder)
                elif message_number(name) is not None and (folder / TENSORS).exists():
                    raise StoreError(f"has a message at {'/'.join(group[: n + 1])}")
                elif _is_array(folder):
                    raise StoreError(f"has no group at {'/'.join(group[: n + 1])}")
            numbers = (message_number(found.name) for found in folder.iterdir())
            self._groups[group] = 1 + max((n for n in numbers if n is not None), default=0)
        return self._groups[group]

    def _make(self, folder: pathlib.Path) -> None:
        made = self._fresh()
        _group(made)
        os.rename(made, folder)

    def _fresh(self) -> pathlib.Path:
        self._count += 1
        return self._root / f"{_NEW}{self._count}"

    def append(self, group: Group, record: Record) -> None:
        """See Writer."""
        made = self._fresh()
        try:
            with _explained(self._path):
                number = self._next(group)
                self._write(made, record)
                final = self._root.joinpath(*group, message_name(number))
                self._pending.append((made, final))
                self._groups[group] = number + 1
        except FileServerError:
            shutil.rmtree(made, ignore_errors=True)
            self._roll_back()
            raise

    def _write(self, folder: pathlib.Path, record: Record) -> None:
        message = _group(folder, record.own)
        tensors = message.create_group(TENSORS, attributes=dict(record.attributes))
        for index, part in record.parts.items():
            self._array(tensors, index, part)
        if record.metadata:
            message.create_group(METADATA, attributes=dict(record.metadata))

    def _array(self, tensors: Any, index: int, part: Part) -> None:
        array = part.array.astype(part.array.dtype.newbyteorder("="), copy=False)
        if array.dtype.kind in "fc" and array.dtype.itemsize > (
            16 if array.dtype.kind == "c" else 8
        ):
            raise DataError(f"part {index} has elements of dtype {array.dtype}, which Zarr has not")
        attributes = dict(part.attributes)
        tensors.create_array(part_name(index), data=array, attributes=attributes, **self._how)

    def commit(self) -> None:
        """See Writer."""
        done: list[pathlib.Path] = []
        try:
            with _explained(self._path):
                for made, final in self._pending:
                    if self._sync:
                        _sync(made)
                    os.rename(made, final)
                    done.append(final)
                    if self._sync:
                        _sync_one(final.parent)
        except FileServerError:
            for final in done:
                shutil.rmtree(final, ignore_errors=True)
            self._roll_back()
            raise
        self._pending.clear()

    def _roll_back(self) -> None:
        self._groups.clear()
        for made, _ in self._pending:
            shutil.rmtree(made, ignore_errors=True)
        self._pending.clear()

    def settle(self) -> bool:
        """See Writer."""
        return True

    def reader(self, group: Group) -> ZarrReader:
        """See Writer."""
        return ZarrReader(self._root, self._path, group, self._max_message)

    def close(self) -> None:
        """See Writer."""
        self._roll_back()
        with _explained(self._path):
            self._lock.close(remove=True)


def _check_name(name: str) -> None:
    if name == _NODE or name.startswith((".", "__")) or "\\" in name:
        raise PathError(f"the group {name!r} has a name that Zarr does not allow")


def _group(folder: pathlib.Path, attributes: Any = None) -> Any:
    return zarr.create_group(LocalStore(folder), attributes=dict(attributes or {}))


def _is_array(folder: pathlib.Path) -> bool:
    with contextlib.suppress(OSError):
        return b'"node_type": "array"' in (folder / _NODE).read_bytes()
    return False


def _sync(folder: pathlib.Path) -> None:
    for inner, _, files in os.walk(folder):
        for name in files:
            _sync_one(pathlib.Path(inner, name))
        _sync_one(pathlib.Path(inner))


def _sync_one(path: pathlib.Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


class ZarrReader:
    """The messages of one group. See Reader."""

    def __init__(self, root: pathlib.Path, path: str, group: Group, max_message: int) -> None:
        """StoreError if there is no such group."""
        self._path = path
        self._max_message = max_message
        with _explained(path):
            folder = _enter(root, group)
            if folder is None or not (folder / _NODE).is_file():
                raise StoreError(f"has no group {'/'.join(group)}")
            self._folder = folder
            numbered = ((message_number(found.name), found.name) for found in folder.iterdir())
            self._names = [m for _, m in sorted((n, m) for n, m in numbered if n is not None)]

    def __iter__(self) -> Iterator[Record]:
        for name in self._names:
            with _explained(self._path):
                folder = _enter(self._folder, (name, TENSORS))
                if folder is not None:
                    yield self._read(self._folder / name)

    def _read(self, folder: pathlib.Path) -> Record:
        for inner, folders, files in os.walk(folder):
            for found in (*folders, *files):
                if os.path.islink(os.path.join(inner, found)):
                    raise PathError(f"{found} in {folder.name} is a symbolic link")
        message: Any = zarr.open_group(LocalStore(folder), mode="r")
        tensors = message[TENSORS]
        parts: dict[int, Part] = {}
        left = self._max_message
        for name, array in tensors.arrays():
            left -= array.nbytes
            if left < 0:
                raise StoreError(f"has a message of more than {self._max_message} bytes: {name}")
            parts[part_index(name)] = Part(numpy.asarray(array[...]), dict(array.attrs))
        metadata = dict(message[METADATA].attrs) if METADATA in message else {}
        return Record(
            own=dict(message.attrs),
            attributes=dict(tensors.attrs),
            metadata=metadata,
            parts=dict(sorted(parts.items())),
        )

    def close(self) -> None:
        """See Reader: nothing is open."""
