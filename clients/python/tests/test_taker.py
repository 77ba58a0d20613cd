"""The taking side, against a fake gateway."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest
from fake import running, settle

from zioflow import EndReason, FlowError
from zioflow._gen.zio.gateway.v1 import flow_pb2


async def _take(gateway, **options):
    """Takes all; answers the payloads and how the iteration ended."""
    taken = []
    try:
        async with gateway.take(**options) as flow:
            async for dat in flow:
                taken.append(dat.payload[0])
    except FlowError as error:
        return taken, error
    return taken, None


@pytest.mark.parametrize(
    "total, portions",
    [
        (1, [1, 1, 1, 1, 1, 1, 1]),
        (2, [1, 1, 1, 1, 1, 1, 1]),
        (3, [1, 1, 1, 1, 1, 1, 1]),
        (4, [2, 2, 2]),
        (5, [2, 2, 2]),
        (7, [3, 3]),
        (10, [5]),
    ],
)
async def test_half_of_the_credit_is_paid_back_at_a_time(client, fake, total, portions):
    async with running(_take(client, credit=total)) as taking:
        stream = await fake.called()
        await stream.answer(credit=total)
        held = (await stream.expect("pay")).credit
        assert held == total
        paid = []
        for n in range(7):
            if held == 0:
                paid.append((await stream.expect("pay")).credit)
                held += paid[-1]
            held -= 1
            await stream.give(b"%d" % n)
        while len(paid) < len(portions):
            paid.append((await stream.expect("pay")).credit)
        assert paid == portions
        await settle(client)
        assert not stream.messages()
        await stream.say_eot()
        await stream.expect("eot")
        stream.finish()
    assert taking.result() == ([b"%d" % n for n in range(7)], None)


async def test_a_dat_is_used_when_the_next_is_asked_for(client, fake):
    used = asyncio.Event()

    async def take():
        async with client.take(credit=1) as flow:
            async for _ in flow:
                await used.wait()

    async with running(take()):
        stream = await fake.called()
        await stream.answer(credit=1)
        assert (await stream.expect("pay")).credit == 1
        await stream.give(b"0")
        await settle(client)
        assert stream.inbox.empty()
        used.set()
        assert (await stream.expect("pay")).credit == 1
        await stream.say_eot()
        await stream.expect("eot")
        stream.finish()


async def test_eot_is_answered_when_all_is_used(client, fake):
    used = asyncio.Event()

    async def take():
        async with client.take(origin=8) as flow:
            async for dat in flow:
                assert dat.payload
                await used.wait()
        return flow.eot

    async with running(take()) as taking:
        stream = await fake.called()
        bot = await stream.answer()
        assert bot.direction == flow_pb2.DIRECTION_INJECT
        await stream.expect("pay")
        await stream.give(b"0", b"1")
        await stream.say_eot('{"flow":"EOT","sum":2}')
        await settle(client)
        assert stream.inbox.empty()
        used.set()
        assert (await stream.expect("pay")).credit == 1
        eot = await stream.expect("eot")
        assert json.loads(eot.label) == {"taken": 2}
        assert eot.origin == 8
        await settle(client)
        assert not taking.done()
        stream.finish()
    assert taking.result().attributes == {"sum": 2}


async def test_after_the_eot_each_dat_is_paid_for(client, fake):
    """What the client has buffered, the gateway believes to be taken: it sees by the
    PAYs that the client moves."""
    go_on = asyncio.Semaphore(0)

    async def take():
        async with client.take(credit=10) as flow:
            async for _ in flow:
                await go_on.acquire()

    async with running(take()):
        stream = await fake.called()
        await stream.answer(credit=10)
        assert (await stream.expect("pay")).credit == 10
        await stream.give(b"0", b"1", b"2", b"3", b"4")
        for _ in range(2):
            go_on.release()
        await settle(client)
        assert stream.inbox.empty()  # two of ten are not worth a PAY
        await stream.say_eot()
        await settle(client)
        for owed in (3, 1):  # with the two of before
            go_on.release()
            assert (await stream.expect("pay")).credit == owed
        go_on.release()
        await stream.expect("eot")  # which says of the last one that it was used
        stream.finish()
    assert not stream.messages()


async def test_after_an_eot_that_says_failure_nothing_is_paid(client, fake):
    """The flow is over: a PAY would come too late."""
    failed = asyncio.Event()

    async def take():
        async with client.take(credit=2) as flow:
            async for _ in flow:
                await failed.wait()

    taking = asyncio.ensure_future(take())
    stream = await fake.called()
    await stream.answer(credit=2)
    await stream.expect("pay")
    await stream.give(b"0", b"1")
    await stream.say_eot(reason=flow_pb2.END_REASON_PEER_GONE)
    await settle(client)
    failed.set()
    await settle(client)
    stream.fail(grpc.StatusCode.ABORTED, "peer_gone", info="PEER_GONE")
    with pytest.raises(FlowError):
        await taking
    assert not stream.messages()


async def test_dats_come_as_they_were_given(client, fake):
    async def take():
        async with client.take() as flow:
            return [dat async for dat in flow]

    async with running(take()) as taking:
        stream = await fake.called()
        await stream.answer()
        await stream.send(
            dat=flow_pb2.Dat(
                label='{"flow":"DAT","n":18446744073709551615,"ö":"日本"}',
                payload=[b"", b"x", b""],
                origin=2**64 - 1,
                granule=2,
                seqno=3,
                level=4,
            )
        )
        await stream.say_eot()
        await stream.expect("pay")
        await stream.expect("eot")
        stream.finish()
    (dat,) = taking.result()
    assert dat.payload == (b"", b"x", b"")
    assert dat.attributes == {"n": 2**64 - 1, "ö": "日本"}
    assert (dat.origin, dat.granule, dat.seqno, dat.level) == (2**64 - 1, 2, 3, 4)


async def test_leaving_early_ends_the_flow_and_tells_how_much_was_used(client, fake):
    async def take():
        async with client.take(credit=4) as flow:
            async for _ in flow:
                while not flow._side.came:
                    await flow._news.wait()
                return flow

    async with running(take()) as taking:
        stream = await fake.called()
        await stream.answer(credit=4)
        await stream.expect("pay")
        await stream.give(b"0", b"1")
        assert json.loads((await stream.expect("eot")).label) == {"taken": 1}
        await stream.give(b"2", b"3")
        await settle(client)
        assert not taking.done()
        await stream.say_eot(reason=flow_pb2.END_REASON_COMPLETED)
        stream.finish()
    assert not taking.result()._side.came  # what is not used is not kept
    with pytest.raises(RuntimeError):
        await taking.result().__anext__()
    assert not stream.messages()


async def test_leaving_early_tells_if_the_flow_fails(client, fake):
    async def take():
        async with client.take():
            pass

    taking = asyncio.ensure_future(take())
    stream = await fake.called()
    await stream.answer()
    await stream.expect("pay")
    await stream.expect("eot")
    stream.fail(grpc.StatusCode.DEADLINE_EXCEEDED, "eot_timeout: 30s", info="EOT_TIMEOUT")
    with pytest.raises(FlowError, match="eot_timeout: 30s"):
        await taking


async def test_an_exception_breaks_the_flow_off(client, fake):
    async def take():
        async with client.take() as flow:
            async for _ in flow:
                raise KeyError("mine")

    taking = asyncio.ensure_future(take())
    stream = await fake.called()
    await stream.answer()
    await stream.expect("pay")
    await stream.give(b"0")
    with pytest.raises(KeyError):
        await taking
    await stream.cancelled.wait()
    assert not stream.messages()


async def test_what_came_before_a_failure_is_taken_before_it_is_told(client, fake):
    failed = asyncio.Event()

    async def take():
        taken = []
        async with client.take() as flow:
            async for dat in flow:
                await failed.wait()
                while not flow._side.done:
                    await flow._news.wait()
                taken.append(dat.payload[0])
                if len(taken) == 3:
                    with pytest.raises(FlowError) as caught:
                        await flow.__anext__()
                    raise caught.value

    taking = asyncio.ensure_future(take())
    stream = await fake.called()
    await stream.answer()
    await stream.expect("pay")
    await stream.give(b"0", b"1", b"2")
    await settle(client)
    await stream.say_eot(reason=flow_pb2.END_REASON_PEER_GONE)
    stream.fail(grpc.StatusCode.ABORTED, "peer_gone", info="PEER_GONE", flow_id=7)
    failed.set()
    with pytest.raises(FlowError) as caught:
        await taking
    assert caught.value.reason is EndReason.PEER_GONE
    assert not stream.messages()  # and no EOT


async def test_a_stream_that_just_ends_is_no_end_of_data(client, fake):
    async with running(_take(client)) as taking:
        stream = await fake.called()
        await stream.answer()
        await stream.expect("pay")
        await stream.give(b"0")
        stream.finish()
    taken, error = taking.result()
    assert taken == [b"0"]
    assert error.reason is EndReason.UNSPECIFIED


async def _ask_in_vain(flow):
    """Asks for a DAT, and is cancelled while there is none."""
    asking = asyncio.ensure_future(flow.__anext__())
    await asyncio.sleep(0)  # lets it begin
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_asking_that_is_cancelled_takes_nothing(client, fake):
    async def take():
        taken = []
        async with client.take(credit=1) as flow:
            await _ask_in_vain(flow)
            asked.set()
            async for dat in flow:
                taken.append(dat.payload[0])
                if len(taken) == 1:
                    await _ask_in_vain(flow)
                    asked.set()
        return taken

    asked = asyncio.Event()
    async with running(take()) as taking:
        stream = await fake.called()
        await stream.answer(credit=1)
        await stream.expect("pay")
        await asked.wait()
        asked.clear()
        await stream.give(b"0")
        assert (await stream.expect("pay")).credit == 1
        await asked.wait()
        await stream.give(b"1")
        assert (await stream.expect("pay")).credit == 1
        await stream.say_eot()
        assert json.loads((await stream.expect("eot")).label) == {"taken": 2}
        stream.finish()
    assert taking.result() == [b"0", b"1"]


async def test_eot_is_said_once_though_asking_was_cancelled(client, fake):
    async def take():
        async with client.take() as flow:
            asking = asyncio.ensure_future(flow.__anext__())
            await said.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            done.set()
            return [dat async for dat in flow]

    said, done = asyncio.Event(), asyncio.Event()
    async with running(take()) as taking:
        stream = await fake.called()
        await stream.answer()
        await stream.expect("pay")
        await stream.say_eot()
        await stream.expect("eot")
        said.set()
        await done.wait()
        await settle(client)
        assert not stream.messages()
        stream.finish()
    assert taking.result() == []


async def test_cancelling_breaks_the_flow_off(client, fake):
    taking = asyncio.ensure_future(_take(client))
    stream = await fake.called()
    await stream.answer()
    await stream.expect("pay")
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    await stream.cancelled.wait()
