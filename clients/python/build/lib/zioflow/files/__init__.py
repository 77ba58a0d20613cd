"""Flows into files of HDF5 or Zarr and back, in ZIO's layout, by ZIO's rulesets.

`zioflow serve-files` runs it; `FileServer` is the same as a library. `pip install
'zioflow[files]'` brings what it needs: h5py, numpy, jsonnet, zarr.
"""

from typing import TYPE_CHECKING, Any

from .errors import Busy, DataError, FileServerError, PathError, RuleError, StoreError
from .rules import Place, Rule, Ruleset

if TYPE_CHECKING:
    from .server import FileServer

__all__ = [
    "Busy",
    "DataError",
    "FileServer",
    "FileServerError",
    "PathError",
    "Place",
    "Rule",
    "RuleError",
    "Ruleset",
    "StoreError",
]


def __getattr__(name: str) -> Any:
    """FileServer, which needs NumPy: rulesets can be read without."""
    if name == "FileServer":
        from .server import FileServer

        return FileServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
