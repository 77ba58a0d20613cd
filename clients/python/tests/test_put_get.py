"""Put and Get, against a fake gateway."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest
from fake import running, settle

from zioflow import Dat, FlowEnded, FlowError
from zioflow._gen.zio.gateway.v1 import flow_pb2


async def _raises(kind, coroutine):
    with pytest.raises(kind) as caught:
        await coroutine
    return caught.value


def _summary(messages, label='{"flow":"EOT"}'):
    return flow_pb2.PutResponse(
        flow_id=7,
        bot=flow_pb2.Bot(label='{"flow":"BOT","n":1}', credit=3),
        messages=messages,
        bytes=10 * messages,
        reason=flow_pb2.END_REASON_COMPLETED,
        eot_label=label,
    )


async def _endless():
    yield b"0"
    await asyncio.Event().wait()


async def test_put_gives_parts_sequences_and_dats(client, fake):
    items = [
        b"one",
        bytearray(b"two"),
        (b"three", "vier€"),
        (),
        Dat(payload=(b"five",), label='{"n":1}', origin=2, granule=3, seqno=4, level=5),
    ]
    async with running(client.put_all(items, {"a": 1}, credit=3, origin=9)) as putting:
        stream = await fake.called()
        bot = await stream.expect("bot")
        assert (bot.label, bot.credit, bot.origin) == ('{"a":1}', 3, 9)
        dats = [await stream.expect("dat") for _ in items]
        await stream.expect("eot")
        assert await stream.inbox.get() is None
        stream.summary = _summary(5)
        stream.finish()
    parts = [[b"one"], [b"two"], [b"three", "vier€".encode()], [], [b"five"]]
    assert [list(dat.payload) for dat in dats] == parts
    assert [dat.origin for dat in dats] == [9, 9, 9, 9, 2]
    assert (dats[4].label, dats[4].granule, dats[4].level) == ('{"n":1}', 3, 5)
    result = putting.result()
    assert (result.flow_id, result.messages, result.bytes) == (7, 5, 50)
    assert result.bot.attributes == {"n": 1}
    assert result.eot_label == '{"flow":"EOT"}'


@pytest.mark.parametrize(
    "messages, label, taken",
    [
        (1, '{"flow":"EOT"}', None),
        (2, '{"flow":"EOT","taken":1}', 1),
        (0, "", None),
    ],
)
async def test_put_raises_for_items_that_were_not_used(client, fake, messages, label, taken):
    putting = asyncio.ensure_future(client.put_all([b"0", b"1"]))
    stream = await fake.called()
    stream.summary = _summary(messages, label)
    for kind in ("bot", "dat", "dat"):
        await stream.expect(kind)
    stream.finish()
    error = await _raises(FlowEnded, putting)
    assert (error.taken, error.flow_id) == (taken, 7)


async def test_put_raises_when_the_taker_ends_before_the_items_do(client, fake):
    putting = asyncio.ensure_future(client.put_all(_endless()))
    stream = await fake.called()
    await stream.expect("bot")
    await stream.expect("dat")
    stream.summary = _summary(1, '{"flow":"EOT","taken":1}')
    stream.finish()
    assert (await _raises(FlowEnded, putting)).taken == 1


async def test_put_raises_when_the_flow_fails_though_no_item_comes(client, fake):
    putting = asyncio.ensure_future(client.put_all(_endless()))
    stream = await fake.called()
    await stream.expect("bot")
    stream.fail(grpc.StatusCode.ABORTED, "peer_gone: left", info="PEER_GONE", flow_id=3)
    error = await _raises(FlowError, putting)
    assert (error.reason, error.detail, error.flow_id) == ("peer_gone", "left", 3)


@pytest.mark.parametrize("bad", [5, [b"list"], pytest.param(bytes(65 << 20), id="too large")])
async def test_put_breaks_off_when_the_items_fail(client, fake, bad):
    async def items():
        yield b"0"
        await given.wait()
        yield bad

    given = asyncio.Event()
    putting = asyncio.ensure_future(client.put_all(items()))
    stream = await fake.called()
    await stream.expect("bot")
    await stream.expect("dat")
    given.set()
    await _raises((TypeError, ValueError), putting)
    await stream.cancelled.wait()


@pytest.mark.parametrize(
    "item, parts",
    [
        (b"one", [b"one"]),
        ("zwei", [b"zwei"]),
        ((b"three", "four"), [b"three", b"four"]),
        (Dat(payload=(b"five",)), [b"five"]),
    ],
)
async def test_put_gives_one_dat(client, fake, item, parts):
    async with running(client.put(item, {"a": 1}, credit=3, origin=9)):
        stream = await fake.called()
        bot = await stream.expect("bot")
        assert (bot.label, bot.credit, bot.origin) == ('{"a":1}', 3, 9)
        assert (await stream.expect("dat")).payload == parts
        await stream.expect("eot")
        stream.summary = _summary(1)
        stream.finish()


async def test_put_of_an_iterable_is_deprecated(client, fake):
    with pytest.warns(DeprecationWarning, match="put_all"):
        async with running(client.put([b"one", b"two"])):
            stream = await fake.called()
            for kind in ("bot", "dat", "dat", "eot"):
                await stream.expect(kind)
            stream.summary = _summary(2)
            stream.finish()


@pytest.mark.parametrize("items", [b"bytes", "text", Dat()])
async def test_put_all_of_one_is_refused(client, fake, items):
    await _raises(TypeError, client.put_all(items))


async def test_put_that_is_cancelled_breaks_off(client, fake):
    putting = asyncio.ensure_future(client.put_all(_endless()))
    stream = await fake.called()
    await stream.expect("bot")
    putting.cancel()
    await _raises(asyncio.CancelledError, putting)
    await stream.cancelled.wait()


async def test_get_takes_everything(client, fake):
    async def get():
        return [dat.payload[0] async for dat in client.get({"a": 1}, credit=4)]

    async with running(get()) as getting:
        stream = await fake.called()
        bot = stream.request.bot
        assert (bot.label, bot.credit) == ('{"a":1}', 4)
        await stream.send(bot=flow_pb2.Bot())
        await stream.give(b"0", b"1")
        await stream.say_eot(reason=flow_pb2.END_REASON_COMPLETED)
        stream.finish()
    assert getting.result() == [b"0", b"1"]


async def test_get_raises_when_the_flow_fails(client, fake):
    async def get():
        async for dat in client.get():
            taken.append(dat)
            got.set()

    taken, got = [], asyncio.Event()
    getting = asyncio.ensure_future(get())
    stream = await fake.called()
    await stream.send(bot=flow_pb2.Bot())
    await stream.give(b"0")
    await got.wait()
    stream.fail(grpc.StatusCode.ABORTED, "ended_by_admin", info="ENDED_BY_ADMIN")
    assert (await _raises(FlowError, getting)).reason == "ended_by_admin"
    assert len(taken) == 1


async def test_get_that_is_left_breaks_off(client, fake):
    async def get():
        async with contextlib.aclosing(client.get()) as dats:
            async for _ in dats:
                break

    async with running(get()):
        stream = await fake.called()
        await stream.give(b"0")
        await stream.cancelled.wait()
        await settle(client)
