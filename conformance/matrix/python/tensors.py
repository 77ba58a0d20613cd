"""The matrix's set in Python, and digests of tensors. See ../README.md."""

from __future__ import annotations

import hashlib
import pathlib

import numpy


def read_set(name: str) -> list[list[numpy.ndarray]]:
    """The arrays that a file describes, by message."""
    messages: list[list[numpy.ndarray]] = []
    between, k = True, 0
    for line in pathlib.Path(name).read_text().splitlines():
        if line.startswith("#"):
            continue
        if not line:
            between = True
            continue
        if between:
            messages.append([])
        between = False
        messages[-1].append(_make(k, *line.split(" ")))
        k += 1
    return messages


def _make(k: int, element: str, shape_text: str, order: str) -> numpy.ndarray:
    dtype = numpy.dtype(f"<{element}" if element != "b1" else "?")
    shape = [int(n) for n in shape_text.split("x")] if shape_text != "-" else []
    size = dtype.itemsize
    for n in shape:
        size *= n
    i = numpy.arange(size, dtype=numpy.uint32)
    data = (i * numpy.uint32(2654435761) + numpy.uint32(k * 40503 + 1)) >> numpy.uint32(15)
    data = data.astype(numpy.uint8)  # the lowest 8 bits
    if element == "b1":
        data &= 1
    return data.view(dtype).reshape(shape, order=order)


def digest(array: numpy.ndarray) -> str:
    """That of the array's line and bytes, as they lie."""
    shape = "x".join(map(str, array.shape)) or "-"
    flags = array.flags
    order = "F" if flags.f_contiguous and not flags.c_contiguous else "C"
    found = hashlib.sha256(f"{array.dtype.kind}{array.dtype.itemsize} {shape} {order}\n".encode())
    found.update(array.tobytes(order=order))
    return found.hexdigest()
