"""Messages as gRPC carries them: the contract's, to and from the library's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._gen.zio.gateway.v1 import flow_pb2
from ._memory import keep_for
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
    keep_for(size)
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


#: Of the DAT in a response of Open, and in one of Get.
_OPEN_DAT = _tag(flow_pb2.OpenResponse.DESCRIPTOR.fields_by_name["dat"].number)
_GET_DAT = _tag(flow_pb2.GetResponse.DESCRIPTOR.fields_by_name["dat"].number)


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


#: From how many bytes on a DAT is worth to be taken apart by _large_dat.
_LARGE = 16 << 10

#: With more parts than that it is left to protobuf, which takes less time for each.
_MAX_PARTS = 256


def _large_dat(raw: bytes, tag: bytes) -> Dat | None:
    """The DAT in a response whose only field it is, with this tag; None if there is
    something else, or what is malformed.

    Its parts are copied once, and not twice as by protobuf, which reads all but them.
    """
    keep_for(len(raw))
    try:
        size, begin = _read_varint(raw, 1)
        if raw[:1] != tag or begin + size != len(raw):
            return None
        parts, rest, at = [], bytearray(), begin
        for number, first, last in _fields(raw, begin, len(raw)):
            if number == _PAYLOAD << 3 | _LENGTH_DELIMITED:
                parts.append(raw[first:last])
            else:
                rest += raw[at:last]
            at = last
            if len(parts) > _MAX_PARTS:
                return None
    except (IndexError, ValueError):
        return None
    dat = flow_pb2.Dat.FromString(bytes(rest))
    return Dat(tuple(parts), dat.label, dat.origin, dat.granule, dat.seqno, dat.level)


def _fields(raw: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields in this range: the tag, and where the value begins and ends.

    ValueError for what a gateway does not send: groups, fixed numbers, what is cut off.
    """
    while at < end:
        tag, at = _read_varint(raw, at)
        if tag & 7 == _LENGTH_DELIMITED:
            size, begin = _read_varint(raw, at)
            at = begin + size
        elif tag & 7 == 0:
            begin, (_, at) = at, _read_varint(raw, at)
        else:
            raise ValueError
        if at > end:
            raise ValueError
        yield tag, begin, at


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    """A varint, and where it ends; IndexError if it does not."""
    n = shift = 0
    while True:
        byte = raw[at]
        at += 1
        n |= (byte & 0x7F) << shift
        if byte < 0x80:
            return n, at
        shift += 7
        if shift > 63:
            raise ValueError


def read_response(raw: bytes) -> Incoming | None:
    """The message in an OpenResponse; None if there is none that is known."""
    if len(raw) >= _LARGE and (dat := _large_dat(raw, _OPEN_DAT)) is not None:
        return dat
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


def read_get_response(raw: bytes) -> Dat | None:
    """The DAT in a GetResponse; None if it has none."""
    if len(raw) >= _LARGE and (dat := _large_dat(raw, _GET_DAT)) is not None:
        return dat
    response = flow_pb2.GetResponse.FromString(raw)
    return read_dat(response.dat) if response.HasField("dat") else None


def envelope(message: Any) -> dict[str, Any]:
    """What every message has, in the contract and in ZIO's form alike."""
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
    return Dat(**envelope(dat))


def read_bot(bot: flow_pb2.Bot) -> Bot:
    """A BOT that came."""
    by, left = bot.taken_by, bot.left_out
    return Bot(
        **envelope(bot),
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
    return Eot(**envelope(eot), reason=reason_from_proto(eot.reason), detail=eot.detail)
