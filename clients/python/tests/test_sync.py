"""zioflow.sync: that it does what zioflow does, against a fake gateway and the real one."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import threading

import grpc
import pytest
from fake import running

import zioflow
from zioflow import sync
from zioflow._gen.zio.gateway.v1 import flow_pb2, handler_pb2
from zioflow.sync import Direction, FlowEnded, FlowError, Gateway, Giver, Taker

_COMPLETED = flow_pb2.END_REASON_COMPLETED


def test_the_names_are_the_same():
    assert sync.__all__ == zioflow.__all__
    for name in sync.__all__:
        theirs, ours = getattr(zioflow, name), getattr(sync, name)
        if ours is theirs:
            continue
        for method in _methods(theirs):
            known = inspect.signature(getattr(theirs, method)).parameters
            found = inspect.signature(getattr(ours, method)).parameters
            assert list(found)[: len(known)] == list(known), (name, method)
            assert [p.default for p in known.values()] == [p.default for p in found.values()][
                : len(known)
            ]


def _methods(cls):
    return [n for n, _ in inspect.getmembers(cls, inspect.isfunction) if not n.startswith("_")]


# Against a fake gateway, which runs in the event loop: the client in a thread.


@pytest.fixture
def client(fake):
    with Gateway(fake.address) as gateway:
        yield gateway


def _in_thread(work, *arguments, **options):
    return running(asyncio.to_thread(work, *arguments, **options))


def _give(gateway, *payloads, **options):
    with gateway.give(**options) as flow:
        for payload in payloads:
            flow.put(payload)
    return flow


def _raises(kind, work, *arguments, **options):
    with pytest.raises(kind) as caught:
        work(*arguments, **options)
    return caught.value


async def test_put_waits_for_credit(client, fake):
    given = []

    def give():
        with client.give({"stream": "größe"}, credit=5, origin=3) as flow:
            for payload in (b"0", b"1", b"2"):
                flow.put(payload, label={"n": 1})
                given.append(payload)

    async with _in_thread(give):
        stream = await fake.called()
        bot = await stream.answer(pay=2)
        assert json.loads(bot.label) == {"stream": "größe"}
        assert (bot.direction, bot.credit, bot.origin) == (flow_pb2.DIRECTION_EXTRACT, 5, 3)
        for payload in (b"0", b"1"):
            dat = await stream.expect("dat")
            assert (list(dat.payload), dat.label, dat.origin) == ([payload], '{"n":1}', 3)
        assert stream.inbox.empty() and len(given) <= 2
        await stream.send(pay=flow_pb2.Pay(credit=5))
        assert (await stream.expect("dat")).payload == [b"2"]
        assert (await stream.complete()).origin == 3


async def test_put_raises_when_the_taker_ends_the_flow(client, fake):
    def give():
        with client.give() as flow:
            flow.put(b"0")
            flow.put(b"1")
            _raises(FlowEnded, flow.put, b"2")
            flow.put(b"3")

    async with _in_thread(_raises, FlowEnded, give) as giving:
        stream = await fake.called()
        await stream.answer(pay=2)
        await stream.expect("dat")
        await stream.expect("dat")
        await stream.say_eot('{"flow":"EOT","taken":1}')
        await stream.expect("eot")
        stream.finish()
    error = giving.result()
    assert (error.taken, error.reason, error.flow_id) == (1, "completed", 7)


async def test_the_takers_eot_is_answered_at_once(client, fake):
    go_on = threading.Event()

    def give():
        with client.give() as flow:
            flow.put(b"0")
            assert go_on.wait(20)

    async with _in_thread(give):
        stream = await fake.called()
        await stream.answer(pay=1)
        await stream.expect("dat")
        await stream.say_eot('{"flow":"EOT","taken":1}')
        await stream.expect("eot")  # though the block goes on
        go_on.set()
        stream.finish()


async def test_a_failure_is_told_with_all_that_is_known(client, fake):
    for _ in range(10):
        async with _in_thread(_raises, FlowError, _give, client, *[b"0"] * 1000) as giving:
            stream = await fake.called()
            await stream.answer(credit=1000, pay=1000)
            await stream.expect("dat")
            stream.fail(
                grpc.StatusCode.ABORTED, "peer_gone: left", info="PEER_GONE", retry=2, flow_id=7
            )
        error = giving.result()
        assert (error.reason, error.detail) == ("peer_gone", "left")
        assert (error.code, error.flow_id, error.retry_after) == (grpc.StatusCode.ABORTED, 7, 2)


async def test_an_exception_breaks_the_flow_off(client, fake):
    def give():
        with client.give():
            raise KeyError("mine")

    async with _in_thread(_raises, KeyError, give):
        stream = await fake.called()
        await stream.answer()
        await stream.cancelled.wait()
    assert not stream.messages()


async def test_what_no_dat_can_be_made_of_does_not_harm_the_flow(fake):
    def give():
        with Gateway(fake.address, max_message=1000) as gateway, gateway.give() as flow:
            _raises(ValueError, flow.put, bytes(1000 + (64 << 10)))
            _raises(TypeError, flow.put, 5)
            _raises(TypeError, flow.put_all, b"xyz")
            _raises(ValueError, flow.put, origin=-1)
            flow.put(b"0")
        _raises(RuntimeError, flow.put, b"1")
        _raises(RuntimeError, flow.__enter__)
        _raises(RuntimeError, gateway.give)

    async with _in_thread(give):
        stream = await fake.called()
        await stream.answer(pay=1)
        assert (await stream.expect("dat")).payload == [b"0"]
        await stream.complete()


async def test_half_of_the_credit_is_paid_back_at_a_time(client, fake):
    def take():
        with client.take(credit=4, origin=8) as flow:
            return [dat.payload[0] for dat in flow]

    async with _in_thread(take) as taking:
        stream = await fake.called()
        bot = await stream.answer(credit=4)
        assert bot.direction == flow_pb2.DIRECTION_INJECT
        assert (await stream.expect("pay")).credit == 4
        await stream.give(b"0", b"1", b"2")
        assert (await stream.expect("pay")).credit == 2
        await stream.say_eot()
        eot = await stream.expect("eot")
        assert (json.loads(eot.label), eot.origin) == ({"taken": 3}, 8)
        stream.finish()
    assert taking.result() == [b"0", b"1", b"2"]


async def test_leaving_early_ends_the_flow_and_tells_how_much_was_used(client, fake):
    def take():
        with client.take(credit=4) as flow:
            return next(flow).payload

    async with _in_thread(take) as taking:
        stream = await fake.called()
        await stream.answer(credit=4)
        await stream.expect("pay")
        await stream.give(b"0", b"1")
        assert json.loads((await stream.expect("eot")).label) == {"taken": 1}
        await stream.say_eot(reason=_COMPLETED)
        stream.finish()
    assert taking.result() == (b"0",)


async def test_what_came_before_a_failure_is_taken_before_it_is_told(client, fake):
    def take():
        with client.take() as flow:
            for dat in flow:
                taken.append(dat.payload[0])

    taken = []
    async with _in_thread(_raises, FlowError, take) as taking:
        stream = await fake.called()
        await stream.answer()
        await stream.expect("pay")
        await stream.give(b"0", b"1")
        await stream.say_eot(reason=flow_pb2.END_REASON_PEER_GONE)
        stream.fail(grpc.StatusCode.ABORTED, "peer_gone", info="PEER_GONE")
    assert (taken, taking.result().reason) == ([b"0", b"1"], "peer_gone")
    assert not stream.messages()


async def test_closing_the_gateway_breaks_flows_off(fake):
    gateway = Gateway(fake.address)
    async with _in_thread(_raises, FlowError, _give, gateway, b"0") as giving:
        stream = await fake.called()
        await stream.answer()
        await asyncio.to_thread(gateway.close)
    assert giving.result().code is grpc.StatusCode.CANCELLED
    await stream.cancelled.wait()


def _offer(cid):
    bot = flow_pb2.Bot(label='{"n":1}', direction=flow_pb2.DIRECTION_INJECT, credit=3)
    return handler_pb2.Offer(cid=cid, bot=bot)


async def test_a_withdrawn_offer_tells_its_handler(client, fake):
    def handler(offer):
        with pytest.raises(FlowError), offer.accept():
            raise AssertionError("nobody answered")
        told.append(offer.withdrawn)
        over.set()

    def listen():
        with client.handle("test", handler):
            assert over.wait(20)

    told, over = [], threading.Event()
    async with _in_thread(listen):
        listen = await fake.listening()
        await listen.send(offer=_offer(5))
        stream = await fake.called()
        await stream.expect("bot")
        withdrawn = handler_pb2.Withdrawn(cid=5, reason=flow_pb2.END_REASON_PEER_GONE)
        await listen.send(withdrawn=withdrawn)
        await stream.cancelled.wait()
    assert told == [True]
    assert fake.declined.empty()


async def test_leaving_by_an_exception_breaks_off_what_is_handled(client, fake):
    def handler(offer):
        with offer.take() as flow:
            _raises(FlowError, next, flow)
            ended.set()
            raise FlowError(zioflow.EndReason.UNSPECIFIED)

    def listen():
        with client.handle("test", handler):
            assert go_on.wait(20)
            raise KeyError("mine")

    go_on, ended = threading.Event(), threading.Event()
    async with _in_thread(_raises, KeyError, listen):
        listen = await fake.listening()
        await listen.send(offer=_offer(5))
        stream = await fake.called()
        await stream.answer()
        await stream.expect("pay")
        go_on.set()
        await stream.cancelled.wait()
    assert ended.is_set()


# Against the real gateway.


@pytest.fixture
def gateway(program):
    with Gateway(program.address) as gateway:
        yield gateway


def _handling(gateway, name, handler, **options):
    return gateway.handle(name, handler, match=f"attributes.to == '{name}'", **options)


@pytest.mark.parametrize("credit", [1, 2, 3, 10, 1000])
def test_take_and_get_from_generate(gateway, credit):
    with gateway.take({"count": 100, "size": 5}, credit=credit) as flow:
        taken = list(flow)
    assert flow.bot.credit == credit
    assert [dat.seqno for dat in taken] == list(range(1, 101))
    got = gateway.get({"count": 100, "size": 5}, credit=credit)
    assert [dat.payload for dat in got] == [dat.payload for dat in taken]


def test_a_get_that_is_left_breaks_off(gateway):
    dats = gateway.get({"count": 1000})
    next(dats)
    dats.close()
    assert len(list(gateway.get({"count": 3}))) == 3


def test_put_and_put_all(gateway):
    result = gateway.put_all([b"12", (b"345", "6"), zioflow.Dat(payload=(b"7",))])
    assert (result.messages, result.bytes, result.bot.taken_by.route) == (3, 7, "dump")
    assert gateway.put("one").bytes == 3
    _raises(TypeError, gateway.put_all, "text")

    def fails():
        yield b"1"
        raise KeyError("mine")

    _raises(KeyError, gateway.put_all, fails())


def test_the_largest_message(gateway):
    size = 64 << 20
    (dat,) = gateway.get({"count": 1, "size": size})
    assert len(dat.payload[0]) == size
    with gateway.give() as flow:
        flow.put(dat)
    assert flow.eot.reason == "completed"


def test_a_handler_takes_and_gives(gateway):
    def handler(offer):
        with offer.accept({"antwort": "ü"}) as flow:
            if offer.direction is Direction.INJECT:
                assert isinstance(flow, Taker)
                taken.extend(dat.payload[0] for dat in flow)
            else:
                assert isinstance(flow, Giver)
                flow.put_all(taken)

    taken = []
    sent = [b"%d" % n for n in range(100)]
    with _handling(gateway, "sync", handler):
        with gateway.give({"to": "sync"}) as flow:
            flow.put_all(sent)
        assert flow.bot.attributes == {"antwort": "ü"}
        with gateway.take({"to": "sync"}) as flow:
            assert [dat.payload[0] for dat in flow] == sent


def test_a_refusal_reaches_the_client(gateway, caplog):
    def handler(offer):
        if offer.attributes["how"] == "declines":
            offer.decline("not today")
        elif offer.attributes["how"] == "raises":
            raise ValueError("no such stream")
        elif offer.attributes["how"] == "exits":
            sys.exit("no more")

    details = {
        "declines": "not today",
        "raises": "no such stream",
        "exits": "no more",
        "returns": "the handler neither accepted nor declined",
    }
    with _handling(gateway, "sulking", handler):
        for how, detail in details.items():
            for call in (_give, lambda g, **o: list(g.get({"to": "sulking", "how": how}))):
                error = _raises(FlowError, call, gateway, attributes={"to": "sulking", "how": how})
                assert (error.reason, error.detail) == ("rejected", detail)
    assert [r.message for r in caplog.records] == ["a handler of flows failed"] * 4


def test_a_flow_too_many_for_the_threads_costs_itself_alone(gateway, monkeypatch):
    start = threading.Thread.start

    def fails(thread):
        if thread.name.startswith("zioflow offer"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with _handling(gateway, "crowded", lambda offer: _drained(offer)):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fails)
            error = _raises(FlowError, _give, gateway, attributes={"to": "crowded"})
            assert (error.reason, error.detail) == ("rejected", "can't start new thread")
        _give(gateway, attributes={"to": "crowded"})


def _drained(offer):
    with offer.take() as flow:
        for _ in flow:
            pass


def test_a_taker_that_ends_the_flow_says_how_much_it_used(gateway):
    def handler(offer):
        with offer.take() as flow:
            for used, _ in enumerate(flow, 1):
                if used == offer.attributes["uses"]:
                    break

    with _handling(gateway, "few", handler):
        error = _raises(
            FlowEnded, _give, gateway, *[b"x"] * 100, attributes={"to": "few", "uses": 3}
        )
        assert error.taken == 3
        error = _raises(FlowEnded, gateway.put_all, [b"x"] * 100, {"to": "few", "uses": 4})
        assert error.taken == 4


def test_a_taker_that_refuses_says_why(gateway):
    def handler(offer):
        with offer.take() as flow:
            next(flow), next(flow)
            flow.refuse("it is bad")

    with _handling(gateway, "refusing", handler):
        for call in (_give, lambda g, *items, **o: g.put_all(items, *o.values())):
            error = _raises(FlowEnded, call, gateway, b"1", b"2", attributes={"to": "refusing"})
            assert error.taken == 1
            assert error.detail.endswith("after using 1 of 2 DATs: it is bad")


def test_fifty_flows_at_once_from_threads(gateway):
    def handler(offer):
        with offer.accept() as flow:
            mine = offer.attributes["i"]
            if isinstance(flow, Giver):
                flow.put_all(b"%d.%d" % (mine, n) for n in range(20))
            else:
                got[mine] = [dat.payload[0] for dat in flow]

    def client(i):
        attributes = {"to": "threads", "i": i}
        if i % 2:
            _give(gateway, *(b"%d.%d" % (i, n) for n in range(20)), attributes=attributes)
        else:
            got[i] = [dat.payload[0] for dat in gateway.get(attributes)]

    got = {}
    with _handling(gateway, "threads", handler):
        threads = [threading.Thread(target=client, args=(i,)) for i in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert got == {i: [b"%d.%d" % (i, n) for n in range(20)] for i in range(50)}


def test_threads_take_turns_in_one_flow(gateway):
    def handler(offer):
        with offer.take() as flow:
            got.extend(dat.payload[0] for dat in flow)

    def put(flow, i):
        for n in range(50):
            flow.put(b"%d.%d" % (i, n))

    got = []
    with _handling(gateway, "turns", handler), gateway.give({"to": "turns"}, credit=3) as flow:
        threads = [threading.Thread(target=put, args=(flow, i)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    for i in range(8):
        mine = [p for p in got if p.startswith(b"%d." % i)]
        assert mine == [b"%d.%d" % (i, n) for n in range(50)]


async def test_it_works_where_a_loop_runs(program):
    """As in a notebook."""
    with Gateway(program.address) as gateway:
        assert len(list(gateway.get({"count": 3}))) == 3
        _give(gateway, b"x")


def test_nothing_is_left_behind(program):
    before = threading.active_count()
    with Gateway(program.address) as gateway, _handling(gateway, "left", print):
        _give(gateway, b"x", attributes={"builtin": "dump"})
        list(gateway.get({"builtin": "generate", "count": 2}))
        with pytest.raises(KeyError), gateway.give({"builtin": "dump"}):
            raise KeyError("mine")
    names = [t.name for t in threading.enumerate() if t.name.startswith("zioflow")]
    assert not names
    assert threading.active_count() <= before + 1  # the channel's own may be about to end
