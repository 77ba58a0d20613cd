"""End to end, against the real gateway."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys

import grpc
import pytest
from conftest import Program

from zioflow import Dat, EndReason, FlowEnded, FlowError, Gateway, Giver, Taker

_BIG = 64 << 20


@contextlib.asynccontextmanager
async def _handling(gateway, name, handler, **options):
    """Handles the flows of clients whose attribute `to` is the name."""
    match = f"attributes.to == '{name}'"
    async with gateway.handle(name, handler, match=match, **options) as listener:
        yield listener


def _pattern(n: int, size: int) -> bytes:
    period = bytes(range(251))
    return (period[n % 251 :] + period * (size // 251 + 1))[:size]


async def _fails(work):
    with pytest.raises(FlowError) as caught:
        await work
    return caught.value


async def _give(gateway, attributes, *payloads, **options):
    async with gateway.give(attributes, **options) as flow:
        for payload in payloads:
            await flow.put(payload)
    return flow


@pytest.mark.parametrize("credit", [1, 2, 3, 10, 1000])
async def test_take_from_generate(gateway, credit):
    async with gateway.take({"count": 300, "size": 1000}, credit=credit) as flow:
        dats = [dat async for dat in flow]
    assert flow.bot.credit == credit
    assert [dat.payload for dat in dats] == [(_pattern(n, 1000),) for n in range(300)]
    assert [dat.seqno for dat in dats] == list(range(1, 301))


async def test_get_from_generate(gateway):
    dats = [dat async for dat in gateway.get({"count": 300, "size": 7})]
    assert [dat.payload for dat in dats] == [(_pattern(n, 7),) for n in range(300)]


async def test_get_of_nothing(gateway):
    assert [dat async for dat in gateway.get({"count": 0})] == []


async def test_the_largest_message(gateway):
    (dat,) = [dat async for dat in gateway.get({"count": 1, "size": _BIG})]
    assert dat.payload == (_pattern(0, _BIG),)
    await gateway.put_all([dat])


async def test_credit_is_lowered_to_the_gateways_limit(gateway):
    async with gateway.take({"count": 1}, credit=5000) as flow:
        assert flow.bot.credit == 1000


async def test_generate_refuses_what_makes_no_sense(gateway):
    error = await _fails(gateway.take({"size": -1}).__aenter__())
    assert error.reason is EndReason.REJECTED
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "size" in error.detail
    assert error.flow_id > 0


async def test_give_to_dump(gateway):
    flow = await _give(gateway, None, *[b"x" * n for n in range(100)], credit=7)
    assert flow.eot.reason is EndReason.COMPLETED
    assert flow.bot.credit == 7


async def test_put_to_dump(gateway):
    result = await gateway.put_all([b"12", (b"345", b""), Dat(payload=(b"6",))])
    assert (result.messages, result.bytes) == (3, 6)
    assert result.flow_id > 0


async def test_a_handler_takes_what_a_giver_gives(gateway):
    payloads = [bytes(range(251))[:1] * n for n in (0, 1, 254, 255, 70000)]
    labels = [
        {"größe": "日本", "n": 2**63 - 1, "m": -(2**63), "u": 2**64 - 1},
        '{"flow":"DAT", "spaced" : [1,  2], "twice":1, "twice":2}',
        '{"no_flow": true}',
    ]
    dats, offers = [], []

    async def handler(offer):
        offers.append(offer)
        async with offer.accept({"antwort": "ü"}, payload=[b"bot"]) as flow:
            assert isinstance(flow, Taker)
            dats.extend([dat async for dat in flow])

    async with _handling(gateway, "takes", handler):
        attributes = {"to": "takes", "größe": "日本", "n": 2**63 - 1}
        async with gateway.give(attributes, payload=[b"", b"p"], origin=2**64 - 1) as flow:
            assert flow.bot.attributes == {"antwort": "ü"}
            assert flow.bot.payload == (b"bot",)
            await flow.put(*payloads)
            await flow.put(*payloads, b"")
            await flow.put()
            for label in labels:
                await flow.put(b"x", label=label, origin=5, granule=6, level=8)

    (offer,) = offers
    assert offer.attributes == attributes
    assert offer.bot.payload == (b"", b"p")
    assert offer.bot.origin == 2**64 - 1
    assert offer.peer.transport == "grpc"
    assert [dat.payload for dat in dats[:3]] == [tuple(payloads), (*payloads, b""), ()]
    assert [dat.seqno for dat in dats] == list(range(1, 7))
    assert dats[0].granule > 0
    assert dats[0].origin == 2**64 - 1
    assert dats[3].attributes == labels[0]
    assert dats[4].label == labels[1]
    assert dats[5].attributes == {"no_flow": True}
    assert {(dat.origin, dat.granule, dat.level) for dat in dats[3:]} == {(5, 6, 8)}


@pytest.mark.parametrize("get", [False, True])
async def test_a_handler_gives_what_a_taker_takes(gateway, get):
    async def handler(offer):
        async with offer.accept(credit=3) as flow:
            assert isinstance(flow, Giver)
            for n in range(offer.attributes["n"]):
                await flow.put(b"%d" % n, b"", label={"n": n})

    async with _handling(gateway, "gives", handler):
        attributes = {"to": "gives", "n": 50}
        if get:
            dats = [dat async for dat in gateway.get(attributes)]
        else:
            async with gateway.take(attributes) as flow:
                assert flow.bot.credit == 3
                dats = [dat async for dat in flow]
    assert [dat.payload for dat in dats] == [(b"%d" % n, b"") for n in range(50)]
    assert [dat.attributes for dat in dats] == [{"n": n} for n in range(50)]


@pytest.mark.parametrize("how", ["declines", "raises"])
async def test_a_handler_refuses(gateway, how):
    async def handler(offer):
        if how == "raises":
            raise ValueError("nicht heute, später")
        await offer.decline("nicht heute, später")

    async with _handling(gateway, how, handler):
        error = await _fails(_give(gateway, {"to": how}))
        assert error.reason == "rejected"
        assert error.detail == "nicht heute, später"
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert (await _fails(gateway.put_all([], {"to": how}))).reason == "rejected"
        assert (await _fails(anext(gateway.get({"to": how})))).reason == "rejected"


async def test_flows_cross_a_socket_of_this_machine(program):
    tcp, unix = program.addresses
    assert (tcp, unix[:6]) == (program.address, "unix:/")
    for address in (unix, unix.replace("unix:", "unix://")):
        async with Gateway(address) as local:
            dats = [dat async for dat in local.get({"builtin": "generate", "count": 3})]
            summary = await local.put(b"x" * 300_000, {"builtin": "dump"})
        assert (len(dats), summary.messages) == (3, 1)


_VICTIM = """
import asyncio, sys, zioflow
async def main():
    async with zioflow.Gateway(sys.argv[1]) as gateway, gateway.give({"to": "kill"}) as flow:
        for n in range(3):
            await flow.put(b"x")
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_a_client_that_is_killed_is_gone(gateway, program):
    async def handler(offer):
        try:
            async with offer.accept() as flow:
                async for dat in flow:
                    dats.append(dat)
                    if len(dats) == 3:
                        victim.kill()
        except FlowError as error:
            ended.set_result(error)

    dats, ended = [], asyncio.get_running_loop().create_future()
    async with _handling(gateway, "kill", handler):
        victim = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _VICTIM, program.address, env={"PYTHONPATH": ":".join(sys.path)}
        )
        error = await ended
        await victim.wait()
    assert error.reason == "peer_gone"
    assert error.code is grpc.StatusCode.ABORTED
    assert len(dats) == 3


