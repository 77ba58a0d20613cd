"""The messages of a flow, as applications see them."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict, Union

from . import tensors
from ._cut import cut
from .errors import EndReason
from .tensors import Array, Tensor

#: A label: a JSON object as text, which crosses the gateway byte for byte, or a
#: mapping to be written as one.
Label = Union[str, Mapping[str, Any]]
#: What can be one part of a payload: bytes, or a text in UTF-8.
Part = Union[bytes, bytearray, memoryview, str]
#: What `put` makes one DAT of: one part, a tuple of parts, or a Dat, whose seqno is
#: ignored. An array is a part that the label describes.
Item = Union[Part, Array, "tuple[Part | Array, ...]", "Dat"]

#: Keys of a BOT's label that are fields of their own.
_BOT_FIELDS = ("flow", "direction", "credit", "cid")

#: The attribute of a taker's EOT that says how many DATs it has used. A giver
#: cannot know otherwise: what is under way while a taker says EOT is discarded.
_TAKEN = "taken"


class Direction(str, enum.Enum):
    """What the sender of a BOT will do, in ZIO's words."""

    #: It gives DATs.
    EXTRACT = "extract"
    #: It takes DATs.
    INJECT = "inject"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class _Message:
    #: Opaque parts, as the sender made them.
    payload: tuple[bytes, ...] = ()
    #: The label's JSON text.
    label: str = ""
    #: Who sent it, by the application's own numbering.
    origin: int = 0
    #: Microseconds since the epoch, by convention.
    granule: int = 0
    #: The sender's message count, from 0 for its BOT.
    seqno: int = 0
    #: ZIO's message level, 0 to 8.
    level: int = 0

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        """The label as a mapping, without the keys that are ZIO's own.

        Integers are exact, whatever their size. ValueError if the label is no
        JSON object, which the gateway lets nobody send.
        """
        found = parse_label(self.label)
        for key in self._own_keys():
            found.pop(key, None)
        return found

    def _own_keys(self) -> Sequence[str]:
        return ("flow",)


@dataclass(frozen=True)
class TakenBy:
    """What took a flow."""

    #: The name of the route.
    route: str = ""
    #: The handler: "zmq-server", "zmq-router", "grpc" or "builtin".
    transport: str = ""
    #: Its network address, where known.
    address: str = ""
    #: Its name, where it has shown one.
    identity: str = ""


@dataclass(frozen=True)
class LeftOut:
    """What an offer does not have of its BOT, as it would have been too large."""

    #: The payload's size, if it is left out.
    payload_bytes: int = 0
    payload_parts: int = 0
    #: The label's size, if it is left out, and with it all attributes.
    label_bytes: int = 0


@dataclass(frozen=True)
class Dat(_Message):
    """A DAT: data."""

    def tensors(self) -> list[Tensor]:
        """The tensors that the label describes, in its order.

        Their arrays are views of the payload, which can't be written to, and keep it.
        ValueError if the label describes none, or not what the payload has.
        """
        return tensors.read(self.attributes, self.payload)

    def arrays(self) -> list[Any]:
        """The tensors as NumPy arrays, see `tensors`."""
        return [tensor.array for tensor in self.tensors()]

    def array(self) -> Any:
        """The only tensor as a NumPy array; ValueError if there are others."""
        found = self.arrays()
        if len(found) != 1:
            raise ValueError(f"the DAT has {len(found)} tensors, not one")
        return found[0]


@dataclass(frozen=True)
class Bot(_Message):
    """A BOT: the beginning of one side of a flow."""

    #: What the sender does.
    direction: Direction | None = None
    #: How many DATs may be under way; in an offer, what the client proposes,
    #: 0 if it leaves that to the handler.
    credit: int = 0
    #: The flow's id, by which operators know it; 0 in an offer.
    flow_id: int = 0
    #: Who handles the flow; None but in the answer to its client.
    taken_by: TakenBy | None = None
    #: What is left out of an offer; None for nothing.
    left_out: LeftOut | None = None
    #: The token of the offer that it accepts; 0 for none.
    cid: int = 0

    def _own_keys(self) -> Sequence[str]:
        return _BOT_FIELDS


@dataclass(frozen=True)
class Eot(_Message):
    """An EOT: the end of one side of a flow."""

    #: Why the flow ended; UNSPECIFIED while it waits for an answer.
    reason: EndReason = EndReason.UNSPECIFIED
    #: The cause in words.
    detail: str = ""


@dataclass(frozen=True)
class Pay:
    """A PAY: how many more DATs may be given."""

    credit: int


@dataclass
class GivenDat:
    """A DAT on its way out. Its parts may be views of memory that changes later."""

    label: str
    payload: list[bytes | memoryview]
    origin: int = 0
    granule: int = 0
    level: int = 0


#: What a side sends, and what comes to it.
Outgoing = Union[Bot, Pay, GivenDat, Eot]
Incoming = Union[Bot, Pay, Dat, Eot]


class BotOptions(TypedDict, total=False):
    """What else a BOT has, besides its attributes: the keyword arguments of all that opens
    a flow or accepts one."""

    #: How many DATs may be under way, 10 if it is not given. The smaller of both sides'
    #: counts; with 0 a client leaves it to the handler.
    credit: int
    #: A label, over which the attributes are merged.
    label: Label
    #: Opaque parts, which the other side sees in its `bot` or `offer.bot`.
    payload: Sequence[Part]
    #: The application's own number for who sends: in the BOT and in every later message.
    origin: int


