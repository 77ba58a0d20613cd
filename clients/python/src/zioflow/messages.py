"""The messages of a flow, as applications see them."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Union

from . import tensors
from ._gen.zio.gateway.v1 import flow_pb2
from .errors import EndReason, reason_from_proto
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

    def _own_keys(self) -> Sequence[str]:
        return _BOT_FIELDS


@dataclass(frozen=True)
class Eot(_Message):
    """An EOT: the end of one side of a flow."""

    #: Why the flow ended; UNSPECIFIED while it waits for an answer.
    reason: EndReason = EndReason.UNSPECIFIED
    #: The cause in words.
    detail: str = ""


def write_taken(taken: int) -> str:
    """The label of the EOT of a taker that has used so many DATs."""
    return write_label({_TAKEN: taken})


def taken_by(eot: _Message) -> int | None:
    """How many DATs a taker has used by its EOT; None if it does not say."""
    try:
        taken = eot.attributes.get(_TAKEN)
    except ValueError:
        return None
    return taken if type(taken) is int else None


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
    return [_write_part(part) for part in payload]


def _write_part(part: Any) -> bytes:
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
    return view.tobytes()


_PARTS = "that is an array, bytes or str; a tuple has the parts of one DAT, put_all gives many"


def write_bot(
    direction: Direction,
    attributes: Mapping[str, Any] | None,
    *,
    credit: int,
    label: Label,
    payload: Sequence[Part],
    origin: int,
    cid: int = 0,
) -> flow_pb2.Bot:
    """A BOT to send.

    Attributes go into the label, not into the message's `attributes`: there all
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
    extract = direction is Direction.EXTRACT
    return flow_pb2.Bot(
        label=write_label(label),
        payload=write_parts(payload),
        origin=origin,
        direction=flow_pb2.DIRECTION_EXTRACT if extract else flow_pb2.DIRECTION_INJECT,
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
) -> flow_pb2.Dat:
    """A DAT to send, whose label describes the arrays in it."""
    if not 0 <= level <= 8:
        raise ValueError(f"level is {level}, want 0 to 8")
    arrays = [(n, part) for n, part in enumerate(payload) if tensors.is_array(part)]
    packed: dict[int, bytes] = {}
    if arrays or metadata is not None:
        described, packed = tensors.write(arrays, metadata=metadata or {}, order=order)
        base = parse_label(label) if isinstance(label, str) else label
        if tensors.KEY in base:
            raise ValueError(f"the label has {tensors.KEY} already, and there are arrays")
        label = {**base, tensors.KEY: described}
    return flow_pb2.Dat(
        label=write_label(label),
        payload=[packed[n] if n in packed else _write_part(part) for n, part in enumerate(payload)],
        origin=origin,
        granule=granule,
        level=level,
    )


def write_item(item: Item, origin: int) -> flow_pb2.Dat:
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


def is_item(value: Any) -> bool:
    """Whether one DAT can be made of it."""
    return isinstance(value, (bytes, bytearray, memoryview, str, tuple, Dat)) or tensors.is_array(
        value
    )


def _envelope(message: Any) -> dict[str, Any]:
    return {
        "payload": tuple(message.payload),
        "label": message.label,
        "origin": message.origin,
        "granule": message.granule,
        "seqno": message.seqno,
        "level": message.level,
    }


def read_dat(dat: flow_pb2.Dat) -> Dat:
    """A DAT that came."""
    return Dat(**_envelope(dat))


def read_bot(bot: flow_pb2.Bot) -> Bot:
    """A BOT that came."""
    direction = {
        flow_pb2.DIRECTION_EXTRACT: Direction.EXTRACT,
        flow_pb2.DIRECTION_INJECT: Direction.INJECT,
    }.get(bot.direction)
    by, left = bot.taken_by, bot.left_out
    return Bot(
        **_envelope(bot),
        direction=direction,
        credit=bot.credit,
        flow_id=bot.flow_id,
        taken_by=TakenBy(by.route, by.transport, by.address, by.identity)
        if bot.HasField("taken_by")
        else None,
        left_out=LeftOut(left.payload_bytes, left.payload_parts, left.label_bytes)
        if left.payload_parts or left.label_bytes
        else None,
    )


def read_eot(eot: flow_pb2.Eot) -> Eot:
    """An EOT that came."""
    return Eot(**_envelope(eot), reason=reason_from_proto(eot.reason), detail=eot.detail)
