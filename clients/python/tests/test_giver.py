"""The giving side, against a fake gateway."""

from __future__ import annotations

import asyncio
import json
import socket

import grpc
import pytest
from fake import running, settle

from zioflow import Dat, Direction, EndReason, FlowEnded, FlowError, Gateway
from zioflow._gen.zio.gateway.v1 import flow_pb2
from zioflow.messages import Pay

_COMPLETED = flow_pb2.END_REASON_COMPLETED


async def _give(gateway, *payloads, **options):
    async with gateway.give(**options) as flow:
        for payload in payloads:
            await flow.put(payload)
    return flow


async def test_bot_carries_what_was_asked_for(client, fake):
    attributes = {"stream": "größe", "run": 2**63}
    flow = client.give(
        attributes, credit=5, label='{"run":1,"extra":null}', payload=[b"p"], origin=42
    )
    async with running(_give_into(flow)) as giving:
        stream = await fake.called()
        bot = await stream.answer(credit=3, flow_id=99)
        assert json.loads(bot.label) == {"run": 2**63, "extra": None, "stream": "größe"}
        assert bot.direction == flow_pb2.DIRECTION_EXTRACT
        assert (bot.credit, bot.cid, bot.origin, list(bot.payload)) == (5, 0, 42, [b"p"])
        assert (await stream.complete()).origin == 42
    assert giving.result().bot.credit == 3
    assert giving.result().bot.flow_id == 99


async def _give_into(flow):
    async with flow:
        pass
    return flow


async def test_put_waits_for_credit(client, fake):
    async with running(_give(client, b"0", b"1", b"2")):
        stream = await fake.called()
        await stream.answer()
        await settle(client)
        assert stream.inbox.empty()
        await stream.send(pay=flow_pb2.Pay(credit=2))
        assert (await stream.expect("dat")).payload == [b"0"]
        assert (await stream.expect("dat")).payload == [b"1"]
        await settle(client)
        assert stream.inbox.empty()
        await stream.send(pay=flow_pb2.Pay(credit=5))
        assert (await stream.expect("dat")).payload == [b"2"]
        await stream.complete()


async def test_dat_carries_what_was_put(client, fake):
    async def give():
        async with client.give(origin=3) as flow:
            await flow.put(
                b"a", bytearray(b"b"), memoryview(b"c"), b"", label={"n": 2**60, "ö": []}
            )
            await flow.put(label='{"as": "it is"}', origin=4, granule=5, level=6)

    async with running(give()):
        stream = await fake.called()
        await stream.answer(pay=2)
        first, second = await stream.expect("dat"), await stream.expect("dat")
        await stream.complete()
    assert list(first.payload) == [b"a", b"b", b"c", b""]
    assert first.label == '{"n":1152921504606846976,"ö":[]}'
    assert first.origin == 3
    assert list(second.payload) == []
    assert second.label == '{"as": "it is"}'
    assert (second.origin, second.granule, second.level) == (4, 5, 6)


async def test_leaving_the_block_waits_for_the_eot(client, fake):
    async with running(_give(client, b"0")) as giving:
        stream = await fake.called()
        await stream.answer(pay=1)
        await stream.expect("dat")
        await stream.expect("eot")
        await settle(client)
        assert not giving.done()
        await stream.say_eot('{"flow":"EOT","note":"bye"}', reason=_COMPLETED)
        stream.finish()
    assert giving.result().eot.attributes == {"note": "bye"}
    assert giving.result().eot.reason is EndReason.COMPLETED


async def test_an_exception_breaks_the_flow_off(client, fake):
    async def give():
        flow = client.give()
        with pytest.raises(KeyError):
            async with flow:
                raise KeyError("mine")
        assert flow._reader.done()  # nothing goes on in the background

    async with running(give()):
        stream = await fake.called()
        await stream.answer()
        await stream.cancelled.wait()
    assert not stream.messages()


async def _raises(kind, coroutine):
    with pytest.raises(kind) as caught:
        await coroutine
    return caught.value


async def test_put_raises_when_the_taker_ends_the_flow(client, fake):
    async def give():
        async with client.give() as flow:
            await flow.put(b"0")
            await flow.put(b"1")
            await _raises(FlowEnded, flow.put(b"2"))
            await flow.put(b"3")

    async with running(_raises(FlowEnded, give())) as giving:
        stream = await fake.called()
        await stream.answer(pay=2)
        await stream.expect("dat")
        await stream.expect("dat")
        await stream.say_eot('{"flow":"EOT","taken":1}')
        await stream.expect("eot")
        stream.finish()
    error = giving.result()
    assert (error.taken, error.reason, error.flow_id) == (1, "completed", 7)
    assert "1 of 2" in error.detail


