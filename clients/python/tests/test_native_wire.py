"""What crosses ZeroMQ, byte for byte: as the protocol page, the reference and the gateway
have it."""

from __future__ import annotations

import json
import pathlib
import re
import threading

import grpc
import pytest
from native import Dealer

from zioflow import Bot, Direction, EndReason, Eot, FlowError
from zioflow._gen.zio.gateway.v1 import flow_pb2, flow_pb2_grpc, handler_pb2, handler_pb2_grpc
from zioflow._wire import read_response
from zioflow.messages import GivenDat
from zioflow.native._wire import Numbering, Reading, encode
from zioflow.zio import Message

_VECTORS = json.loads(
    (pathlib.Path(__file__).parents[3] / "broker/zio/testdata/python_zio.json").read_text()
)


_LIMIT = 1 << 20


def _dat(**fields) -> GivenDat:
    return GivenDat(**{"label": "", "payload": [], **fields})


def _written(*messages) -> list[list[bytes]]:
    numbering = Numbering()
    encoded = [encode(message, _LIMIT) for message in messages]
    for message in encoded:
        numbering.number(message)
    return [message.toparts() for message in encoded]


def _read(parts, *, answered=False):
    reading = Reading(_LIMIT)
    reading.answered = answered
    return reading.read(Message.of, parts)


def test_the_example_of_the_protocol_page():
    *_, parts = _written(_dat(), _dat(), _dat(payload=[b"Hi"], origin=42, granule=1))
    assert [part.hex() for part in parts] == [
        "5a494f30464c4f577b22666c6f77223a22444154227d",
        "2a0000000000000001000000000000000200000000000000",
        "4869",
    ]


@pytest.mark.parametrize("vector", _VECTORS)
def test_messages_of_the_reference(vector):
    """Those of Python ZIO 63bfde8, as parts."""
    parts = [bytes.fromhex(part) for part in vector["parts"]]
    message = Message.of(parts)
    assert message.toparts() == parts
    frame = bytes.fromhex(vector["encoded"])
    assert message.toframe() == frame
    assert Message.offrame(frame) == message
    if json.loads(vector["label"] or "{}").get("flow") == "DAT":
        dat = _read(parts)
        assert dat.label == vector["label"]
        coord = tuple(int(vector[key]) for key in ("origin", "granule", "seqno"))
        assert (dat.origin, dat.granule, dat.seqno) == coord
        assert list(dat.payload) == [bytes.fromhex(part) for part in vector["payload"]]
        assert (dat.level, message.form) == (vector["level"], vector["form"])


def test_long_and_short_parts_of_a_frame():
    message = Message(label='{"flow":"DAT"}', payload=[bytes(254), bytes(255), b"", bytes(70000)])
    frame = message.toframe()
    assert Message.offrame(frame) == message
    begin = len(frame) - 70005 - 1 - 260 - 255
    assert frame[begin] == 254
    assert frame[begin + 255 : begin + 260] == b"\xff\x00\x00\x00\xff"
    prefix, coord = message.toparts()[:2]
    long = b"".join(b"\xff" + len(part).to_bytes(4, "big") + part for part in (prefix, coord))
    assert Message.offrame(long).label == message.label
    for end in range(1, len(long)):
        with pytest.raises(ValueError):
            Message.offrame(long[:end])


@pytest.mark.parametrize(
    "given, label",
    [
        ("", '{"flow":"BOT","direction":"inject","credit":3,"cid":7}'),
        ("{}", '{"flow":"BOT","direction":"inject","credit":3,"cid":7}'),
        (
            '{ "a" : 1.0, "a": 1e400 } ',
            '{ "a" : 1.0, "a": 1e400 ,"flow":"BOT","direction":"inject","credit":3,"cid":7}',
        ),
        (
            '{"credit":9,"n":9007199254740993,"é":"é"}',
            '{"credit":3,"n":9007199254740993,"é":"é","flow":"BOT","direction":"inject","cid":7}',
        ),
    ],
)
def test_a_bots_label_has_its_fields(given, label):
    bot = Bot(label=given, direction=Direction.INJECT, credit=3, cid=7)
    ((prefix, coord, *payload),) = _written(bot)
    assert prefix == b"ZIO0FLOW" + label.encode()
    assert coord[16:] == bytes(8) and not payload


