"""Handling flows, against a fake gateway."""

from __future__ import annotations

import asyncio
import datetime

import grpc
import pytest
from fake import running, settle

from zioflow import Direction, FlowError, Giver, Peer, Taker
from zioflow._gen.zio.gateway.v1 import flow_pb2, handler_pb2

_CID = 2**53 - 1


def _offer(cid=_CID, *, direction=flow_pb2.DIRECTION_INJECT):
    offer = handler_pb2.Offer(
        cid=cid,
        bot=flow_pb2.Bot(
            label='{"flow":"BOT","direction":"inject","credit":3,"cid":5,"stream":"raw"}',
            direction=direction,
            credit=3,
            payload=[b"hello"],
        ),
        peer=handler_pb2.Peer(transport="grpc", address="1.2.3.4:5", identity="me"),
    )
    offer.deadline.FromSeconds(1)
    return offer


def _withdrawn(cid=_CID):
    return handler_pb2.Withdrawn(cid=cid, reason=flow_pb2.END_REASON_PEER_GONE)


async def _listen(gateway, handler, until):
    async with gateway.handle("test", handler) as listener:
        await until.wait()
    return listener


@pytest.fixture
def over():
    """Ends a listener's block."""
    return asyncio.Event()


async def test_listen_says_what_is_handled(client, fake, over):
    async def listen():
        async with client.handle("name", print, match="credit > 1", max_flows=4):
            over.set()

    async with running(listen()):
        stream = await fake.called()
        assert stream.request == handler_pb2.ListenRequest(
            name="name", match="credit > 1", max_flows=4, max_offer_bytes=64 << 20
        )
        await settle(client)
        assert not over.is_set()  # not before the gateway has confirmed
        await stream.send(listening=handler_pb2.Listening(listener_id=1))
        await stream.cancelled.wait()


async def test_an_offer_is_accepted_and_taken(client, fake, over):
    async def handler(offer):
        assert offer.attributes == {"stream": "raw"}
        assert offer.direction is Direction.INJECT
        assert (offer.bot.credit, offer.bot.payload) == (3, (b"hello",))
        assert offer.peer == Peer("grpc", "1.2.3.4:5", "me")
        assert offer.deadline == datetime.datetime(
            1970, 1, 1, 0, 0, 1, tzinfo=datetime.timezone.utc
        )
        assert offer.cid == _CID
        async with offer.accept({"mine": 1}, credit=2, payload=[b"p"], origin=6) as flow:
            assert isinstance(flow, Taker)
            taken.extend([dat.payload[0] async for dat in flow])
        over.set()

    taken = []
    async with running(_listen(client, handler, over)):
        listen = await fake.listening()
        await listen.send(offer=_offer())
        stream = await fake.called()
        bot = await stream.answer(credit=2)
        assert (bot.cid, bot.credit, bot.label, bot.origin) == (_CID, 2, '{"mine":1}', 6)
        assert bot.direction == flow_pb2.DIRECTION_INJECT
        assert (await stream.expect("pay")).credit == 2
        await stream.give(b"0")
        assert (await stream.expect("pay")).credit == 1
        await stream.say_eot()
        await stream.expect("eot")
        stream.finish()
    assert taken == [b"0"]
    assert fake.declined.empty()


async def test_an_offer_is_accepted_and_given(client, fake, over):
    async def handler(offer):
        async with offer.accept() as flow:
            assert isinstance(flow, Giver)
            await flow.put(b"0")
        over.set()

    async with running(_listen(client, handler, over)):
        listen = await fake.listening()
        await listen.send(offer=_offer(direction=flow_pb2.DIRECTION_EXTRACT))
        stream = await fake.called()
        bot = await stream.answer(pay=1)
        assert bot.direction == flow_pb2.DIRECTION_EXTRACT
        assert (await stream.expect("dat")).payload == [b"0"]
        await stream.complete()


@pytest.mark.parametrize("gives", [False, True])
async def test_an_offer_is_one_to_give_or_one_to_take(client, fake, over, gives):
    async def handler(offer):
        right, wrong = (offer.give, offer.take) if gives else (offer.take, offer.give)
        with pytest.raises(ValueError, match="the offer is one to"):
            wrong()
        async with right({"mine": 1}, credit=2, payload=[b"p"], origin=6) as flow:
            assert isinstance(flow, Giver if gives else Taker)
        over.set()

    direction = flow_pb2.DIRECTION_EXTRACT if gives else flow_pb2.DIRECTION_INJECT
    async with running(_listen(client, handler, over)):
        listen = await fake.listening()
        await listen.send(offer=_offer(direction=direction))
        stream = await fake.called()
        bot = await stream.answer(credit=2)
        assert (bot.cid, bot.credit, bot.label, bot.origin) == (_CID, 2, '{"mine":1}', 6)
        assert (bot.direction, bot.payload) == (direction, [b"p"])
        if not gives:
            await stream.expect("pay")
        await stream.complete()


