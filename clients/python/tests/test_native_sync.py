"""zioflow.sync at the address for ZeroMQ: what it does by gRPC, it does there."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import grpc
import pytest
import zmq
from conftest import Program

import zioflow.native
from zioflow.sync import EndReason, FlowEnded, FlowError, Gateway, Taker

_PATIENCE = 20
_TRANSPORTS = ["grpc", "native", *(["client"] if zmq.has("draft") else [])]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A gateway that is reached every way, where something takes and gives in any flow."""
    program = Program(
        tmp_path_factory.mktemp("every"),
        "--default-routes",
        router="tcp://127.0.0.1:0",
        server="tcp://127.0.0.1:0",
    )
    yield program
    program.stop()


@pytest.fixture(params=_TRANSPORTS)
def either(program, request):
    """A Gateway by gRPC, then one by ZeroMQ: one address is all that differs."""
    addresses = {"grpc": program.address, "native": program.router, "client": program.server}
    options = {"client": True} if request.param == "client" else {}
    with Gateway(addresses[request.param], **options) as gateway:
        yield gateway


@contextlib.contextmanager
def _handling(program, name, handle):
    """Has flows whose attribute `to` is the name be handled natively, by their cid."""
    with Gateway(program.address) as listening, Gateway(program.router) as flows:

        def handler(offer):
            handle(flows.offer(offer.delegate(), offer.direction))

        with listening.handle(name, handler, match=f"attributes.to == '{name}'") as listener:
            yield listener


def _fails(kind, work):
    with ThreadPoolExecutor(1) as pool, pytest.raises(kind) as caught:
        pool.submit(work).result(_PATIENCE)
    return caught.value


def _enters(flow):
    with flow:
        pass


def test_the_address_chooses():
    for address in ("tcp://127.0.0.1:5556", "ipc:///tmp/gateway"):
        assert type(Gateway(address)) is zioflow.native.SyncGateway
    assert type(Gateway("127.0.0.1:7575")) is Gateway
    assert type(zioflow.native.SyncGateway()) is zioflow.native.SyncGateway


@pytest.mark.parametrize("credit", [1, 2, 10, 1000])
def test_take(either, credit):
    with either.take({"count": 300, "size": 1000}, credit=credit) as flow:
        dats = list(flow)
    assert flow.bot.credit == credit
    assert [dat.seqno for dat in dats] == list(range(1, 301))
    assert {len(dat.payload[0]) for dat in dats} == {1000}


def test_get_and_put(either):
    dats = list(either.get({"count": 30, "size": 7}))
    assert len(dats) == 30
    result = either.put_all([*dats, (b"p0", ""), "text"])
    assert (result.messages, result.bytes) == (32, 30 * 7 + 2 + 4)
    assert either.put(b"one").messages == 1
    for dat in either.get({"count": 2**40}):
        assert dat.seqno == 1
        break  # which breaks the flow off
    with pytest.raises(KeyError):
        either.put_all({}[n] for n in range(1))


def test_the_largest_message(either):
    (dat,) = either.get({"count": 1, "size": 64 << 20})
    either.put(dat)
    with either.give() as flow:
        with pytest.raises(ValueError, match="bytes, at most"):
            flow.put(bytes((64 << 20) + (64 << 10)))
        flow.put(b"the flow goes on")


def test_a_native_handler(either, program):
    taken = []

    def handle(offer):
        with offer.accept({"answer": "ü"}, credit=3) as flow:
            if isinstance(flow, Taker):
                taken.extend(flow)
            else:
                for n in range(50):
                    flow.put(b"%d" % n)

    with _handling(program, "handled", handle):
        with either.give({"to": "handled"}, credit=7) as flow:
            assert (flow.bot.credit, flow.bot.attributes) == (3, {"answer": "ü"})
            for n in range(50):
                flow.put(b"%d" % n)
        assert flow.eot.attributes == {"taken": 50}
        given = list(either.get({"to": "handled"}))
    want = [(b"%d" % n,) for n in range(50)]
    assert [dat.payload for dat in taken] == want == [dat.payload for dat in given]


def test_a_taker_that_ends_early_says_so(either, program):
    gave: Future = Future()

    def handle(offer):
        try:
            with offer.give() as flow:
                while True:
                    flow.put(b"x")
        except FlowEnded as error:
            gave.set_result(error)

    with _handling(program, "early", handle):
        with either.take({"to": "early"}) as flow:
            for _ in range(3):
                next(flow)
        assert gave.result(_PATIENCE).taken == 3


