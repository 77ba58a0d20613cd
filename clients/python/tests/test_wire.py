"""Messages as they are sent, read by protobuf."""

from __future__ import annotations

import pytest

from zioflow import Bot, Direction, Eot
from zioflow._gen.zio.gateway.v1 import flow_pb2
from zioflow._wire import open_request, put_request
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


def test_the_limit_is_one_of_the_whole_message():
    dat = write_dat((bytes(1000),), label={"n": 1})
    size = len(open_request(dat, _MANY))
    assert len(open_request(dat, size)) == size
    with pytest.raises(ValueError, match=f"{size} bytes, at most {size - 1}"):
        open_request(dat, size - 1)
