"""NumPy arrays as ZIO's tensors, and back.

ZIO's form TENS describes in a label what lies in the parts of a payload. Arrays go out
in its default layout, little-endian and row by row, which every reader understands.
NumPy is needed only where there is an array.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Union

if TYPE_CHECKING:
    import numpy

#: The key of a label that describes tensors.
KEY = "TENS"

#: What TENS has for elements: the letter, and so many bytes. The largest are C's long
#: doubles, which differ between kinds of machines.
_WORDS = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8, 16), "c": (8, 16, 32)}

#: As many dimensions as any NumPy has.
_MAX_DIMENSIONS = 64

#: A tensor's key for an element type that TENS lacks, and ml_dtypes has: others see
#: unsigned integers of its size.
_ML_DTYPE = "ml_dtype"


class SupportsArray(Protocol):
    """What is an array or becomes one: NumPy's, xarray's."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any: ...


@dataclass(frozen=True)
class Tensor:
    """An array with its own metadata."""

    array: Any
    #: Scalars by name.
    metadata: Mapping[str, Any] = field(default_factory=dict)


#: What is given as one tensor.
Array = Union[SupportsArray, Tensor]


def is_array(part: Any) -> bool:
    """Whether a part is to go out as a tensor, and not as the bytes that it is."""
    if isinstance(part, (bytes, bytearray, memoryview, str)):  # numpy.bytes_, too
        return False
    return isinstance(part, Tensor) or hasattr(part, "__array__")


def write(
    arrays: Sequence[tuple[int, Any]], *, metadata: Mapping[str, Any], order: str
) -> tuple[dict[str, Any], dict[int, memoryview]]:
    """The value of KEY for arrays by the index of their parts, and these parts: views of
    the arrays' own memory where it lies in the right order."""
    if order not in ("C", "K"):
        raise ValueError(f"order is {order!r}, want 'C' or 'K'")
    described, parts = [], {}
    for place, (part, array) in enumerate(arrays):
        description, parts[part] = _describe(array, order)
        if part != place:
            description["part"] = part
        described.append(description)
    return {"tensors": described, "metadata": dict(metadata)}, parts


def _describe(given: Any, order: str) -> tuple[dict[str, Any], memoryview]:
    import numpy

    metadata: dict[str, Any] = {}
    if isinstance(given, Tensor):
        given, metadata = given.array, dict(given.metadata)
    xarray = sys.modules.get("xarray")
    if xarray is not None and isinstance(given, xarray.DataArray):
        own = {"dims": " ".join(str(d) for d in given.dims)}
        if given.name is not None:
            own["name"] = str(given.name)
        given, metadata = given.values, {**own, **metadata}
    if isinstance(given, numpy.ma.MaskedArray):
        raise TypeError("TENS has no masked arrays: fill this one, or give its mask as well")
    array = numpy.asanyarray(given)
    described = {"shape": list(array.shape), **_element(array.dtype)}
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if (
        order == "K"
        and array.ndim > 1
        and array.flags.f_contiguous
        and not array.flags.c_contiguous
    ):
        # The dimensions from the one that varies fastest on.
        described["order"] = list(range(array.ndim))
        array = array.T
    if metadata:
        described["metadata"] = metadata
    flat = numpy.ascontiguousarray(numpy.asarray(array)).reshape(-1)
    return described, flat.view(numpy.uint8).data


def _element(dtype: numpy.dtype[Any]) -> dict[str, Any]:
    """An element type in TENS' words; TypeError if they lack it."""
    if dtype.itemsize in _WORDS.get(dtype.kind, ()):
        return {"word": dtype.itemsize, "dtype": dtype.kind}
    if _ml_dtype(dtype.name) == dtype and dtype.itemsize in _WORDS["u"]:
        return {"word": dtype.itemsize, "dtype": "u", _ML_DTYPE: dtype.name}
    raise TypeError(f"TENS has no elements of dtype {dtype}")


def _ml_dtype(name: Any) -> numpy.dtype[Any] | None:
    """A dtype of ml_dtypes, where that is installed and has it."""
    import numpy

    try:
        import ml_dtypes
    except ImportError:
        return None
    kind = getattr(ml_dtypes, name, None) if isinstance(name, str) else None
    if not isinstance(kind, type) or not issubclass(kind, numpy.generic):
        return None
    return numpy.dtype(kind)


