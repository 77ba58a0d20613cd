"""Messages as they are sent, read by protobuf."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError

from zioflow import Bot, Dat, Direction, Eot
from zioflow._gen.zio.gateway.v1 import flow_pb2
from zioflow._wire import (
    _OPEN_DAT,
    _large_dat,
    _varint,
    open_request,
    put_request,
    read_get_response,
    read_response,
)
from zioflow.messages import Pay, write_dat

_MANY = 1 << 30

_GRID = memoryview(bytes(range(12))).cast("B", (3, 4))


@pytest.mark.parametrize(
    "part, sent",
    [
        (b"", b""),
        (b"x" * 127, b"x" * 127),
        (bytearray(128), bytes(128)),
        ("größe", "größe".encode()),
        (memoryview(bytes(1 << 21)), bytes(1 << 21)),
        (memoryview(b"abcdef")[::2], b"ace"),
        (memoryview(b"abcdef").cast("H"), b"abcdef"),
        (_GRID, bytes(range(12))),
        (_GRID[1:2], bytes(range(4, 8))),
    ],
)
def test_parts_are_sent_as_they_are(part, sent):
    dat = write_dat((part, b"y", part), label={"n": 1}, origin=2**64 - 1, granule=3, level=8)
    for read, encoded in (
        (flow_pb2.OpenRequest.FromString, open_request(dat, _MANY)),
        (flow_pb2.PutRequest.FromString, put_request(dat, _MANY)),
    ):
        assert read(encoded).dat == flow_pb2.Dat(
            label='{"n":1}', payload=[sent, b"y", sent], origin=2**64 - 1, granule=3, level=8
        )


def test_what_is_sent_does_not_change_with_what_was_given():
    part = bytearray(b"before")
    encoded = open_request(write_dat((part,)), _MANY)
    part[:] = b"later!"
    assert flow_pb2.OpenRequest.FromString(encoded).dat.payload == [b"before"]


def test_the_other_messages_are_sent_whole():
    bot = Bot(
        label='{"a":1}',
        payload=(b"p", b""),
        origin=4,
        direction=Direction.INJECT,
        credit=5,
        cid=2**53 - 1,
    )
    assert flow_pb2.OpenRequest.FromString(open_request(bot, _MANY)).bot == flow_pb2.Bot(
        label='{"a":1}',
        payload=[b"p", b""],
        origin=4,
        direction=flow_pb2.DIRECTION_INJECT,
        credit=5,
        cid=2**53 - 1,
    )
    assert flow_pb2.PutRequest.FromString(put_request(bot, _MANY)).bot.cid == 2**53 - 1
    pay = flow_pb2.OpenRequest.FromString(open_request(Pay(7), _MANY)).pay
    assert pay == flow_pb2.Pay(credit=7)
    eot = Eot(label='{"taken":3}', origin=9)
    assert flow_pb2.OpenRequest.FromString(open_request(eot, _MANY)).eot == flow_pb2.Eot(
        label='{"taken":3}', origin=9
    )


def _response(**dat):
    return flow_pb2.OpenResponse(dat=flow_pb2.Dat(**dat)).SerializeToString()


@pytest.mark.parametrize(
    "payload", [[bytes(1 << 21)], [b"x" * 20000, b"", b"y"], [], [b"\xff" * 16384] * 3]
)
def test_dats_are_read_alike_whether_large_or_not(payload):
    label = '{"flow":"DAT","x":"%s"}' % ("ü" * (0 if payload else 20000))
    raw = _response(label=label, payload=payload, origin=2**64 - 1, granule=3, seqno=4, level=8)
    assert len(raw) > 16 << 10
    dat = Dat(tuple(payload), label, 2**64 - 1, 3, 4, 8)
    assert read_response(raw) == dat
    got = flow_pb2.GetResponse(dat=flow_pb2.OpenResponse.FromString(raw).dat)
    assert read_get_response(got.SerializeToString()) == dat
    assert _large_dat(raw, _OPEN_DAT) == dat
    # As other encoders may write it: in another order, with fields that are not known.
    inner = flow_pb2.Dat(label=label).SerializeToString()
    inner += b"".join(b"\x12" + _varint(len(p)) + p for p in payload)
    inner += b"\xa2\x06\x03new" + b"\x28\x04\x30\x08"
    raw = b"\x1a" + _varint(len(inner)) + inner
    assert _large_dat(raw, _OPEN_DAT) == Dat(tuple(payload), label, 0, 0, 4, 8)


def test_what_is_no_dat_is_left_to_protobuf():
    size = 20000
    bot = flow_pb2.OpenResponse(bot=flow_pb2.Bot(payload=[bytes(size)])).SerializeToString()
    assert _large_dat(bot, _OPEN_DAT) is None
    assert read_response(bot).payload == (bytes(size),)
    raw = _response(payload=[bytes(size)])
    for cut in (1, 2, 3, 5, size // 2, len(raw) - 1):
        assert _large_dat(raw[:cut], _OPEN_DAT) is None
    with pytest.raises(DecodeError):
        read_response(raw[:-1])
    twice = _response(payload=[bytes(size)]) + _response(payload=[b"1"])
    assert _large_dat(twice, _OPEN_DAT) is None
    assert read_response(twice).payload == (bytes(size), b"1")
    for payload in ([b""] * 30000, [bytes(size)]):
        dat = read_response(_response(payload=payload))
        assert dat.payload == tuple(payload)
    wrong_type = b"\x10\x05" + b"\x12" + _varint(size) + bytes(size)  # a number as a part
    raw = _OPEN_DAT + _varint(len(wrong_type)) + wrong_type
    assert read_response(raw).payload == (bytes(size),)
    for odd in (b"\x1a\x05\x12\xff\xff\xff\xff", b"\x80" * 40, b"\x1b", b"\x1d1234", b""):
        assert _large_dat(odd, _OPEN_DAT) is None


def test_the_limit_is_one_of_the_whole_message():
    dat = write_dat((bytes(1000),), label={"n": 1})
    size = len(open_request(dat, _MANY))
    assert len(open_request(dat, size)) == size
    with pytest.raises(ValueError, match=f"{size} bytes, at most {size - 1}"):
        open_request(dat, size - 1)