def test_space_in_a_label_is_kept():
    (prefix, *_), *_ = _written(_dat(label=' { "n" : 1 } '))
    assert prefix == b'ZIO0FLOW{"flow":"DAT", "n" : 1 } '
    (prefix, *_), *_ = _written(_dat(label="{ }"))
    assert prefix == b'ZIO0FLOW{"flow":"DAT" }'


@pytest.mark.parametrize("label", ["[]", '"flow"', "x{}", '{"flow":'])
def test_a_dats_label_that_is_no_object_is_the_gateways_to_refuse(label):
    (prefix, *_), *_ = _written(_dat(label=label))
    assert prefix == b"ZIO0FLOW" + label.encode()


def test_a_credit_of_0_is_left_out():
    (prefix, *_), *_ = _written(Bot(direction=Direction.EXTRACT))
    assert prefix == b'ZIO0FLOW{"flow":"BOT","direction":"extract"}'


@pytest.mark.parametrize("label", ["[]", "{", "7", "[" * 100_000])
def test_a_bots_label_that_is_no_object_is_refused(label):
    with pytest.raises(ValueError, match="the BOT's label: "):
        encode(Bot(label=label, direction=Direction.EXTRACT), _LIMIT)


@pytest.mark.parametrize("field", ["origin", "granule"])
def test_numbers_have_64_bits(field):
    encode(_dat(**{field: 2**64 - 1}), _LIMIT)
    for number in (-1, 2**64):
        with pytest.raises(ValueError, match=f"{field} is {number}"):
            encode(_dat(**{field: number}), _LIMIT)


def test_what_is_too_large_is_not_sent_and_not_read():
    encode(_dat(payload=[bytes(_LIMIT - 100)]), _LIMIT)
    with pytest.raises(ValueError, match=r"at most 1048576 can be sent"):
        encode(_dat(payload=[bytes(_LIMIT - 10), bytes(10)]), _LIMIT)
    with pytest.raises(FlowError, match=r"at most 1048576 are taken") as caught:
        _read([b"ZIO0FLOW{}", bytes(24), bytes(_LIMIT)])
    assert caught.value.reason is EndReason.MESSAGE_TOO_LARGE


def test_what_is_encoded_does_not_change_with_its_memory():
    memory = bytearray(b"before")
    message = encode(_dat(payload=[memoryview(memory)]), _LIMIT)
    memory[:] = b"behind"
    assert message.payload == [b"before"]


#: Labels of DATs, as an application gives them.
_LABELS = [
    "",
    "{}",
    '{"flow":"DAT"}',
    '{"n":1,"flow":"DAT"}',
    '{"fl\\u006fw":"DAT"}',
    '{"n":{"flow":1.0}}',
    '{"text":"\\u00e9","flowing":true}',
    '{"a":NaN,"b":18446744073709551616,"b":1}',
]


def _given() -> list[GivenDat | Eot]:
    dats = [
        _dat(label=label, payload=[b"x" * n, b""], origin=n, granule=n + 1, level=n % 9)
        for n, label in enumerate(_LABELS)
    ]
    return [*dats, Eot(label='{"taken":3}', payload=(b"bye",), origin=5, granule=6)]


def _request(message) -> flow_pb2.OpenRequest:
    """The same in the contract's words."""
    fields = {key: getattr(message, key) for key in ("label", "payload", "origin", "granule")}
    if isinstance(message, Eot):
        return flow_pb2.OpenRequest(eot=flow_pb2.Eot(**fields))
    return flow_pb2.OpenRequest(dat=flow_pb2.Dat(**fields, level=message.level))