def write_taken(taken: int, refusal: str = "") -> str:
    """The label of the EOT of a taker that has used so many DATs, and why it refused to use
    more, if it did: in the words in which the gateway says why a flow ended."""
    why = {"error": EndReason.REJECTED.value, "detail": cut(refusal)} if refusal else {}
    return write_label({**why, _TAKEN: taken})


def taken_by(eot: _Message) -> int | None:
    """How many DATs a taker has used by its EOT; None if it does not say."""
    try:
        taken = eot.attributes.get(_TAKEN)
    except ValueError:
        return None
    return taken if type(taken) is int else None


def refusal_of(eot: _Message) -> str:
    """Why a taker refused to use more; empty if it does not say."""
    try:
        detail = eot.attributes.get("detail")
    except ValueError:
        return ""
    return cut(detail) if isinstance(detail, str) else ""


def parse_label(label: str) -> dict[str, Any]:
    """A label as a dictionary; the empty one has no attributes."""
    found = json.loads(label) if label else {}
    if not isinstance(found, dict):
        raise ValueError(f"a label must be a JSON object, not {label[:40]!r}")
    return found


def write_label(label: Label) -> str:
    """A label's text. NaN and infinities, which JSON lacks, raise ValueError."""
    if isinstance(label, str):
        return label
    return json.dumps(dict(label), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def write_parts(payload: Sequence[Part]) -> list[bytes]:
    """Payload parts as bytes; TypeError for what is none."""
    if isinstance(payload, (bytes, bytearray, memoryview, str)):
        raise TypeError("a payload is a sequence of parts, not one part")
    return [bytes(_view(part)) for part in payload]


def _view(part: Any) -> bytes | memoryview:
    """A part's bytes, without a copy where they lie in a row; TypeError for what is none."""
    if isinstance(part, bytes):
        return part
    if isinstance(part, str):
        return part.encode()
    if tensors.is_array(part):
        raise TypeError(
            "only a DAT has arrays: give their bytes, and say in the label what they are"
        )
    try:
        view = memoryview(part)  # bytes(5) is five bytes, so a number must not get there
    except TypeError:
        raise TypeError(f"{type(part).__name__} is no part of a payload: {_PARTS}") from None
    if "O" in view.format:
        raise TypeError("a part of a payload can't have Python's objects in it")
    if view.format == "B" and view.ndim == 1 and view.c_contiguous:
        return view
    return view.tobytes()


_PARTS = "that is an array, bytes or str; a tuple has the parts of one DAT, put_all gives many"


def write_bot(
    direction: Direction,
    attributes: Mapping[str, Any] | None,
    *,
    credit: int = 10,
    label: Label = "",
    payload: Sequence[Part] = (),
    origin: int = 0,
    cid: int = 0,
) -> Bot:
    """A BOT to send; see BotOptions.

    Attributes go into the label, not into the contract's `attributes`: there all
    numbers are doubles.
    """
    if credit < 0:
        raise ValueError(f"credit is {credit}, want 0 or more")
    if attributes:
        for key in _BOT_FIELDS:
            if key in attributes:
                raise ValueError(f"attribute {key!r} is one of ZIO's own")
        base = parse_label(label) if isinstance(label, str) else label
        label = {**base, **attributes}
    return Bot(
        payload=tuple(write_parts(payload)),
        label=write_label(label),
        origin=origin,
        direction=direction,
        credit=credit,
        cid=cid,
    )


def write_dat(
    payload: Sequence[Part | Array],
    *,
    label: Label = "",
    origin: int = 0,
    granule: int = 0,
    level: int = 0,
    metadata: Mapping[str, Any] | None = None,
    order: str = "C",
) -> GivenDat:
    """A DAT to send, whose label describes the arrays in it."""
    if not 0 <= level <= 8:
        raise ValueError(f"level is {level}, want 0 to 8")
    arrays = [(n, part) for n, part in enumerate(payload) if tensors.is_array(part)]
    packed: dict[int, memoryview] = {}
    if arrays or metadata is not None:
        described, packed = tensors.write(arrays, metadata=metadata or {}, order=order)
        base = parse_label(label) if isinstance(label, str) else label
        if tensors.KEY in base:
            raise ValueError(f"the label has {tensors.KEY} already, and there are arrays")
        label = {**base, tensors.KEY: described}
    return GivenDat(
        label=write_label(label),
        payload=[packed[n] if n in packed else _view(part) for n, part in enumerate(payload)],
        origin=origin,
        granule=granule,
        level=level,
    )


def write_item(item: Item, origin: int) -> GivenDat:
    """The DAT that an item makes; TypeError if it is none. A Dat keeps its own origin."""
    if isinstance(item, Dat):
        return write_dat(
            item.payload,
            label=item.label,
            origin=item.origin,
            granule=item.granule,
            level=item.level,
        )
    return write_dat(item if isinstance(item, tuple) else (item,), origin=origin)


def write_given(
    payload: tuple[Any, ...],
    flow_origin: int,
    *,
    label: Label,
    origin: int | None,
    granule: int,
    level: int,
) -> GivenDat:
    """The DAT that the arguments of a `put` make; TypeError if there is none."""
    parts: Any = payload
    if len(payload) == 1 and isinstance(payload[0], (tuple, Dat)):
        parts = payload[0]
    if isinstance(parts, Dat):
        if label or origin is not None or granule or level:
            raise TypeError("a Dat has its own label, origin, granule and level")
        return write_item(parts, flow_origin)
    return write_dat(
        parts,
        label=label,
        origin=flow_origin if origin is None else origin,
        granule=granule,
        level=level,
    )


def is_item(value: Any) -> bool:
    """Whether one DAT can be made of it."""
    return isinstance(value, (bytes, bytearray, memoryview, str, tuple, Dat)) or tensors.is_array(
        value
    )