async def test_an_offer_is_known_by_its_cid(client, fake):
    async def handle():
        async with client.offer(_CID, Direction.EXTRACT).accept(credit=4) as flow:
            assert isinstance(flow, Giver)
            await flow.put(b"0")

    async with running(handle()):
        stream = await fake.called()
        bot = await stream.answer(pay=1)
        assert (bot.cid, bot.credit, bot.direction) == (_CID, 4, flow_pb2.DIRECTION_EXTRACT)
        assert (await stream.expect("dat")).payload == [b"0"]
        await stream.complete()


async def _declines(offer):
    await offer.decline("not today")


async def _returns(offer):
    pass


async def _raises(offer):
    raise KeyError


async def _raises_with_text(offer):
    raise ValueError("no such stream")


async def _raises_with_much_text(offer):
    raise ValueError("ä" * 100_000 + "\ud800")


async def _accepts_but_does_not_enter(offer):
    offer.accept()


async def _accepts_wrongly(offer):
    async with offer.accept(credit=-1):
        pass


@pytest.mark.parametrize(
    "handler, detail",
    [
        (_declines, "not today"),
        (_returns, "the handler neither accepted nor declined"),
        (_raises, "KeyError"),
        (_raises_with_text, "no such stream"),
        (_raises_with_much_text, "ä" * 510 + "…"),
        (_accepts_but_does_not_enter, "the handler neither accepted nor declined"),
        (_accepts_wrongly, "credit is -1, want 0 or more"),
    ],
)
@pytest.mark.parametrize("gone", [False, True])
async def test_an_offer_is_declined(client, fake, over, caplog, handler, detail, gone):
    fake.offers_gone = gone
    async with running(_listen(client, handler, over)):
        listen = await fake.listening()
        await listen.send(offer=_offer())
        assert await fake.declined.get() == (_CID, detail)
        over.set()
    assert fake.calls.empty()
    assert fake.declined.empty()
    raised = handler in (_raises, _raises_with_text, _raises_with_much_text, _accepts_wrongly)
    assert [record.message for record in caplog.records] == ["a handler of flows failed"] * raised


async def _awaits_what_is_cancelled(offer):
    work = asyncio.ensure_future(asyncio.sleep(1000))
    work.cancel()
    await work


async def _is_cancelled_by_another(offer):
    asyncio.current_task().cancel()
    await asyncio.sleep(1000)


async def _is_cancelled_while_accepting(offer):
    asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
    async with offer.accept():
        pass


@pytest.mark.parametrize(
    "handler",
    [_awaits_what_is_cancelled, _is_cancelled_by_another, _is_cancelled_while_accepting],
)
async def test_a_cancellation_of_the_handlers_own_declines(client, fake, over, caplog, handler):
    async with running(_listen(client, handler, over)):
        listen = await fake.listening()
        await listen.send(offer=_offer())
        assert await fake.declined.get() == (_CID, "CancelledError")
        over.set()
    assert [record.message for record in caplog.records] == ["a handler of flows was cancelled"]


async def test_a_cancellation_of_the_handlers_own_ends_its_flow(client, fake, over):
    async def handler(offer):
        async with offer.accept():
            await _awaits_what_is_cancelled(offer)

    async with running(_listen(client, handler, over)):
        listen = await fake.listening()
        await listen.send(offer=_offer())
        stream = await fake.called()
        await stream.answer()
        await stream.cancelled.wait()
        over.set()
    assert fake.declined.empty()


async def test_an_exception_after_accepting_breaks_the_flow_off(client, fake, over, caplog):
    async def handler(offer):
        async with offer.accept():
            raise KeyError("mine")

    async with running(_listen(client, handler, over)):
        listen = await fake.listening()
        await listen.send(offer=_offer())
        stream = await fake.called()
        await stream.answer()
        await stream.cancelled.wait()
        over.set()
    assert fake.declined.empty()
    assert [record.message for record in caplog.records] == ["a handler of flows failed"]


@pytest.mark.parametrize("accepting", [False, True])
async def test_a_withdrawn_offer_cancels_its_handler(client, fake, over, accepting):
    async def handler(offer):
        try:
            if accepting:
                async with offer.accept():
                    raise AssertionError("nobody answered")
            began.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            over.set()
            raise

    began = asyncio.Event()
    async with running(_listen(client, handler, over)):
        listen = await fake.listening()
        await listen.send(offer=_offer())
        if accepting:
            stream = await fake.called()
            await stream.expect("bot")
        else:
            await began.wait()
        await listen.send(withdrawn=_withdrawn())
        await over.wait()
        if accepting:
            await stream.cancelled.wait()
    assert fake.declined.empty()