def test_many_threads_give_into_one_flow(either, program):
    taken = []

    def handle(offer):
        with offer.take() as flow:
            taken.extend(dat.payload[0] for dat in flow)

    with _handling(program, "threads", handle):
        with either.give({"to": "threads"}, credit=3) as flow, ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(flow.put, b"%d" % n) for n in range(400)]:
                done.result(_PATIENCE)
    assert sorted(taken, key=int) == [b"%d" % n for n in range(400)]


def test_many_flows_at_once(either):
    def one(n):
        return [dat.payload[0][:1] for dat in either.get({"count": n, "size": 3})]

    with ThreadPoolExecutor(20) as pool:
        for n, dats in enumerate(pool.map(one, range(60))):
            assert len(dats) == n


async def test_it_works_where_an_event_loop_runs(either):
    assert len(list(either.get({"count": 3}))) == 3
    assert (await asyncio.to_thread(either.put, b"x")).messages == 1


def test_closing_the_gateway_breaks_its_flows_off(program):
    gateway = Gateway(program.router)
    flow = gateway.take({"count": 2**40}).__enter__()
    next(flow)
    gateway.close()
    gateway.close()  # does nothing

    def rest():
        for _ in flow:
            pass

    assert _fails(FlowError, rest).code is grpc.StatusCode.CANCELLED
    with pytest.raises(RuntimeError, match="closed"):
        gateway.take()
    assert not [t for t in threading.enumerate() if t.name == "zioflow native"]


def test_what_a_native_peer_cannot_do(program):
    with Gateway(program.router) as gateway:
        with pytest.raises(NotImplementedError, match="handle by gRPC"):
            gateway.handle("name", print)
        with pytest.raises(NotImplementedError, match="decline"):
            gateway.offer(1, zioflow.Direction.INJECT).decline()
        with pytest.raises(ValueError, match="a token is for gRPC"):
            Gateway(program.router, token="t")
        error = _fails(
            FlowError, lambda: _enters(gateway.offer(1, zioflow.Direction.INJECT).take())
        )
        assert error.reason is EndReason.REJECTED


def test_the_wrong_port(program):
    for address in (f"tcp://{program.address}", program.server):
        with Gateway(address) as gateway:
            error = _fails(FlowError, lambda gateway=gateway: _enters(gateway.take()))
            assert error.code is grpc.StatusCode.UNAVAILABLE
            assert error.detail.startswith(f"{address} is not an address of a gateway's")
    with Gateway("tcp://127.0.0.1") as gateway:
        with pytest.raises(ValueError, match="is no address"):
            _enters(gateway.give())


@pytest.mark.parametrize("transport", _TRANSPORTS[1:])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_gateway_that_goes_away_ends_its_flows(tmp_path, how, transport):
    with contextlib.ExitStack() as stack:

        def start(**addresses):
            (tmp_path / "ready.json").unlink(missing_ok=True)
            program = Program(tmp_path, **addresses)
            stack.callback(program.process.wait)
            stack.callback(program.process.kill)
            return program

        flag = {"native": "router", "client": "server"}[transport]
        program = start(**{flag: "tcp://127.0.0.1:0"})
        address, options = getattr(program, flag), {"silence": 2}
        if transport == "client":
            options["client"] = True
        gateway = stack.enter_context(Gateway(address, **options))
        taker = gateway.take({"builtin": "generate", "count": 2**40}, credit=4)
        giver = gateway.give({"builtin": "dump"}, credit=4)
        for flow in (taker, giver):
            flow.__enter__()
            stack.callback(flow.__exit__, KeyError, KeyError(), None)
        taken = [next(taker).seqno for _ in range(10)]
        for n in range(10):
            giver.put(b"%d" % n)
        program.process.send_signal(how)

        def rest():
            for dat in taker:
                taken.append(dat.seqno)

        def more():
            while True:
                giver.put(b"x")

        for error in (_fails(FlowError, rest), _fails(FlowError, more)):
            assert error.reason is EndReason.PEER_GONE
            assert error.detail.startswith(f"the connection to {address} was lost")
        assert taken == list(range(1, len(taken) + 1))
        program.process.kill()
        program.process.wait()
        error = _fails(FlowError, lambda: _enters(gateway.take()))
        assert error.code is grpc.StatusCode.UNAVAILABLE
        start(**{flag: address})
        assert gateway.put_all([b"1", b"2"], {"builtin": "dump"}).messages == 2