@pytest.mark.parametrize("how", ["give", "put", "take", "get"])
async def test_a_handler_that_breaks_off_is_gone(gateway, how):
    async def handler(offer):
        async with offer.accept(credit=20) as flow:
            for n in range(5):
                if isinstance(flow, Giver):
                    await flow.put(b"%d" % n)
                else:
                    await anext(flow)
            raise ConnectionError("mine")

    async def take(attributes):
        async with gateway.take(attributes, credit=20) as flow:
            return [dat async for dat in flow]

    calls = {
        "give": lambda to: _give(gateway, to, *[b"x"] * 1000, credit=20),
        "put": lambda to: gateway.put_all([b"x"] * 1000, to, credit=20),
        "take": take,
        "get": lambda to: _all(gateway.get(to, credit=20)),
    }
    async with _handling(gateway, f"breaks {how}", handler):
        work = [_fails(calls[how]({"to": f"breaks {how}"})) for _ in range(20)]
        for error in await asyncio.gather(*work):
            assert (error.reason, error.code) == ("peer_gone", grpc.StatusCode.ABORTED)


async def _all(dats):
    return [dat async for dat in dats]


async def test_a_taker_that_ends_the_flow_says_how_much_it_used(gateway):
    async def handler(offer):
        async with offer.accept() as flow:
            used = 0
            async for _ in flow:
                used += 1
                if used == offer.attributes["uses"]:
                    break

    async with _handling(gateway, "few", handler):
        with pytest.raises(FlowEnded) as caught:
            await _give(gateway, {"to": "few", "uses": 3}, *[b"x"] * 100)
        assert caught.value.taken == 3
        with pytest.raises(FlowEnded) as caught:
            await gateway.put_all([b"x"] * 100, {"to": "few", "uses": 4})
        assert caught.value.taken == 4
        # What fits into the credit has been sent when the taker ends the flow.
        with pytest.raises(FlowEnded) as caught:
            await _give(gateway, {"to": "few", "uses": 1}, *[b"x"] * 10)
        assert caught.value.taken == 1
        await _give(gateway, {"to": "few", "uses": 10}, *[b"x"] * 10)


