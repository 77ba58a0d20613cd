"""Which kind of file a name means."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .errors import MISSING, StoreError
from .store import Store


class Stores:
    """A store for each name: Zarr for .zarr, HDF5 for any other. For many threads."""

    def __init__(
        self, *, compression: str, zarr_compression: str, sync: bool, max_message: int
    ) -> None:
        """StoreError if there is no h5py, ValueError for a compression that is not known.
        Whether there is Zarr is seen when a file wants it."""

        def zarr() -> Store:
            from .zarrs import ZarrStore

            return ZarrStore(compression=zarr_compression, sync=sync, max_message=max_message)

        def hdf5() -> Store:
            from .hdf5 import Hdf5Store

            return Hdf5Store(compression=compression, sync=sync, max_message=max_message)

        self._lock = threading.Lock()
        self._makers: dict[str, Callable[[], Store]] = {"zarr": zarr, "h5py": hdf5}
        self._made: dict[str, Store] = {}
        self._get("h5py")
        if zarr_compression:
            self._get("zarr")

    def of(self, name: str) -> Store:
        """The store for a file of this name; StoreError if what it needs is missing."""
        return self._get("zarr" if name.endswith(".zarr") else "h5py")

    def _get(self, package: str) -> Store:
        with self._lock:
            if package not in self._made:
                try:
                    self._made[package] = self._makers[package]()
                except ImportError as missing:
                    name = missing.name or package
                    raise StoreError(MISSING.format(name.partition(".")[0])) from None
            return self._made[package]
