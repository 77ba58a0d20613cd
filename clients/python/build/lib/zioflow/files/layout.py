"""What of a message lies where in a file: ZIO's layout, whatever the store is.

In a flow's group each message has a group of its own, `0001`, `0002` and so on. In it
`tensors` has a dataset for each part of the payload, `00`, `01` and so on, and as attributes
origin, granule, seqno and the scalars of the label; `metadata` has the metadata of the
message as attributes. ZIO's own file server writes and reads that.

What ZIO does not read is added where it does not look: the label's own text, and what else
a DAT has, are attributes of the message's group.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy

from ..messages import Dat
from .errors import DataError, StoreError

TENSORS, METADATA = "tensors", "metadata"
#: Attributes of a message's group: the label's text, its level, the flow's id.
LABEL, LEVEL, FLOW = "zioflow.label", "zioflow.level", "zioflow.flow"

#: What is no attribute of `tensors`: the first is ZIO's, the others have other places.
_NOT_COPIED = ("direction", "TENS", "origin", "granule", "seqno")
#: What is no attribute of a dataset's own, as it says how its bytes lie in a message.
_DESCRIBING = frozenset("shape word dtype part order ascend packing pointer metadata".split())

_NUMBERED = re.compile(r"[0-9]{4,}\Z")
_PARTS = re.compile(r"[0-9]{2,}\Z")


@dataclass(frozen=True)
class Part:
    """One part of a payload as it is stored."""

    #: With the shape and the elements that the label gives it; plain bytes where it
    #: gives none.
    array: numpy.ndarray[Any, Any]
    #: Attributes of the dataset.
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """One message as it is stored."""

    #: Attributes of the message's group, by the names above.
    own: Mapping[str, Any]
    #: Those of `tensors`, and of `metadata`.
    attributes: Mapping[str, Any]
    metadata: Mapping[str, Any]
    #: By their index in the payload.
    parts: Mapping[int, Part]

    @property
    def size(self) -> int:
        """Bytes of payload."""
        return sum(part.array.nbytes for part in self.parts.values())


def message_name(number: int) -> str:
    """The name of a message's group."""
    return f"{number:04d}"


def message_number(name: str) -> int | None:
    """A message's number; None if this is the name of none."""
    return int(name) if _NUMBERED.match(name) else None


def part_name(index: int) -> str:
    """The name of a part's dataset."""
    return f"{index:02d}"


def part_index(name: str) -> int:
    """The index of a part; StoreError if this is no part's name."""
    if not _PARTS.match(name):
        raise StoreError(f"has {name!r} among its tensors")
    return int(name)


def record_of(dat: Dat, *, flow: int = 0) -> Record:
    """A DAT to be stored. DataError if its label does not fit its payload."""
    try:
        label = dict(dat.attributes)
        described, parts = _describe(dat, label)
    except ValueError as wrong:
        raise DataError(str(wrong)) from None
    for index, payload in enumerate(dat.payload):
        if index not in parts:
            parts[index] = Part(numpy.frombuffer(payload, numpy.uint8))
    own: dict[str, Any] = {LABEL: dat.label, FLOW: flow}
    if dat.level:
        own[LEVEL] = dat.level
    coords = {"origin": dat.origin, "granule": dat.granule, "seqno": dat.seqno}
    attributes = {k: v for k, v in label.items() if k not in _NOT_COPIED}
    return Record(
        own={**own, **{}},
        attributes={"flow": "DAT", **_scalars(attributes), **coords},
        metadata=_numbers_as_floats(described.get("metadata")),
        parts=dict(sorted(parts.items())),
    )


def _describe(dat: Dat, label: Mapping[str, Any]) -> tuple[dict[str, Any], dict[int, Part]]:
    if "TENS" not in label:
        return {}, {}
    parts: dict[int, Part] = {}
    described = label["TENS"]
    for index, tensor in enumerate(dat.tensors()):
        description = described["tensors"][index]
        array = tensor.array
        if array.dtype.kind not in "biufc":  # ml_dtypes' have no form in files
            array = array.view(f"<u{array.dtype.itemsize}")
        own = {k: v for k, v in description.items() if k not in _DESCRIBING}
        own = {**own, **{k: v for k, v in tensor.metadata.items() if k not in _DESCRIBING}}
        # What two tensors share is stored as the first of them sees it.
        parts.setdefault(description.get("part", index), Part(array, _numbers_as_floats(own)))
    return described, parts