async def test_a_hundred_flows_at_once(gateway):
    async def handler(offer):
        async with offer.accept() as flow:
            mine = offer.attributes["i"]
            if isinstance(flow, Giver):
                for n in range(20):
                    await flow.put(b"%d.%d" % (mine, n))
            else:
                got[mine] = [dat.payload[0] async for dat in flow]

    async def client(i):
        attributes = {"to": "many", "i": i}
        if i % 2:
            await _give(gateway, attributes, *[b"%d.%d" % (i, n) for n in range(20)])
        else:
            got[i] = [dat.payload[0] async for dat in gateway.get(attributes)]

    got = {}
    async with _handling(gateway, "many", handler):
        await asyncio.gather(*(client(i) for i in range(100)))
    assert got == {i: [b"%d.%d" % (i, n) for n in range(20)] for i in range(100)}


async def test_max_flows_bounds_what_is_handled_at_once(gateway):
    async def handler(offer):
        nonlocal now, most
        async with offer.accept() as flow:
            now += 1
            most = max(most, now)
            async for _ in flow:
                pass
            now -= 1

    now = most = 0
    async with _handling(gateway, "bounded", handler, max_flows=2):
        await asyncio.gather(*(_give(gateway, {"to": "bounded"}, b"x") for _ in range(10)))
    assert most <= 2


async def test_a_client_that_leaves_withdraws_its_offer(gateway):
    async def handler(offer):
        try:
            offered.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    offered, cancelled = asyncio.Event(), asyncio.Event()
    async with _handling(gateway, "slow", handler):
        giving = asyncio.ensure_future(_give(gateway, {"to": "slow"}))
        await offered.wait()
        giving.cancel()
        await cancelled.wait()
        with pytest.raises(asyncio.CancelledError):
            await giving


async def test_a_match_that_makes_no_sense_is_refused(gateway):
    error = await _fails(gateway.handle("bad", print, match="attributes ===").__aenter__())
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "match" in error.detail


async def test_a_label_that_is_no_object_ends_the_flow(gateway):
    async def give():
        async with gateway.give() as flow:
            await flow.put(label="[]")
            await asyncio.gather(*(flow.put() for _ in range(10)))

    assert (await _fails(give())).reason == "protocol_error"


_ODD_LABELS = {
    "deep": '{"to": "odd", "x": %s1%s}' % ('{"a": ' * 60, "}" * 60),
    "deep lists": '{"to": "odd", "x": %s%s}' % ("[" * 150, "]" * 150),
    "beyond a double": '{"to": "odd", "x": 1e999}',
    "half a character": r'{"to": "odd", "x": "\ud800"}',
    "twice": '{"to": "odd", "x": 1, "x": 2}',
    "nan": '{"to": "odd", "x": NaN}',
}


@pytest.mark.parametrize("label", _ODD_LABELS.values(), ids=_ODD_LABELS.keys())
async def test_odd_labels_end_no_listener(gateway, label):
    async def handler(offer):
        seen.append(offer.bot)
        async with offer.accept() as flow:
            async for dat in flow:
                pass

    seen = []
    async with _handling(gateway, "odd", handler):
        for text in (label, '{"to": "odd"}'):
            async with gateway.give(label=text) as flow:
                await flow.put(b"x")
            assert flow.bot.taken_by.route == "odd"
            assert flow.bot.taken_by.transport == "grpc"
    assert [("x" in bot.attributes) for bot in seen] == [True, False]
    assert [bot.left_out for bot in seen] == [None, None]


async def test_an_offer_has_what_its_listener_can_take(gateway, program):
    async def handler(offer):
        seen.append(offer.bot)
        async with offer.accept() as flow:
            async for dat in flow:
                pass

    seen = []
    async with Gateway(program.address, max_message=10_000) as small:
        async with _handling(small, "small", handler):
            for size in (5_000, 20_000):
                async with gateway.give({"to": "small"}, payload=[bytes(size), b""]):
                    pass
    assert [len(bot.payload) for bot in seen] == [2, 0]
    assert seen[0].left_out is None
    assert (seen[1].left_out.payload_bytes, seen[1].left_out.payload_parts) == (20_000, 2)
    assert seen[1].attributes == {"to": "small"}


