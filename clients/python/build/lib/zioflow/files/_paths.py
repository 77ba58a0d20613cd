"""Names of files and groups, which come from strangers, and the root that they stay in."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import PathError, StoreError

#: What a name may have at the most, in bytes: a part, so that there is room for what
#: stands beside a file, and all of it.
_MAX_PART, _MAX_NAME = 200, 2000
#: What the file server itself puts beside a file.
RESERVED = ".journal"


@dataclass(frozen=True)
class Where:
    """A file's place. The folder is open as long as a block of `Root.place` lasts."""

    #: The folder, by a descriptor, and the file's name in it.
    folder: int
    name: str
    #: The file as users know it, below the root, and with all folders.
    shown: str
    path: str


def parts_of(name: str, what: str) -> tuple[str, ...]:
    """A relative name's parts; PathError says why it is not allowed."""
    shown = name if len(name) <= 60 else name[:60] + "…"
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        raise PathError(f"the {what} {shown!r} has a control character")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise PathError(f"the {what} {shown!r} is no UTF-8") from None
    if size > _MAX_NAME:
        raise PathError(f"the {what} {shown!r} has {size} bytes, more than {_MAX_NAME}")
    parts = tuple(name.split("/"))
    for part in parts:
        if part in ("", ".", ".."):
            raise PathError(f"the {what} {shown!r} has {part!r} between its slashes")
        if len(part.encode()) > _MAX_PART:
            raise PathError(f"the {what} {shown!r} has a part of more than {_MAX_PART} bytes")
    return parts


def group_parts(name: str) -> tuple[str, ...]:
    """A group's parts, none for "/" and the empty name; a slash in front is of no account."""
    inner = name.removeprefix("/")
    return parts_of(inner, "group") if inner else ()


def file_parts(name: str) -> tuple[str, ...]:
    """A file's parts below the root; PathError says why it is not allowed."""
    if name.startswith("/"):
        raise PathError(f"the file name {name[:60]!r} is an absolute one")
    parts = parts_of(name, "file name")
    for part in parts:
        if part.startswith("."):
            raise PathError(f"the file name {name[:60]!r} has a part that begins with a dot")
        if part.endswith(RESERVED):
            raise PathError(f"the file name {name[:60]!r} is one of the file server's own")
    return parts


class Root:
    """The folder that files stay in. May be used by many threads.

    No link below it is followed, wherever it leads: neither one that is there when a file
    is opened, nor one that is put there meanwhile.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """OSError if there is no such folder."""
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY))  # its error has the name as given
        self.path = os.path.realpath(path)

    def _open(self) -> int:
        return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @contextlib.contextmanager
    def place(self, name: str, *, create: bool) -> Iterator[Where]:
        """The place of a file of this name; its folders are made if they are missing.

        PathError if the name is not allowed or leads through a link, StoreError if a
        folder is missing or cannot be made.
        """
        parts = file_parts(name)
        try:
            folder = self.folder(parts[:-1], create=create)
        except FileNotFoundError:
            raise StoreError(f"{name} is not there") from None
        except OSError as wrong:
            raise StoreError(f"{name}: {wrong.strerror}") from None
        try:
            yield Where(folder, parts[-1], name, os.path.join(self.path, *parts))
        finally:
            os.close(folder)

    def folder(self, parts: tuple[str, ...], *, create: bool) -> int:
        """A descriptor of the folder with these parts below the root.

        PathError if one of them is a link or no folder, FileNotFoundError if one is
        missing and is not to be made.
        """
        folder = self._open()
        for n, part in enumerate(parts):
            try:
                inner = self._enter(folder, part, create)
            except NotADirectoryError:
                name = "/".join(parts[: n + 1])
                raise PathError(f"{name} is a symbolic link, or no folder") from None
            finally:
                os.close(folder)
            folder = inner
        return folder

    def _enter(self, folder: int, part: str, create: bool) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(part, flags, dir_fd=folder)
        except FileNotFoundError:
            if not create:
                raise
        try:
            os.mkdir(part, dir_fd=folder)
        except FileExistsError:
            pass  # made meanwhile
        return os.open(part, flags, dir_fd=folder)


def open_file(folder: int, name: str, *, write: bool, create: bool) -> int:
    """A descriptor of a regular file in a folder: PathError for a link or anything else,
    FileNotFoundError if it is missing and is not to be made."""
    flags = (os.O_RDWR if write else os.O_RDONLY) | (os.O_CREAT if create else 0)
    try:
        # A pipe would wait here for its other end.
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        file = os.open(name, flags, 0o666, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as wrong:
        if _is_link(folder, name):
            raise PathError(f"{name} is a symbolic link") from None
        raise StoreError(f"{name} cannot be opened: {wrong.strerror}") from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise PathError(f"{name} is no regular file")
    return file


def _is_link(folder: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False
