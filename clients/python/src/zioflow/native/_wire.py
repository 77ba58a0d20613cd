"""The library's messages as ZIO's, and back: what the gateway does for a gRPC peer.

No input and output, and no ZeroMQ: `encode` makes a message ready, a `Numbering` numbers
it, and a `Reading` reads what comes.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from .._memory import keep_for
from .._wire import envelope
from ..errors import EndReason, FlowError
from ..messages import Bot, Dat, Direction, Eot, GivenDat, Incoming, Outgoing, Pay, parse_label
from ..zio._message import Message

#: How much longer a message may be than its payload: its label and the rest.
HEAD_ROOM = 64 << 10

_NAMES: dict[type[Outgoing], str] = {Bot: "BOT", Pay: "PAY", GivenDat: "DAT", Eot: "EOT"}
_DIRECTIONS = {str(direction): direction for direction in Direction}

#: By what the label of a gateway's EOT says.
_REASONS = {str(reason): reason for reason in EndReason}
#: What the EOT says that a gateway sends for a flow that it does not know.
_UNKNOWN_FLOW = "unknown flow"
#: The status by which a call by gRPC ends for the same reason.
_CODES: dict[EndReason, grpc.StatusCode] = {
    EndReason.REJECTED: grpc.StatusCode.FAILED_PRECONDITION,
    EndReason.NO_HANDLER: grpc.StatusCode.UNAVAILABLE,
    EndReason.HANDLER_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    EndReason.PEER_GONE: grpc.StatusCode.ABORTED,
    EndReason.CREDIT_VIOLATION: grpc.StatusCode.FAILED_PRECONDITION,
    EndReason.PROTOCOL_ERROR: grpc.StatusCode.INVALID_ARGUMENT,
    EndReason.MESSAGE_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    EndReason.OVERRUN: grpc.StatusCode.RESOURCE_EXHAUSTED,
    EndReason.IDLE_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    EndReason.EOT_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    EndReason.ENDED_BY_ADMIN: grpc.StatusCode.ABORTED,
    EndReason.RESTARTED: grpc.StatusCode.ABORTED,
    EndReason.DRAINING: grpc.StatusCode.UNAVAILABLE,
    EndReason.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
#: After which it may be tried again, in so many seconds, as the gateway suggests by gRPC.
_AGAIN = (
    EndReason.NO_HANDLER,
    EndReason.HANDLER_TIMEOUT,
    EndReason.PEER_GONE,
    EndReason.IDLE_TIMEOUT,
    EndReason.DRAINING,
    EndReason.OVERLOADED,
)
_AFTER = 1.0
#: What the contract has for a credit, and for the numbers of a coord.
_MAX_CREDIT, _MAX_NUMBER = 2**63 - 1, 2**64 - 1

# What nearly all labels of DATs begin with.
_DAT = re.compile(r'\s*\{\s*"flow"\s*:\s*"DAT"')
# A key of a label may be written with escapes, and then has to be read to be known.
_MAY_HAVE_FLOW = re.compile(r'"flow"|\\u')


def encode(message: Outgoing, limit: int) -> Message:
    """A message, but for its number; ValueError if it has more bytes than the limit, or a
    number in it has more than 64 bits.

    A label crosses byte for byte, with the key `flow` put in front where it lacks that. A
    ValueError says that it is another kind of message's, or that a BOT's is no JSON object;
    of others, that is the gateway's to say.
    """
    if isinstance(message, Pay):
        return Message(label=f'{{"flow":"PAY","credit":{message.credit}}}')
    if isinstance(message, Bot):
        label = _bot_label(message)
    else:
        label = _supply(message.label, _NAMES[type(message)])
    for name, number in ("origin", message.origin), ("granule", message.granule):
        if not 0 <= number <= _MAX_NUMBER:
            raise ValueError(f"{name} is {number}, want 0 to 2^64-1")
    payload = [bytes(part) for part in message.payload]
    size = len(label.encode()) + sum(map(len, payload))
    if size > limit:
        raise ValueError(f"the message has {size} bytes, at most {limit} can be sent")
    keep_for(size)
    return Message(
        label=label,
        payload=payload,
        origin=message.origin,
        granule=message.granule,
        level=message.level,
    )


class Numbering:
    """Numbers what one side of a flow sends, from 0 for its BOT."""

    def __init__(self) -> None:
        self._seqno = 0

    def number(self, message: Message) -> None:
        """Makes a message the next one. A granule of 0 becomes the present, in microseconds."""
        message.seqno, self._seqno = self._seqno, self._seqno + 1
        message.granule = message.granule or time.time_ns() // 1000


def _bot_label(bot: Bot) -> str:
    """A BOT's label with its fields merged over it."""
    try:
        given = parse_label(bot.label)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the BOT's label: {error}") from None
    fields: dict[str, Any] = {"flow": "BOT"}
    if bot.direction is not None:
        fields["direction"] = str(bot.direction)
    if bot.credit:
        fields["credit"] = bot.credit
    if bot.cid:
        fields["cid"] = bot.cid
    if given.keys() & fields.keys():
        return json.dumps({**given, **fields}, ensure_ascii=False, separators=(",", ":"))
    # The rest stays as it is, number by number and space by space.
    added = json.dumps(fields, separators=(",", ":"))
    return bot.label.rstrip()[:-1] + "," + added[1:] if given else added