def read(label: Mapping[str, Any], payload: Sequence[bytes]) -> list[Tensor]:
    """The tensors of a message: views of its parts, which cannot be written to.

    ValueError says what is wrong with the label, or with the parts by it.
    """
    tens = label.get(KEY)
    if tens is None:
        raise ValueError(f"there are no tensors: the label has no {KEY}")
    tensors = tens.get("tensors") if isinstance(tens, dict) else None
    if not isinstance(tensors, list):
        raise ValueError(f"{KEY} has no list of tensors")
    return [_Reader(n, tensor, payload).read() for n, tensor in enumerate(tensors)]


class _Reader:
    """Makes one array of a tensor's description."""

    def __init__(self, index: int, tensor: Any, payload: Sequence[bytes]) -> None:
        self._index = index
        self._payload = payload
        if not isinstance(tensor, dict):
            self._fail("is no object")
        self._tensor: dict[str, Any] = tensor

    def _fail(self, what: str) -> None:
        raise ValueError(f"tensor {self._index} {what}")

    def read(self) -> Tensor:
        import numpy

        self._check_reserved()
        shape, dtype, part = self._shape(), self._dtype(), self._part()
        size = dtype.itemsize
        for length in shape:
            size *= length
        if size != len(part):
            self._fail(f"has {size} bytes by its shape {shape}, its part {len(part)}")
        array = self._arrange(numpy.frombuffer(part, dtype), shape)
        extended = _ml_dtype(self._tensor.get(_ML_DTYPE))
        if extended is not None and extended.itemsize == dtype.itemsize and dtype.kind == "u":
            array = array.view(extended)
        metadata = self._tensor.get("metadata", {})
        if not isinstance(metadata, dict):
            self._fail(f"has metadata {metadata!r}, want an object")
        return Tensor(array, metadata)

    def _check_reserved(self) -> None:
        packing = self._tensor.get("packing", "dense")
        if packing != "dense":
            self._fail(f"has packing {packing!r}, which is not known here")
        if "pointer" in self._tensor:
            self._fail("lies in another process's memory: it has a pointer")

    def _shape(self) -> list[int]:
        shape = self._tensor.get("shape")
        if not isinstance(shape, list) or not all(_is_count(length) for length in shape):
            self._fail(f"has shape {shape!r}, want a list of integers from 0")
        assert isinstance(shape, list)
        if len(shape) > _MAX_DIMENSIONS:
            self._fail(f"has {len(shape)} dimensions, more than {_MAX_DIMENSIONS}")
        return shape

    def _dtype(self) -> numpy.dtype[Any]:
        import numpy

        letter, word = self._tensor.get("dtype"), self._tensor.get("word")
        if not isinstance(letter, str) or not _is_count(word) or word not in _WORDS.get(letter, ()):
            self._fail(f"has dtype {letter!r} of {word!r} bytes, which TENS has not")
        try:
            return numpy.dtype(f"<{letter}{word}")
        except TypeError:
            what = f"dtype {letter!r} of {word} bytes, which NumPy has not here"
            raise ValueError(f"tensor {self._index} has {what}") from None

    def _part(self) -> bytes:
        part = self._tensor.get("part", self._index)
        if not _is_count(part) or part >= len(self._payload):
            self._fail(f"has part {part!r}, but the payload has {len(self._payload)}")
        found: bytes = self._payload[part]
        return found

    def _arrange(self, flat: Any, shape: list[int]) -> Any:
        """The array of elements that lie as order and ascend say.

        As in Boost's multi-arrays, which TENS follows: order lists the dimensions from
        the one that varies fastest on; one that does not ascend lies back to front.
        """
        n = len(shape)
        order = self._tensor.get("order", list(range(n))[::-1])
        if not isinstance(order, list) or not all(map(_is_count, order)):
            self._fail(f"has order {order!r}, want a list of dimensions")
        if sorted(order) != list(range(n)):
            self._fail(f"has order {order!r}, want each of {n} dimensions once")
        ascend = self._tensor.get("ascend", [True] * n)
        if not isinstance(ascend, list) or [type(up) for up in ascend] != [bool] * n:
            self._fail(f"has ascend {ascend!r}, want {n} booleans")
        slowest_first = order[::-1]
        stored = flat.reshape([shape[dimension] for dimension in slowest_first])
        array = stored.transpose([slowest_first.index(dimension) for dimension in range(n)])
        if not all(ascend):
            array = array[tuple(slice(None, None, 1 if up else -1) for up in ascend)]
        return array


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