def _offered(address: str, name: str, handle) -> threading.Thread:
    """Has a handler on bare gRPC take one offer; returns once it is listening."""
    ready = threading.Event()

    def listen():
        with grpc.insecure_channel(address) as channel:
            listener = handler_pb2_grpc.HandlerServiceStub(channel)
            match = f"attributes.stream == '{name}'"
            call = listener.Listen(handler_pb2.ListenRequest(name=name, match=match))
            for event in call:
                if event.WhichOneof("event") == "offer":
                    handle(flow_pb2_grpc.FlowServiceStub(channel), event.offer)
                    call.cancel()
                    return
                ready.set()

    thread = threading.Thread(target=listen)
    thread.start()
    assert ready.wait(20)
    return thread


def test_what_is_written_is_what_the_gateway_writes(native_program):
    """The gateway makes ZIO's messages of a gRPC giver's; the same bytes as here."""

    def handle(flows, offer):
        bot = flow_pb2.Bot(
            direction=flow_pb2.DIRECTION_EXTRACT, credit=100, granule=9, label='{"k":1}'
        )
        bot.cid = offer.cid
        paid = threading.Event()

        def requests():
            yield flow_pb2.OpenRequest(bot=bot)
            assert paid.wait(20)
            yield from map(_request, _given())

        kinds = []
        for response in flows.Open(requests()):
            kinds.append(response.WhichOneof("message"))
            if kinds[-1] == "pay":
                paid.set()
        assert kinds == ["bot", "pay", "eot"]

    thread = _offered(native_program.address, "wire", handle)
    came = []
    with Dealer(native_program.router) as client:
        client.say("BOT", direction="inject", credit=100, stream="wire")
        while not came or came[-1].label_object["flow"] != "EOT":
            came.append(client.recv())
            assert came[-1] is not None
            if len(came) == 1:
                client.say("PAY", credit=100)
        client.say("EOT")
    thread.join()
    bot = Bot(direction=Direction.EXTRACT, credit=100, granule=9, label='{"k":1}')
    want = _written(bot, *_given())
    assert json.loads(came[0].label) == json.loads(want[0][0][8:])
    assert came[0].toparts()[1:] == want[0][1:]
    assert [message.toparts() for message in came[1:]] == want[1:]


def test_what_is_read_is_what_the_gateway_reads(native_program):
    """The gateway makes the contract's messages of a native giver's; the same as here."""
    came = []

    def handle(flows, offer):
        bot = flow_pb2.Bot(direction=flow_pb2.DIRECTION_INJECT, credit=100, cid=offer.cid)
        pay = flow_pb2.OpenRequest(pay=flow_pb2.Pay(credit=100))
        answer = flow_pb2.OpenRequest(eot=flow_pb2.Eot())
        done = threading.Event()

        def requests():
            yield flow_pb2.OpenRequest(bot=bot)
            yield pay
            assert done.wait(20)
            yield answer

        for response in flows.Open(requests()):
            came.append(response)
            if response.WhichOneof("message") == "eot":
                done.set()

    thread = _offered(native_program.address, "read", handle)
    bot = Bot(direction=Direction.EXTRACT, credit=100, label='{"stream":"read"}')
    sent = _written(bot, *_given())
    with Dealer(native_program.router) as client:
        client._socket.send_multipart([b"", *sent[0]])
        client.expect("BOT")
        client.expect("PAY")
        for parts in sent[1:]:
            client._socket.send_multipart([b"", *parts])
        client.expect("EOT")
    thread.join()
    # The BOT is the handler's own.
    assert came[0].bot.direction == flow_pb2.DIRECTION_EXTRACT
    assert (_read(sent[0]).direction, _read(sent[0]).credit) == (Direction.EXTRACT, 100)
    want = [read_response(response.SerializeToString()) for response in came[1:]]
    assert [_read(parts) for parts in sent[1:]] == want


