"""What goes wrong with files and rules, in words for who opened the flow."""

from __future__ import annotations

#: What is said of a package that is missing.
MISSING = "the file server needs {}, which is not installed: pip install 'zioflow[files]'"


class FileServerError(Exception):
    """A flow cannot be written or read; the text says why."""


class RuleError(FileServerError):
    """A ruleset is wrong, or has no place for a flow."""


class PathError(FileServerError):
    """A file's or group's name is not allowed: it would lead out of the root, say."""


class DataError(FileServerError):
    """A message cannot be stored as it is: its label does not fit its payload, say."""


class StoreError(FileServerError):
    """A file cannot be opened, read or written."""


class Busy(StoreError):
    """A file is being written by another program."""


class Held(Busy):
    """A file is another file server's, which is alive and does what is to be done."""