@pytest.mark.parametrize(
    "label, reason, lost",
    [
        ('{"flow":"EOT","taken":2}', 0, False),  # ended by the taker, but all was used
        ('{"flow":"EOT","taken":1}', 0, True),
        ('{"flow":"EOT","taken":1}', _COMPLETED, True),  # both sides at once
        ('{"flow":"EOT","taken":2}', _COMPLETED, False),
        ('{"flow":"EOT"}', _COMPLETED, False),  # an answer
        ('{"flow":"EOT"}', 0, True),  # ended by the taker, and nothing is known
        ('{"flow":"EOT","taken":"many"}', 0, True),
        ('{"flow":"EOT","taken":true}', 0, True),
    ],
)
async def test_what_the_taker_did_not_use_is_not_lost_silently(client, fake, label, reason, lost):
    go_on = asyncio.Event()

    async def give():
        async with client.give() as flow:
            await flow.put(b"0")
            await flow.put(b"1")
            await go_on.wait()

    async with running(_raises(FlowEnded, give()) if lost else give()):
        stream = await fake.called()
        await stream.answer(pay=2)
        await stream.expect("dat")
        await stream.expect("dat")
        if reason:
            go_on.set()
            await stream.expect("eot")
            await stream.say_eot(label, reason=reason)
        else:
            await stream.say_eot(label)
            await stream.expect("eot")  # said at once, though the block goes on
            go_on.set()
        stream.finish()


async def test_a_taker_that_ends_an_empty_flow_loses_nothing(client, fake):
    async with running(_give(client)):
        stream = await fake.called()
        await stream.answer()
        await stream.say_eot()
        await stream.expect("eot")
        stream.finish()


async def test_flow_ended_of_another_flow_is_an_exception_like_any_other(client, fake):
    async def give():
        async with client.give() as flow:
            await flow.put(b"0")
            raise FlowEnded("of another flow", flow_id=1)

    async with running(_raises(FlowEnded, give())):
        stream = await fake.called()
        await stream.answer(pay=1)
        await stream.expect("dat")
        await stream.cancelled.wait()
    assert not stream.messages()


async def test_a_failure_is_told_with_all_that_is_known(client, fake):
    async with running(_raises(FlowError, _give(client, b"0"))) as giving:
        stream = await fake.called()
        await stream.answer()
        await stream.say_eot(reason=flow_pb2.END_REASON_PEER_GONE, detail="the handler left")
        stream.fail(
            grpc.StatusCode.ABORTED,
            "peer_gone: the handler left",
            info="PEER_GONE",
            retry=2,
            flow_id=7,
        )
    error = giving.result()
    assert error.reason is EndReason.PEER_GONE
    assert error.reason == "peer_gone"
    assert str(error) == "flow 7: peer_gone: the handler left"
    assert error.detail == "the handler left"
    assert (error.code, error.flow_id, error.retry_after) == (grpc.StatusCode.ABORTED, 7, 2)


async def test_the_eot_tells_the_reason_where_the_status_does_not(client, fake):
    async with running(_raises(FlowError, _give(client, b"0"))) as giving:
        stream = await fake.called()
        await stream.answer()
        await stream.say_eot(reason=flow_pb2.END_REASON_IDLE_TIMEOUT, detail="too slow")
        stream.fail(grpc.StatusCode.UNAVAILABLE, "Socket closed")
    error = giving.result()
    assert (error.reason, error.detail, error.flow_id) == ("idle_timeout", "too slow", 7)
    assert error.code is grpc.StatusCode.UNAVAILABLE


async def test_a_write_that_fails_does_not_hide_why_the_flow_ended(client, fake):
    """In grpc.aio a write that comes too late replaces the gateway's status."""

    async def give(flow):
        async with flow:
            while True:
                await flow.put(b"0")

    async def fail_at_once():
        stream = await fake.called()
        await stream.answer(pay=1000)
        await stream.expect("dat")
        stream.fail(grpc.StatusCode.ABORTED, "peer_gone", info="PEER_GONE", retry=1)

    for _ in range(20):
        async with running(_raises(FlowError, give(client.give()))) as giving:
            await fail_at_once()
        error = giving.result()
        assert (error.reason, error.code) == ("peer_gone", grpc.StatusCode.ABORTED)
        assert error.retry_after == 1


