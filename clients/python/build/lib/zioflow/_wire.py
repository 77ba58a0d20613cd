"""Messages as gRPC carries them: the contract's, to and from the library's own."""

from __future__ import annotations

from typing import Any

from ._gen.zio.gateway.v1 import flow_pb2
from .errors import reason_from_proto
from .messages import (
    Bot,
    Dat,
    Direction,
    Eot,
    GivenDat,
    Incoming,
    LeftOut,
    Outgoing,
    Pay,
    TakenBy,
)

#: How much longer a message may be than its payload: its label and the encoding.
HEAD_ROOM = 64 << 10

_TO_WIRE = {
    Direction.EXTRACT: flow_pb2.DIRECTION_EXTRACT,
    Direction.INJECT: flow_pb2.DIRECTION_INJECT,
}
_FROM_WIRE = {wire: direction for direction, wire in _TO_WIRE.items()}

#: The fields of the requests' oneof, by the message that they carry.
_OPEN = {Bot: 1, Pay: 2, GivenDat: 3, Eot: 4}
_PUT = {Bot: 1, GivenDat: 2, Eot: 3}

_PAYLOAD = flow_pb2.Dat.DESCRIPTOR.fields_by_name["payload"].number
_LENGTH_DELIMITED = 2


def open_request(message: Outgoing, limit: int) -> bytes:
    """An OpenRequest with the message; ValueError if it has more bytes than the limit.

    gRPC would end the call, and with it the flow.
    """
    return _request(_OPEN[type(message)], message, limit)


def put_request(message: Bot | GivenDat | Eot, limit: int) -> bytes:
    """A PutRequest, likewise."""
    return _request(_PUT[type(message)], message, limit)


def _request(field: int, message: Outgoing, limit: int) -> bytes:
    """A request whose only field is the message.

    The parts are put behind the rest, which protobuf lets stand in any order: in this
    way they are copied once, and not three times.
    """
    pieces: list[Any] = [_head(message)]
    if isinstance(message, GivenDat):
        for part in message.payload:
            pieces += _tag(_PAYLOAD), _varint(len(part)), part
    size = sum(map(len, pieces))
    pieces[:0] = _tag(field), _varint(size)
    size += len(pieces[0]) + len(pieces[1])
    if size > limit:
        raise ValueError(
            f"the message has {size} bytes, at most {limit} can be sent: see max_message"
        )
    return b"".join(pieces)


def _head(message: Outgoing) -> bytes:
    """The message; of a DAT, what is not its payload."""
    if isinstance(message, Bot):
        return write_bot(message).SerializeToString()
    if isinstance(message, Pay):
        return flow_pb2.Pay(credit=message.credit).SerializeToString()
    if isinstance(message, Eot):
        eot = flow_pb2.Eot(label=message.label, origin=message.origin)
        return eot.SerializeToString()
    return flow_pb2.Dat(
        label=message.label, origin=message.origin, granule=message.granule, level=message.level
    ).SerializeToString()


def _tag(field: int) -> bytes:
    return bytes((field << 3 | _LENGTH_DELIMITED,))


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def write_bot(bot: Bot) -> flow_pb2.Bot:
    """A BOT to send."""
    return flow_pb2.Bot(
        label=bot.label,
        payload=bot.payload,
        origin=bot.origin,
        direction=_TO_WIRE[bot.direction] if bot.direction is not None else None,
        credit=bot.credit,
        cid=bot.cid,
    )


def read_response(raw: bytes) -> Incoming | None:
    """The message in an OpenResponse; None if there is none that is known."""
    response = flow_pb2.OpenResponse.FromString(raw)
    kind = response.WhichOneof("message")
    if kind == "dat":
        return read_dat(response.dat)
    if kind == "pay":
        return Pay(response.pay.credit)
    if kind == "bot":
        return read_bot(response.bot)
    if kind == "eot":
        return read_eot(response.eot)
    return None


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
    by, left = bot.taken_by, bot.left_out
    return Bot(
        **_envelope(bot),
        direction=_FROM_WIRE.get(bot.direction),
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
