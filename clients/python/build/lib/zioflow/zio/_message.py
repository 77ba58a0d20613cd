"""A ZIO message, as factories and native handlers see it."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..messages import Bot

#: origin, granule and seqno: 64 bits each, little-endian.
_COORD = struct.Struct("<QQQ")

#: Instead of a part's length, before one of four bytes.
_LONG = 255


def _length(part: bytes) -> bytes:
    if len(part) < _LONG:
        return bytes((len(part),))
    return bytes((_LONG,)) + len(part).to_bytes(4, "big")


@dataclass
class Message:
    """A message with the names that ZIO's own has.

    Factories get one if ZIO is not there; with ZIO they get a `zio.Message`.
    """

    #: The label: a JSON object as text.
    label: str = ""
    #: Opaque parts.
    payload: list[bytes] = field(default_factory=list)
    #: Who sent it, by the application's own numbering.
    origin: int = 0
    #: Microseconds since the epoch, by convention.
    granule: int = 0
    #: The sender's message count, from 0 for its BOT.
    seqno: int = 0
    #: ZIO's message level, 0 to 8.
    level: int = 0
    #: Four characters.
    form: str = "FLOW"
    #: 0: who the message is from, only the gateway knows.
    routing_id: int = 0

    @property
    def label_object(self) -> dict[str, Any]:
        """The label as a new dictionary; what is done to it, the message does not see."""
        found = json.loads(self.label) if self.label else {}
        if not isinstance(found, dict):
            raise ValueError(f"the label is no JSON object: {self.label[:40]!r}")
        return found

    @label_object.setter
    def label_object(self, value: Mapping[str, Any]) -> None:
        self.label = json.dumps(dict(value))

    def toparts(self) -> list[bytes]:
        """The parts in which the message crosses ZeroMQ: two of header, then the payload.

        A DEALER sends an empty part before them.
        """
        prefix = f"ZIO{self.level:d}{self.form[:4]:4}{self.label}".encode()
        return [prefix, _COORD.pack(self.origin, self.granule, self.seqno), *self.payload]

    def toframe(self) -> bytes:
        """The only part in which the message crosses ZeroMQ where there is but one: from a
        CLIENT to a SERVER, and back."""
        return b"".join(piece for part in self.toparts() for piece in (_length(part), part))

    @classmethod
    def offrame(cls, frame: bytes) -> Message:
        """The message in a frame that a CLIENT or a SERVER has received; ValueError if it is
        none."""
        parts, at = [], 0
        while at < len(frame):
            size, at = frame[at], at + 1
            if size == _LONG:
                size, at = int.from_bytes(frame[at : at + 4], "big"), at + 4
            parts.append(frame[at : at + size])
            at += size
        if at != len(frame):
            raise ValueError("the frame ends too early")
        return cls.of(parts)

    @classmethod
    def of(cls, parts: Sequence[bytes]) -> Message:
        """The message in these parts; ValueError if it is none.

        A DEALER receives an empty part before them, which does not belong to it.
        """
        if len(parts) < 2:
            raise ValueError(f"a message has two parts or more, not {len(parts)}")
        prefix, coord, *payload = parts
        if len(prefix) < 8 or prefix[:3] != b"ZIO" or not 0x30 <= prefix[3] <= 0x38:
            raise ValueError(f"the first part is no ZIO header: {bytes(prefix[:8])!r}")
        if len(coord) != _COORD.size:
            raise ValueError(f"the second part has {len(coord)} bytes, want {_COORD.size}")
        origin, granule, seqno = _COORD.unpack(coord)
        return cls(
            label=prefix[8:].decode(),
            payload=payload,
            origin=origin,
            granule=granule,
            seqno=seqno,
            level=prefix[3] - 0x30,
            form=prefix[4:8].decode(),
        )


def for_factory(bot: Bot) -> Any:
    """A client's BOT as a factory expects it.

    A `zio.Message` if the factory has brought ZIO with it: its handlers may use all
    that such a message can do.
    """
    message = Message(
        label=bot.label,
        payload=list(bot.payload),
        origin=bot.origin,
        granule=bot.granule,
        seqno=bot.seqno,
        level=bot.level,
    )
    # Not zio alone: there is another package of that name.
    ziomessage = sys.modules.get("zio.message")
    if ziomessage is None:
        return message
    return ziomessage.Message(parts=message.toparts())