async def test_entering_raises_when_there_is_no_handler(client, fake):
    async with running(_raises(FlowError, _give(client))) as giving:
        stream = await fake.called()
        await stream.expect("bot")
        await stream.say_eot(reason=flow_pb2.END_REASON_NO_HANDLER)
        stream.fail(grpc.StatusCode.UNAVAILABLE, "no_handler", info="NO_HANDLER", flow_id=5)
    error = giving.result()
    assert (error.reason, error.detail, error.flow_id) == ("no_handler", "", 5)


@pytest.mark.parametrize("answered", [False, True])
async def test_a_stream_that_just_ends_is_a_failure(client, fake, answered):
    async with running(_raises(FlowError, _give(client, b"0"))) as giving:
        stream = await fake.called()
        if answered:
            await stream.answer()
        stream.finish()
    assert giving.result().reason is EndReason.UNSPECIFIED


async def test_a_put_that_is_cancelled_without_credit_gives_nothing(client, fake):
    async def give():
        async with client.give() as flow:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(flow.put(b"never"), 0.01)
            paid.set()
            await flow.put(b"0")

    paid = asyncio.Event()
    async with running(give()):
        stream = await fake.called()
        await stream.answer()
        await paid.wait()
        await stream.send(pay=flow_pb2.Pay(credit=1))
        assert (await stream.expect("dat")).payload == [b"0"]
        await stream.complete()


async def test_a_put_that_is_cancelled_later_goes_out(client, fake):
    async def give():
        async with client.give() as flow:
            await flow.put(b"0")
            put = asyncio.ensure_future(flow.put(b"1"))
            await asyncio.sleep(0)  # lets it begin: there is credit, so it commits itself
            put.cancel()
            with pytest.raises(asyncio.CancelledError):
                await put
            await flow.put(b"2")

    async with running(give()):
        stream = await fake.called()
        await stream.answer(pay=3)
        assert [(await stream.expect("dat")).payload[0] for _ in range(3)] == [b"0", b"1", b"2"]
        await stream.complete()


async def test_concurrent_puts_take_turns(client, fake):
    async def give():
        async with client.give() as flow:
            await asyncio.gather(*(flow.put(b"%d" % i) for i in range(20)))

    async with running(give()):
        stream = await fake.called()
        await stream.answer()
        for i in range(20):
            await stream.send(pay=flow_pb2.Pay(credit=1))
            assert (await stream.expect("dat")).payload == [b"%d" % i]
        await stream.complete()


async def test_a_put_does_not_overtake_an_earlier_one(client, fake):
    async def give():
        async with client.give() as flow:
            earlier = asyncio.ensure_future(flow.put(b"0"))
            await asyncio.sleep(0)  # lets it begin
            flow._side.received(Pay(2))
            flow._tell()
            await flow.put(b"1")  # before the earlier one has noticed
            await earlier

    async with running(give()):
        stream = await fake.called()
        await stream.answer()
        assert [(await stream.expect("dat")).payload[0] for _ in range(2)] == [b"0", b"1"]
        await stream.complete()


@pytest.mark.parametrize("answered", [False, True])
async def test_cancelling_breaks_the_flow_off(client, fake, answered):
    giving = asyncio.ensure_future(_give(client))
    stream = await fake.called()
    if answered:
        await stream.answer()
        await stream.expect("eot")  # leaving the block, which waits for the answer
    else:
        await stream.expect("bot")
    giving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await giving
    await stream.cancelled.wait()


async def test_what_no_dat_can_be_made_of_does_not_harm_the_flow(fake):
    async def give():
        async with Gateway(fake.address, max_message=1000) as gateway, gateway.give() as flow:
            with pytest.raises(ValueError, match="bytes"):
                await flow.put(bytes(1000 + (64 << 10)))
            for wrong in (5, [b"x"], None, (b"x", 5)):
                with pytest.raises(TypeError, match="put_all"):
                    await flow.put(wrong)
            with pytest.raises(TypeError, match="tuple is no part"):
                await flow.put((b"x",), b"y")
            with pytest.raises(TypeError, match="its own label"):
                await flow.put(Dat(payload=(b"x",)), label={"n": 1})
            with pytest.raises(TypeError, match="for bytes there is put"):
                await flow.put_all(b"xyz")
            with pytest.raises(ValueError):
                await flow.put(label={"x": float("nan")})
            with pytest.raises(ValueError, match="level"):
                await flow.put(level=9)
            with pytest.raises(ValueError):
                await flow.put(origin=-1)
            await flow.put(b"0")

    async with running(give()):
        stream = await fake.called()
        await stream.answer(pay=1)
        assert (await stream.expect("dat")).payload == [b"0"]
        await stream.complete()


