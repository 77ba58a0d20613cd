"""Compression in files of HDF5: what HDF5 has, and what hdf5plugin adds."""

from __future__ import annotations

import importlib
from typing import Any

import numpy

from .store import options

#: HDF5's own, by h5py's names, and hdf5plugin's, with the argument that is the level.
_OWN = ("gzip", "lzf")
_PLUGINS = {
    "blosc": ("Blosc", "clevel"),
    "blosc2": ("Blosc2", "clevel"),
    "bzip2": ("BZip2", "blocksize"),
    "bitshuffle": ("Bitshuffle", ""),
    "lz4": ("LZ4", ""),
    "zstd": ("Zstd", "clevel"),
}


def find_filters() -> None:
    """Makes HDF5 find hdf5plugin's filters, if they are installed, to read by them."""
    try:
        importlib.import_module("hdf5plugin")
    except ImportError:
        pass


class Filter:
    """One way to compress; none loses anything."""

    def __init__(self, compression: str) -> None:
        """ValueError if it is not known, or not installed."""
        name, level = options(compression)
        self._how: dict[str, Any]
        if name in _OWN:
            self._how = {"compression": name}
            if level is not None:
                if name != "gzip" or level > 9:
                    raise ValueError(f"compression {compression!r}: gzip has levels, from 0 to 9")
                self._how["compression_opts"] = level
        elif name in _PLUGINS:
            self._how = {"compression": _plugin(compression, name, level)}
        else:
            known = ", ".join((*_OWN, *_PLUGINS))
            raise ValueError(f"compression {compression!r}: want one of {known}")

    def create(self, group: Any, name: str, array: numpy.ndarray[Any, Any]) -> Any:
        """A dataset of a group that has this array, compressed."""
        return group.create_dataset(name, data=array, chunks=True, shuffle=False, **self._how)


def _plugin(compression: str, name: str, level: int | None) -> Any:
    try:
        plugins = importlib.import_module("hdf5plugin")
    except ImportError:
        raise ValueError(
            f"compression {compression!r}: pip install 'zioflow[files,compression]'"
        ) from None
    kind, argument = _PLUGINS[name]
    if level is None:
        return getattr(plugins, kind)()
    if not argument:
        raise ValueError(f"compression {compression!r}: {name} has no levels")
    return getattr(plugins, kind)(**{argument: level})