@pytest.mark.parametrize(
    "label, said, reason, detail, failed",
    [
        ('{"flow":"EOT"}', False, "UNSPECIFIED", "", False),
        ('{"flow":"EOT","taken":1}', True, "COMPLETED", "", False),
        ('{"flow":"EOT","error":"peer_gone","detail":"d"}', True, "PEER_GONE", "d", True),
        ('{"flow":"EOT","error":"draining"}', False, "DRAINING", "", True),
        ('{"flow":"EOT","error":"disk full","detail":"d"}', True, "COMPLETED", "", False),
        ('{"flow":"EOT","error":7}', False, "UNSPECIFIED", "", False),
        ('{"flow":"EOT","error":"rejected","detail":[]}', False, "REJECTED", "", True),
        (
            '{"flow":"EOT","error":"unknown flow"}',
            False,
            "PEER_GONE",
            "the gateway does not know the flow any more",
            True,
        ),
    ],
)
def test_what_an_eot_means(label, said, reason, detail, failed):
    reading = Reading(_LIMIT)
    reading.answered = said
    eot = reading.read(Message.of, Message(label=label).toparts())
    assert (eot.reason.name, eot.detail) == (reason, detail)
    assert reading.ended
    assert (reading.error is not None) == failed
    if reading.error is not None:
        assert (reading.error.reason.name, reading.error.detail) == (reason, detail)


@pytest.mark.parametrize(
    "parts, says",
    [
        ([b"ZIO0FLOW"], "two parts"),
        ([b"ZIO9FLOW{}", bytes(24)], "no ZIO header"),
        ([b"ZIO0FLOW{}", bytes(23)], "23 bytes"),
        ([b"ZIO0FLOW\xff", bytes(24)], "decode"),
        ([b"ZIO0FLOW[]", bytes(24)], "JSON object"),
        ([b"ZIO0FLOW" + b"[" * 100_000, bytes(24)], "recursion"),
        ([b"ZIO0FLOW", bytes(24)], "flow None"),
        ([b'ZIO0FLOW{"flow":"END"}', bytes(24)], "flow 'END'"),
        ([b'ZIO0FLOW{"flow":["DAT"]}', bytes(24)], "flow ['DAT']"),
        ([b'ZIO0FLOW{"flow":"PAY"}', bytes(24)], "credit of None"),
        ([b'ZIO0FLOW{"flow":"PAY","credit":-1}', bytes(24)], "credit of -1"),
        ([b'ZIO0FLOW{"flow":"PAY","credit":true}', bytes(24)], "credit of True"),
        ([b'ZIO0FLOW{"flow":"BOT","credit":1}', bytes(24)], "direction None"),
        ([b'ZIO0FLOW{"flow":"BOT","credit":1,"direction":{}}', bytes(24)], "direction {}"),
        ([b'ZIO0FLOW{"flow":"BOT","direction":"inject"}', bytes(24)], "credit of None"),
        ([b'ZIO0FLOW{"flow":"BOT","direction":"inject","credit":0}', bytes(24)], "credit of 0"),
        ([b'ZIO0FLOW{"flow":"PAY","credit":9223372036854775808}', bytes(24)], "credit of 9"),
    ],
)
def test_what_is_no_message_of_a_flow(parts, says):
    with pytest.raises(FlowError) as caught:
        _read(parts)
    assert caught.value.reason is EndReason.PROTOCOL_ERROR
    assert says in caught.value.detail


def test_statuses_and_retries_are_the_gateways():
    """By gRPC a FlowError has what the gateway says; here it has to know."""
    root = pathlib.Path(__file__).parents[3]
    status = (root / "server/contract/status.go").read_text()
    codes = dict(re.findall(r"flow\.(\w+):\s+codes\.(\w+),", status))
    reasons = re.findall(
        r"^\t(\w+):\s+\{\"(\w+)\", (true|false)\},",
        (root / "broker/flow/reason.go").read_text(),
        re.M,
    )
    assert len(codes) == 15 and len(reasons) == 16
    for go, name, retry in reasons:
        if name in ("none", "completed"):
            continue
        reading = Reading(_LIMIT)
        label = f'{{"flow":"EOT","error":"{name}"}}'
        reading.read(Message.of, Message(label=label).toparts())
        assert reading.error is not None and reading.error.reason == name
        assert reading.error.code is not None
        assert reading.error.code.name.replace("_", "") == codes[go].upper()
        assert (reading.error.retry_after is not None) == (retry == "true")