async def test_put_and_put_all_mean_the_same(client, fake):
    items = [
        b"1",
        "zwei",
        (b"3", "4"),
        (),
        Dat(payload=(b"5",), label='{"n":1}', origin=2, level=3),
    ]

    async def give():
        async with client.give(origin=7) as flow:
            for item in items:
                await flow.put(item)
            await flow.put_all(items)
            await flow.put(b"3", "4")  # as the tuple

    async with running(give()):
        stream = await fake.called()
        await stream.answer(credit=20, pay=20)
        dats = [await stream.expect("dat") for _ in range(11)]
        await stream.complete()
    parts = [[b"1"], [b"zwei"], [b"3", b"4"], [], [b"5"]]
    assert [list(dat.payload) for dat in dats] == [*parts, *parts, [b"3", b"4"]]
    assert [dat.origin for dat in dats[:5]] == [7, 7, 7, 7, 2]
    assert (dats[4].label, dats[4].level) == (dats[9].label, dats[9].level) == ('{"n":1}', 3)


async def test_a_flow_is_used_inside_its_block_and_once(client, fake):
    flow = client.give()
    with pytest.raises(RuntimeError):
        await flow.put(b"")
    with pytest.raises(RuntimeError):
        _ = flow.bot
    async with running(_give_into(flow)):
        stream = await fake.called()
        await stream.answer(pay=1)
        await stream.complete()
    with pytest.raises(RuntimeError):
        await flow.put(b"")
    with pytest.raises(RuntimeError):
        await flow.__aenter__()


@pytest.mark.parametrize("key", ["flow", "direction", "credit", "cid"])
def test_attributes_are_the_applications_own(key):
    from zioflow.messages import write_bot

    with pytest.raises(ValueError, match=key):
        write_bot(Direction.EXTRACT, {key: 1}, credit=1, label="", payload=(), origin=0)


@pytest.mark.parametrize("call", ["give", "put", "get", "handle"])
async def test_cancelling_does_not_wait_for_a_gateway_that_does_not_answer(call):
    """It takes the connection and says nothing, so that nothing can be sent."""

    async def handle(gateway):
        async with gateway.handle("name", print):
            pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        async with Gateway("127.0.0.1:{1}".format(*server.getsockname())) as gateway:
            calls = {
                "give": lambda: _give(gateway),
                "put": lambda: gateway.put_all([b"0"]),
                "get": lambda: anext(gateway.get()),
                "handle": lambda: handle(gateway),
            }
            calling = asyncio.ensure_future(calls[call]())
            connection, _ = await asyncio.get_running_loop().sock_accept(server)
            with connection:
                calling.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await calling


async def test_closing_does_not_wait_for_a_gateway_that_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        gateway = Gateway("127.0.0.1:{1}".format(*server.getsockname()))
        await gateway.__aenter__()
        calling = asyncio.ensure_future(_raises(FlowError, _give(gateway)))
        connection, _ = await asyncio.get_running_loop().sock_accept(server)
        with connection:
            await gateway.__aexit__(None, None, None)
            await calling


async def test_an_unreachable_gateway_is_a_flow_error():
    async with Gateway("127.0.0.1:1") as gateway:
        error = await _raises(FlowError, _give(gateway))
    assert error.reason is EndReason.UNSPECIFIED
    assert error.code is grpc.StatusCode.UNAVAILABLE


async def test_closing_the_gateway_breaks_flows_off(fake):
    gateway = Gateway(fake.address)
    await gateway.__aenter__()
    giving = asyncio.ensure_future(_raises(FlowError, _give(gateway, b"0")))
    stream = await fake.called()
    await stream.answer()
    await settle(gateway)
    await gateway.__aexit__(None, None, None)
    assert (await giving).code is grpc.StatusCode.CANCELLED
    await stream.cancelled.wait()


async def test_a_gateway_is_used_inside_its_block():
    gateway = Gateway()
    with pytest.raises(RuntimeError):
        gateway.give()
    async with gateway:
        with pytest.raises(RuntimeError):
            await gateway.__aenter__()
    with pytest.raises(RuntimeError):
        gateway.take()