def _supply(label: str, flow: str) -> str:
    """The label, which gets the key `flow` if it has none."""
    if not label:
        return f'{{"flow":"{flow}"}}'
    if _MAY_HAVE_FLOW.search(label):
        try:
            found = parse_label(label)
        except (ValueError, RecursionError):
            return label
        if "flow" in found:
            if found["flow"] != flow:
                raise ValueError(f"the label of a {flow} says flow {found['flow']!r}")
            return label
    begin, brace, rest = label.partition("{")
    if not brace or begin.strip():
        return label
    comma = "" if rest.lstrip().startswith("}") else ","
    return f'{{"flow":"{flow}"{comma}{rest}'


class Reading:
    """Reads what comes to one side of a flow."""

    def __init__(self, limit: int) -> None:
        """A message of more bytes than the limit is not read."""
        self._limit = limit
        #: Whether this side has said EOT.
        self.answered = False
        #: Whether an EOT has come.
        self.ended = False
        #: Why the flow has failed, by the EOT that came.
        self.error: FlowError | None = None

    def read(self, decode: Callable[[Any], Message], came: bytes | Sequence[bytes]) -> Incoming:
        """The message in what came; FlowError if it is none of a flow.

        An EOT that answers none of this side's has no reason; one with which the
        gateway ended the flow has its reason. An EOT that crosses this side's cannot be
        told from one that answers it: ZIO has nothing that says so.
        """
        size = len(came) if isinstance(came, bytes) else sum(map(len, came))
        if size > self._limit:
            detail = f"a message of {size} bytes came, at most {self._limit} are taken here"
            raise FlowError(EndReason.MESSAGE_TOO_LARGE, detail)
        keep_for(size)
        try:
            message = decode(came)
            # The gateway lets no key `flow` stand twice.
            is_dat = _DAT.match(message.label)
            label = {"flow": "DAT"} if is_dat else parse_label(message.label)
        except (ValueError, RecursionError) as error:
            raise _malformed(str(error)) from None
        flow = label.get("flow")
        if flow == "DAT":
            return Dat(**envelope(message))
        if flow == "PAY":
            return Pay(_credit(label, least=0))
        if flow == "BOT":
            return Bot(
                **envelope(message), direction=_direction(label), credit=_credit(label, least=1)
            )
        if flow == "EOT":
            self.ended = True
            return Eot(**envelope(message), **self._meaning(label))
        raise _malformed(f"a label says flow {flow!r}")

    def _meaning(self, label: dict[str, Any]) -> dict[str, Any]:
        text, detail = label.get("error"), label.get("detail", "")
        if not isinstance(text, str):
            text = ""
        reason = _REASONS.get(text, EndReason.UNSPECIFIED)
        if text == _UNKNOWN_FLOW:
            reason, detail = EndReason.PEER_GONE, "the gateway does not know the flow any more"
        if reason in (EndReason.UNSPECIFIED, EndReason.COMPLETED):
            # An `error` that is none of the gateway's is an attribute of the peer's.
            return {"reason": EndReason.COMPLETED} if self.answered else {}
        detail = detail if isinstance(detail, str) else ""
        code, retry_after = _CODES[reason], _AFTER if reason in _AGAIN else None
        self.error = FlowError(reason, detail, code=code, retry_after=retry_after)
        return {"reason": reason, "detail": detail}


def _direction(label: dict[str, Any]) -> Direction:
    direction = _DIRECTIONS.get(str(label.get("direction")))
    if direction is None:
        raise _malformed(f"a BOT has the direction {label.get('direction')!r}")
    return direction


def _credit(label: dict[str, Any], *, least: int) -> int:
    credit = label.get("credit")
    if type(credit) is not int or not least <= credit <= _MAX_CREDIT:
        raise _malformed(f"a {label['flow']} has a credit of {credit!r}")
    return credit


def _malformed(detail: str) -> FlowError:
    return FlowError(EndReason.PROTOCOL_ERROR, detail)