async def test_put_tells_who_has_taken(gateway):
    result = await gateway.put_all([b"x"])
    assert result.bot.taken_by.route == "dump"
    assert result.bot.taken_by.identity == "dump"


@pytest.fixture
async def start(no_leaks, tmp_path):
    """Starts gateways of a test's own, with flags."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*flags):
            program = Program(tmp_path, "--default-routes", *flags)
            stack.push_async_callback(asyncio.to_thread, program.stop)
            # Exceptions that were caught keep the connection open, and the gateway waits.
            stack.callback(gc.collect)
            gateway = await stack.enter_async_context(Gateway(program.address))
            return gateway, program

        yield start


async def test_no_handler(start):
    gateway, _ = await start("--no-default-routes", "--handler-wait=100ms")
    error = await _fails(_give(gateway, None))
    assert error.reason is EndReason.NO_HANDLER
    assert error.code is grpc.StatusCode.UNAVAILABLE
    assert error.retry_after > 0


async def test_handlers_that_are_too_late_or_too_few(start):
    async def handler(offer):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    cancelled = asyncio.Event()
    gateway, _ = await start("--pending-timeout=100ms")
    async with _handling(gateway, "late", handler):
        assert (await _fails(_give(gateway, {"to": "late"}))).reason == "handler_timeout"
        await cancelled.wait()

    async def busy(offer):
        async with offer.accept() as flow:
            async for _ in flow:
                pass

    async with _handling(gateway, "busy", busy, max_flows=1), gateway.give({"to": "busy"}):
        assert (await _fails(_give(gateway, {"to": "busy"}))).reason == "overloaded"


async def test_message_too_large(start):
    gateway, _ = await start("--max-message=1000")
    await _give(gateway, None, bytes(1000))
    assert (await _fails(_give(gateway, None, bytes(1001)))).reason == "message_too_large"
    assert (await _fails(gateway.put_all([bytes(1001)]))).reason == "message_too_large"


async def test_an_eot_that_is_not_answered(start):
    async def handler(offer):
        async with offer.accept() as flow:
            async for _ in flow:
                await told.wait()

    told = asyncio.Event()
    gateway, _ = await start("--eot-timeout=100ms")
    async with _handling(gateway, "stuck", handler):
        assert (await _fails(_give(gateway, {"to": "stuck"}, b"x"))).reason == "eot_timeout"
        told.set()


async def test_a_taker_slower_than_the_eot_timeout_is_seen_to_move(start):
    async def handler(offer):
        async with offer.accept(credit=10) as flow:
            async for dat in flow:
                await asyncio.sleep(0.4)  # its work
                used.append(dat.payload[0])

    used = []
    gateway, _ = await start("--eot-timeout=1s")
    async with _handling(gateway, "slow", handler):
        await _give(gateway, {"to": "slow"}, *(b"%d" % n for n in range(5)))
    assert used == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_gateway_that_stops_says_so(start):
    async def listen():
        async with gateway.handle("other", print, match="false", reconnect=False) as listener:
            listening.set()
            await listener.wait()

    listening = asyncio.Event()
    gateway, program = await start()
    listener = asyncio.ensure_future(_fails(listen()))
    await listening.wait()

    async def give():
        async with gateway.give() as flow:
            await flow.put(b"x")
            program.terminate()
            while True:
                await flow.put(b"x")

    assert (await _fails(give())).reason is EndReason.DRAINING
    error = await listener
    assert error.reason is EndReason.DRAINING
    assert error.retry_after > 0


async def test_a_taker_that_refuses_says_why(gateway):
    """The DAT that it refuses is not counted as used, and the giver is told the reason."""

    async def handler(offer):
        async with offer.take() as flow:
            async for dat in flow:
                if dat.payload[0] == b"bad":
                    flow.refuse("it is bad")
                    break

    match = "attributes.stream == 'refused'"
    async with gateway.handle("refusing", handler, match=match):
        with pytest.raises(FlowEnded, match="after using 2 of .* DATs: it is bad") as ended:
            async with gateway.give({"stream": "refused"}) as flow:
                for payload in (b"good", b"good", b"bad", b"good"):
                    await flow.put(payload)
    assert ended.value.taken == 2
    assert json.loads(flow.eot.label) == {
        "flow": "EOT",
        "error": "rejected",
        "detail": "it is bad",
        "taken": 2,
    }