def _scalars(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What can be an attribute in any store: numbers and texts."""
    found = {}
    for name, value in attributes.items():
        if not name or "\0" in name or "/" in name or not _is_text(name):
            continue
        if isinstance(value, str) and ("\0" in value or not _is_text(value)):
            continue
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
            continue
        if isinstance(value, bool):
            value = int(value)
        if isinstance(value, (int, float, str)):
            found[name] = value
    return found


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a pair
        return False
    return True


def _numbers_as_floats(metadata: Any) -> dict[str, Any]:
    """Metadata as ZIO's reader can read it: it fails on what is no float and no text."""
    found = _scalars(metadata) if isinstance(metadata, dict) else {}
    return {
        k: float(v) if isinstance(v, int) and abs(v) <= 1 << 53 else v for k, v in found.items()
    }


def dat_of(record: Record) -> Dat:
    """The DAT that was stored, whoever stored it; StoreError says what is wrong with it.

    Its label is the one with which it came, where that is there and fits the data, and
    otherwise made of what is there.
    """
    attributes = dict(record.attributes)
    coords = {name: _count(attributes.pop(name, 0), name) for name in ("origin", "granule")}
    coords["seqno"] = _count(attributes.pop("seqno", 0), "seqno")
    attributes.pop("flow", None)
    label = record.own.get(LABEL)
    payload = _payload_as(label, record) if isinstance(label, str) else None
    if payload is None:
        label, payload = _described_anew(attributes, record)
    level = _count(record.own.get(LEVEL, 0), LEVEL)
    return Dat(payload=payload, label=str(label), level=level, **coords)


def _count(value: Any, name: str) -> int:
    try:
        found = int(value)
    except (TypeError, ValueError):
        found = -1
    if not 0 <= found < 1 << 64:
        raise StoreError(f"{name} is {value!r}")
    return found


def _payload_as(label: str, record: Record) -> tuple[bytes, ...] | None:
    """The parts as a label describes them; None if it describes others."""
    try:
        described = json.loads(label) if label else {}
        tensors = described.get("TENS", {}).get("tensors", [])
        by_part: dict[int, dict[str, Any]] = {}
        for index, tensor in enumerate(tensors):
            by_part.setdefault(tensor.get("part", index), tensor)
        if by_part.keys() - record.parts.keys():
            return None
        payload = []
        for index in range(len(record.parts)):
            array = record.parts[index].array
            if index in by_part:
                laid = _laid_out(array, by_part[index])
            else:
                laid = array if array.dtype == numpy.uint8 and array.ndim == 1 else None
            if laid is None:
                return None
            payload.append(laid.tobytes())
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return tuple(payload)


def _laid_out(array: Any, tensor: Mapping[str, Any]) -> Any:
    """An array whose elements, row by row, are the bytes of a tensor that is so described;
    None if it has another form."""
    form = (tensor["shape"], tensor["dtype"], tensor["word"])
    if (list(array.shape), array.dtype.kind, array.dtype.itemsize) != form:
        return None
    ascend = tensor.get("ascend", ())
    if not all(ascend):
        array = array[tuple(slice(None, None, 1 if up else -1) for up in ascend)]
    if "order" in tensor:
        array = array.transpose(tensor["order"][::-1])
    return _little_endian(array)


def _little_endian(array: Any) -> Any:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _described_anew(attributes: Mapping[str, Any], record: Record) -> tuple[str, tuple[bytes, ...]]:
    tensors, payload = [], [b""] * (1 + max(record.parts, default=-1))
    for place, (index, part) in enumerate(sorted(record.parts.items())):
        dtype = part.array.dtype
        if dtype.kind not in "biufc":
            raise StoreError(f"part {index} has elements of dtype {dtype}, which TENS has not")
        described: dict[str, Any] = {"shape": list(part.array.shape)}
        described.update(word=dtype.itemsize, dtype=dtype.kind)
        if place != index:
            described["part"] = index
        own = {k: _plain(v) for k, v in part.attributes.items() if k not in _DESCRIBING}
        if isinstance(own.get("ml_dtype"), str):
            described["ml_dtype"] = own.pop("ml_dtype")
        if own:
            described["metadata"] = own
        tensors.append(described)
        payload[index] = _little_endian(part.array).tobytes()
    metadata = {k: _plain(v) for k, v in record.metadata.items()}
    label = {
        "flow": "DAT",
        **{k: _plain(v) for k, v in attributes.items() if k != "TENS"},
        "TENS": {"tensors": tensors, "metadata": metadata},
    }
    return json.dumps(label, ensure_ascii=False, separators=(",", ":")), tuple(payload)


def _plain(value: Any) -> Any:
    """An attribute as JSON has it: NumPy's scalars and arrays are none of it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        value = value.tolist()
        if isinstance(value, list):
            return [_plain(v) for v in value]
        return _plain(value)
    if isinstance(value, float) and not numpy.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool)) else str(value)