async def test_a_withdrawn_offer_cancels_no_other_handler(client, fake, over):
    async def handler(offer):
        if offer.cid == 1:
            try:
                began.set()
                await asyncio.Event().wait()
            finally:
                cancelled.set()
        await cancelled.wait()
        await offer.decline("of my own accord")

    began, cancelled = asyncio.Event(), asyncio.Event()
    async with running(_listen(client, handler, over)):
        listen = await fake.listening()
        await listen.send(offer=_offer(2))
        await listen.send(offer=_offer(1))
        await began.wait()
        await listen.send(withdrawn=_withdrawn(1))
        assert await fake.declined.get() == (2, "of my own accord")
        over.set()


async def test_the_withdrawal_that_follows_declining_cancels_nothing(client, fake, over):
    async def handler(offer):
        await offer.decline()
        await told.wait()
        over.set()

    told = asyncio.Event()
    async with running(_listen(client, handler, over)):
        listen = await fake.listening()
        await listen.send(offer=_offer())
        await fake.declined.get()
        await listen.send(withdrawn=_withdrawn())
        await settle(client)
        told.set()


async def test_an_offer_is_answered_only_once(client, fake, over):
    async def handler(offer):
        await offer.decline()
        for again in (offer.decline, offer.accept):
            try:
                await again()
            except RuntimeError:
                errors.append(again)
        over.set()

    errors = []
    async with running(_listen(client, handler, over)):
        listen = await fake.listening()
        await listen.send(offer=_offer())
    assert len(errors) == 2


@pytest.mark.parametrize("declines", [False, True])
async def test_an_offer_that_is_delegated_stays_open(client, fake, over, declines):
    async def handler(offer):
        cids.append(offer.delegate())
        for again in (offer.delegate, offer.accept):
            with pytest.raises(RuntimeError):
                again()
        if declines:
            await offer.decline("it did not come")
        over.set()

    cids = []
    async with running(_listen(client, handler, over)):
        listen = await fake.listening()
        await listen.send(offer=_offer())
    assert cids == [_CID]
    if declines:
        assert await fake.declined.get() == (_CID, "it did not come")
    assert fake.declined.empty()


async def test_leaving_waits_for_flows_and_cancels_offers(client, fake, over):
    cancelled = []

    async def handler(offer):
        if offer.cid == 1:
            try:
                began.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(offer.cid)
                raise
        async with offer.accept() as flow:
            taken.extend([dat async for dat in flow])

    began, taken = asyncio.Event(), []
    async with running(_listen(client, handler, over)) as listening:
        listen = await fake.listening()
        await listen.send(offer=_offer(1))
        await listen.send(offer=_offer(2))
        stream = await fake.called()
        await stream.answer()
        await stream.expect("pay")
        await began.wait()
        over.set()
        await listen.cancelled.wait()
        await stream.give(b"0")
        await settle(client)
        assert cancelled == [1]
        assert not listening.done()
        await stream.say_eot()
        await stream.expect("eot")
        stream.finish()
    assert len(taken) == 1


@pytest.mark.parametrize("leaving", [False, True])
async def test_leaving_by_an_exception_cancels_all(client, fake, over, leaving):
    async def handler(offer):
        async with offer.accept() as flow:
            async for _ in flow:
                pass

    listening = asyncio.ensure_future(_listen(client, handler, over))
    listen = await fake.listening()
    await listen.send(offer=_offer())
    stream = await fake.called()
    await stream.answer()
    await stream.expect("pay")
    if leaving:  # in good order, and cancelled while that waits for the flow
        over.set()
        await listen.cancelled.wait()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    await stream.cancelled.wait()
    await listen.cancelled.wait()


async def test_a_refused_listener_is_a_flow_error(client, fake, over):
    listening = asyncio.ensure_future(_listen(client, _returns, over))
    listen = await fake.called()
    listen.fail(grpc.StatusCode.INVALID_ARGUMENT, "match: syntax error")
    with pytest.raises(FlowError, match="match: syntax error") as caught:
        await listening
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("waits", [False, True])
async def test_a_listener_that_ends_by_itself_is_not_silent(client, fake, over, waits):
    async def listen():
        async with client.handle("test", _returns, reconnect=False) as listener:
            if waits:
                await listener.wait()
            await over.wait()

    listening = asyncio.ensure_future(listen())
    stream = await fake.listening()
    stream.fail(grpc.StatusCode.UNAVAILABLE, "draining: shutting down", info="DRAINING", retry=1)
    if not waits:
        await settle(client)
        over.set()
    with pytest.raises(FlowError) as caught:
        await listening
    assert (caught.value.reason, caught.value.detail) == ("draining", "shutting down")
    assert caught.value.retry_after == 1


async def test_waiting_ends_when_the_block_is_left(client, fake):
    async def listen():
        async with client.handle("test", _returns) as listener:
            waiting = asyncio.ensure_future(listener.wait())
        await waiting

    async with running(listen()):
        await fake.listening()
