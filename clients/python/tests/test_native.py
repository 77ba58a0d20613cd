"""zioflow at the address for ZeroMQ: what it does by gRPC, it does there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys

import grpc
import pytest
import zmq
from conftest import Program

import zioflow.native
from zioflow import Direction, EndReason, FlowEnded, FlowError, Gateway, Taker
from zioflow.native import Curve

_PATIENCE = 20

#: How often a gateway is lost once more: in the soak.
_RESTARTS = int(os.environ.get("ZIOFLOW_RESTARTS", "0"))

#: CLIENT sockets are ZeroMQ's drafts, which a pyzmq has that was built with them.
_TRANSPORTS = ["grpc", "native", *(["client"] if zmq.has("draft") else [])]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A gateway that is reached both ways, where something takes and gives in any flow."""
    program = Program(
        tmp_path_factory.mktemp("both"),
        "--default-routes",
        "--handler-wait=100ms",
        router="tcp://127.0.0.1:0",
        server="tcp://127.0.0.1:0",
    )
    yield program
    program.stop()


@pytest.fixture
async def native(no_leaks, program):
    async with Gateway(program.router) as gateway:
        yield gateway


@pytest.fixture(params=_TRANSPORTS)
async def either(no_leaks, program, request):
    """A Gateway by gRPC, then one by ZeroMQ: one address is all that differs."""
    addresses = {"grpc": program.address, "native": program.router, "client": program.server}
    options = {"client": True} if request.param == "client" else {}
    async with Gateway(addresses[request.param], **options) as gateway:
        yield gateway


@contextlib.asynccontextmanager
async def _handling(program, name, handle):
    """Has flows whose attribute `to` is the name be handled natively, by their cid."""
    async with Gateway(program.address) as listening, Gateway(program.router) as flows:

        async def handler(offer):
            await handle(flows.offer(offer.delegate(), offer.direction))

        match = f"attributes.to == '{name}'"
        async with listening.handle(name, handler, match=match) as listener:
            yield listener


async def _fails(kind, work):
    with pytest.raises(kind) as caught:
        await asyncio.wait_for(work, _PATIENCE)
    return caught.value


async def _enters(flow):
    async with flow:
        pass


def test_the_address_chooses():
    for address in ("tcp://127.0.0.1:5556", "ipc:///tmp/gateway"):
        assert type(Gateway(address)) is zioflow.native.Gateway
    for address in ("127.0.0.1:7575", "unix:///tmp/gateway", "localhost:1"):
        assert type(Gateway(address)) is Gateway
    assert type(zioflow.native.Gateway()) is zioflow.native.Gateway


@pytest.mark.parametrize("credit", [1, 2, 10, 1000])
async def test_take(either, credit):
    async with either.take({"count": 300, "size": 1000}, credit=credit) as flow:
        dats = [dat async for dat in flow]
    assert flow.bot.credit == credit
    assert flow.bot.direction is Direction.EXTRACT
    assert [dat.seqno for dat in dats] == list(range(1, 301))
    assert {len(dat.payload[0]) for dat in dats} == {1000}
    assert flow.eot.attributes == {}


async def test_get_and_put(either):
    dats = [dat async for dat in either.get({"count": 30, "size": 7})]
    assert len(dats) == 30
    result = await either.put_all([*dats, (b"p0", ""), "text"])
    assert (result.messages, result.bytes) == (32, 30 * 7 + 2 + 4)
    assert result.bot.direction is Direction.INJECT
    assert (await either.put(b"one")).messages == 1


async def test_what_is_put_can_raise(either):
    def items():
        yield b"one"
        raise KeyError("two")

    await _fails(KeyError, either.put_all(items()))


async def test_the_largest_message(either):
    (dat,) = [dat async for dat in either.get({"count": 1, "size": 64 << 20})]
    await either.put(dat)
    async with either.give() as flow:
        with pytest.raises(ValueError, match="bytes, at most"):
            await flow.put(bytes((64 << 20) + (64 << 10)))
        await flow.put(b"the flow goes on")


async def test_a_message_beyond_ones_own_limit(program):
    async with Gateway(program.router, max_message=1000) as gateway:
        error = await _fails(FlowError, anext(gateway.get({"count": 1, "size": 200_000})))
    assert error.reason is EndReason.MESSAGE_TOO_LARGE


async def test_a_native_handler_takes(either, program):
    taken = []

    async def handle(offer):
        async with offer.take({"answer": "ü"}, credit=3, payload=[b"bot"]) as flow:
            assert isinstance(flow, Taker)
            taken.extend([dat async for dat in flow])

    async with _handling(program, "takes", handle):
        async with either.give({"to": "takes"}, credit=7, origin=5) as flow:
            assert (flow.bot.credit, flow.bot.attributes) == (3, {"answer": "ü"})
            assert flow.bot.payload == (b"bot",)
            await flow.put(b"a", b"", label={"n": 2**63}, granule=6, level=8)
            await flow.put(b"b", label='{"spaced" : [1,  2]}')
    assert flow.eot.attributes == {"taken": 2}
    assert [dat.payload for dat in taken] == [(b"a", b""), (b"b",)]
    assert taken[0].attributes == {"n": 2**63}
    assert [(d.origin, d.seqno, d.level) for d in taken] == [(5, 1, 8), (5, 2, 0)]
    assert taken[0].granule == 6 and taken[1].granule > 2**50
    assert '"spaced" : [1,  2]' in taken[1].label


async def test_a_native_handler_gives(either, program):
    async def handle(offer):
        async with offer.accept(credit=2) as flow:
            for n in range(50):
                await flow.put(b"%d" % n)

    async with _handling(program, "gives", handle):
        dats = [dat async for dat in either.get({"to": "gives"})]
    assert [dat.payload[0] for dat in dats] == [b"%d" % n for n in range(50)]


async def test_a_taker_that_ends_early_says_so(either, program):
    """The giver, by the other transport or the same, learns what was used."""
    gave = asyncio.get_running_loop().create_future()

    async def handle(offer):
        try:
            async with offer.give() as flow:
                for n in range(1000):
                    await flow.put(b"%d" % n)
        except FlowEnded as error:
            gave.set_result(error)

    async with _handling(program, "early", handle):
        async with either.take({"to": "early"}) as flow:
            assert [(await anext(flow)).payload[0] for _ in range(3)] == [b"0", b"1", b"2"]
        assert (await asyncio.wait_for(gave, _PATIENCE)).taken == 3


async def test_what_is_said_last_arrives(program, native):
    """The giver's EOT waits behind much data when its flow is over here."""
    put, left = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def handler(offer):
        try:
            async with offer.take():
                await put.wait()
            left.set_result(None)
        except FlowError as error:
            left.set_exception(error)

    match = "attributes.to == 'last'"
    async with Gateway(program.address) as gateway:
        async with gateway.handle("last", handler, match=match):
            with pytest.raises(FlowEnded) as caught:
                async with native.give({"to": "last"}) as flow:
                    for _ in range(8):
                        await flow.put(bytes(16 << 20))
                    put.set()
            assert caught.value.taken == 0
            await asyncio.wait_for(left, _PATIENCE)


async def test_a_flow_that_nobody_takes(tmp_path):
    program = Program(tmp_path, "--handler-wait=50ms", router="tcp://127.0.0.1:0")
    with contextlib.closing(program):
        errors = []
        for address in (program.address, program.router):
            async with Gateway(address) as gateway:
                errors.append(await _fails(FlowError, _enters(gateway.give({"to": "nobody"}))))
                async with gateway.give({"builtin": "dump"}):  # the next one works
                    pass
    by_grpc, by_zeromq = ((e.reason, e.detail, e.code, e.retry_after) for e in errors)
    assert by_zeromq == by_grpc
    assert by_zeromq[0] is EndReason.NO_HANDLER


@pytest.mark.parametrize("label", ["[1]", "{", '{"flow":"DAT","flow":"DAT"}'])
async def test_a_label_that_makes_no_sense_ends_the_flow(either, label):
    async def give():
        async with either.give(credit=1) as flow:
            while True:
                await flow.put(b"x", label=label)

    assert (await _fails(FlowError, give())).reason is EndReason.PROTOCOL_ERROR


@pytest.mark.parametrize("label", ['{"flow":"EOT"}', {"flow": "BOT"}, '{"fl\\u006fw":"PAY"}'])
async def test_a_label_of_another_message_is_refused(native, label):
    async with native.give() as flow:
        with pytest.raises(ValueError, match="the label of a DAT says flow"):
            await flow.put(b"x", label=label)
        await flow.put(b"the flow goes on")


async def test_a_bots_label_that_makes_no_sense_is_refused(native):
    with pytest.raises(ValueError, match="the BOT's label"):
        native.give(label="[1]")


@pytest.mark.parametrize("at", ["entering", "waiting", "putting"])
async def test_cancelled_it_leaves_nothing_behind(native, program, at):
    entered = asyncio.Event()

    async def handle(offer):
        if at == "entering":
            entered.set()
            await asyncio.Event().wait()
        async with offer.accept(credit=1) as flow:
            await asyncio.wait({asyncio.ensure_future(flow._until_done())})

    async def client():
        flow = native.give({"to": at}) if at == "putting" else native.take({"to": at})
        async with flow:
            if at == "putting":
                await flow.put(b"one")
            entered.set()
            await (flow.put(b"two") if at == "putting" else anext(flow))

    with contextlib.suppress(asyncio.CancelledError, FlowError):
        async with _handling(program, at, handle):
            running = asyncio.ensure_future(client())
            await asyncio.wait_for(entered.wait(), _PATIENCE)
            running.cancel()
            await asyncio.wait({running}, timeout=_PATIENCE)
            assert running.cancelled()
            raise asyncio.CancelledError  # so that the handlers end as well
    assert not native._transport._streams


async def test_leaving_the_gateway_breaks_its_flows_off(program):
    async with Gateway(program.router) as gateway:
        flow = await gateway.give().__aenter__()
    error = await _fails(FlowError, flow.put(b"x"))
    assert error.code is grpc.StatusCode.CANCELLED


async def test_many_flows_at_once(native):
    """More than the sockets that ZeroMQ has by itself: 1,023, of which a flow has two."""
    async with contextlib.AsyncExitStack() as stack:
        entering = [
            stack.enter_async_context(native.take({"count": 2}, credit=1)) for _ in range(600)
        ]
        flows = await asyncio.gather(*entering)
        for flow in flows:
            assert len([dat async for dat in flow]) == 2


def test_what_a_native_peer_cannot_do(program):
    gateway = Gateway(program.router)
    with pytest.raises(NotImplementedError, match=r"exec route or connect to it .* or handle by"):
        gateway.handle("name", None)
    for options, says in (
        ({"token": "t"}, "a token is for gRPC"),
        ({"options": [("grpc.x", 1)]}, "no channel options"),
        ({"credentials": grpc.local_channel_credentials()}, "are a Curve"),
        ({"silence": 0}, "silence is 0"),
    ):
        with pytest.raises(ValueError, match=says):
            Gateway(program.router, **options)
    if not zmq.has("draft"):
        with pytest.raises(ValueError, match="this pyzmq has no CLIENT sockets"):
            Gateway(program.server, client=True)
    curve = Curve("x" * 40, "y" * 40)
    with pytest.raises(ValueError, match="credentials for gRPC are not Curve"):
        Gateway(program.address, credentials=curve)


async def test_an_offer_cannot_be_declined_natively(native):
    with pytest.raises(NotImplementedError, match="exits, with a line on standard error"):
        await native.offer(1, Direction.INJECT).decline()


async def test_a_cid_that_is_none_is_refused(native):
    error = await _fails(FlowError, _enters(native.offer(1, Direction.INJECT).accept()))
    assert error.reason is EndReason.REJECTED


def test_without_pyzmq_it_says_what_to_install():
    code = "import sys; sys.modules['zmq'] = None; import zioflow; zioflow.Gateway('tcp://h:1')"
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    says = "ImportError: ZIO over ZeroMQ needs pyzmq: pip install 'zioflow[native]'"
    assert run.stderr.splitlines()[-1].startswith(says)


async def test_nobody_there(tmp_path):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for address in (
            f"tcp://127.0.0.1:{port}",
            "tcp://no-such-host.invalid:5556",
            f"ipc://{tmp_path}/nothing",
        ):
            async with Gateway(address) as gateway:
                error = await _fails(FlowError, _enters(gateway.take()))
                assert str(error) == f"no gateway can be reached at {address}"
                assert error.code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("address", ["tcp://", "tcp://127.0.0.1"])
async def test_no_address(address):
    async with Gateway(address) as gateway:
        with pytest.raises(ValueError, match=f"^{address} is no address: "):
            await _enters(gateway.take())


async def test_the_wrong_port(program):
    for address in (f"tcp://{program.address}", program.server):
        async with Gateway(address) as gateway:
            error = await _fails(FlowError, _enters(gateway.take()))
            assert error.code is grpc.StatusCode.UNAVAILABLE
            place = "an address of a gateway's --zmq-router, for DEALER sockets"
            assert error.detail == f"{address} is not {place}"


async def test_over_ipc(tmp_path):
    with contextlib.closing(Program(tmp_path, router=f"ipc://{tmp_path}/zmq")) as program:
        async with Gateway(program.router) as gateway:
            assert (await gateway.put(b"x", {"builtin": "dump"})).messages == 1


async def test_a_connection_is_named_after_the_process(native, program):
    """Operators find a flow by it, as its own number is not told natively."""
    identities = []

    async def handler(offer):
        identities.append(offer.peer.identity)
        await offer.decline()

    match = "attributes.to == 'names'"
    async with Gateway(program.address) as gateway:
        async with gateway.handle("names", handler, match=match):
            for _ in range(2):
                await _fails(FlowError, _enters(native.give({"to": "names"})))
    assert len(set(identities)) == 2
    for identity in identities:
        assert identity.startswith(f"python-{os.getpid()}-")


_EXEC = """
import asyncio, json, os, sys
from zioflow import Direction, Gateway

async def main():
    offer = json.load(sys.stdin)
    async with Gateway(os.environ["ZIO_GATEWAY_ZMQ_ROUTER"]) as gateway:
        offer = gateway.offer(int(os.environ["ZIO_GATEWAY_CID"]), Direction(offer["direction"]))
        async with offer.accept() as flow:
            known = flow.bot.flow_id == int(os.environ["ZIO_GATEWAY_FLOW"]) > 0
            async for dat in flow:
                print("the command took", dat.payload, known, flush=True)

asyncio.run(main())
"""


async def test_a_command_of_an_exec_route(tmp_path):
    script, routes = tmp_path / "command.py", tmp_path / "routes.yaml"
    script.write_text(f"import sys; sys.path[:0] = {sys.path!r}\n{_EXEC}")
    command = [sys.executable, "-W", "error", str(script)]
    routes.write_text(
        f"routes:\n- name: command\n  match: attributes.to == 'command'\n"
        f"  exec: {{command: {command!r}}}\n"
    )
    flags = [f"--config={routes}", "--pending-timeout=20s"]
    with contextlib.closing(Program(tmp_path, *flags, router="tcp://127.0.0.1:0")) as program:
        async with Gateway(program.router) as gateway:
            result = await gateway.put_all([b"one", b"two"], {"to": "command"})
        assert result.eot_label == '{"flow":"EOT","taken":2}'
    log = (tmp_path / "log").read_text()
    assert "the command took (b'two',) True" in log


# What becomes of a flow whose gateway goes away.


@contextlib.contextmanager
def _restarting(tmp_path):
    """Gateways that follow one another at one address."""
    with contextlib.ExitStack() as stack:

        def start(router="tcp://127.0.0.1:0"):
            (tmp_path / "ready.json").unlink(missing_ok=True)
            program = Program(tmp_path, router=router)
            stack.callback(program.process.wait)
            stack.callback(program.process.kill)
            return program

        yield start


async def _lose(gateway, program, how):
    """A taker and a giver are in the middle of their flows when the gateway goes away."""
    async with contextlib.AsyncExitStack() as stack:
        taker = gateway.take({"builtin": "generate", "count": 2**40}, credit=4)
        giver = gateway.give({"builtin": "dump"}, credit=4)
        for flow in (taker, giver):
            await flow.__aenter__()
            stack.push_async_callback(flow.__aexit__, KeyError, KeyError(), None)
        taken = [(await anext(taker)).seqno for _ in range(10)]
        for n in range(10):
            await giver.put(b"%d" % n)
        program.process.send_signal(how)

        async def rest():
            async for dat in taker:
                taken.append(dat.seqno)

        async def more():
            while True:
                await giver.put(b"x")

        failed = [await _fails(FlowError, rest()), await _fails(FlowError, more())]
    for error in failed:
        assert error.reason is EndReason.PEER_GONE
        assert error.code is grpc.StatusCode.UNAVAILABLE
        assert error.detail.startswith(f"the connection to {program.router} was lost")
    # What came is a prefix without gaps, which goes on where it was.
    assert taken == list(range(1, len(taken) + 1))
    assert failed[0].taken == len(taken)
    assert 10 <= failed[1].given <= 20


@pytest.mark.limit(100 + 30 * _RESTARTS)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_gateway_that_goes_away_ends_its_flows(tmp_path, how):
    with _restarting(tmp_path) as start:
        program = start()
        async with Gateway(program.router, silence=2) as gateway:
            for _ in range(1 + _RESTARTS):
                await _lose(gateway, program, how)
                program.process.kill()
                program.process.wait()
                error = await _fails(FlowError, _enters(gateway.give({"builtin": "dump"})))
                assert error.code is grpc.StatusCode.UNAVAILABLE
                # The next flow is opened as soon as there is a gateway.
                items = [b"1", b"2"]
                putting = gateway.put_all(items, {"builtin": "dump"}, retry=4 * _PATIENCE)
                putting = asyncio.ensure_future(putting)
                program = await asyncio.to_thread(start, router=program.router)
                assert (await putting).messages == 2
                async for dat in gateway.get({"builtin": "generate", "count": 1}):
                    assert dat.seqno == 1


async def test_a_gateway_that_stops_says_so(tmp_path):
    with _restarting(tmp_path) as start:
        program = start()
        async with Gateway(program.router) as gateway:
            with pytest.raises(FlowError) as caught:
                async with gateway.take({"builtin": "generate", "count": 2**40}) as flow:
                    await anext(flow)
                    program.terminate()
                    async for _ in flow:
                        pass
        assert caught.value.reason is EndReason.DRAINING
        program.stop()


async def test_a_native_handler_sees_that_its_gateway_is_gone(tmp_path):
    with _restarting(tmp_path) as start:
        program = start()
        ended = asyncio.get_running_loop().create_future()

        async def handle(offer):
            try:
                async with offer.accept() as flow:
                    async for _ in flow:
                        pass
            except FlowError as error:
                ended.set_result(error)

        with contextlib.suppress(FlowError):
            async with _handling(program, "kept", handle), Gateway(program.router) as gateway:
                async with gateway.give({"to": "kept"}) as flow:
                    await flow.put(b"x")
                    program.process.kill()
                    await asyncio.wait_for(asyncio.wait({ended}), _PATIENCE)
        assert ended.result().reason is EndReason.PEER_GONE


def test_in_a_forked_process(program):
    """A line that says so, and not a program that hangs."""
    code = (
        "import asyncio, os, sys, zioflow, zioflow.sync\n"
        "def child(gateway):\n"
        "    if os.fork() == 0:\n"
        "        try: gateway.give()\n"
        "        except RuntimeError as error: print(error, flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "async def main():\n"
        "    async with zioflow.Gateway(sys.argv[1]) as gateway:\n"
        "        await gateway.put(b'x')\n"
        "        child(gateway)\n"
        "asyncio.run(main())\n"
        "with zioflow.sync.Gateway(sys.argv[1]) as gateway:\n"
        "    gateway.put(b'x')\n"
        "    child(gateway)\n"
    )
    command = [sys.executable, "-c", code, program.router]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30)
    lines = run.stdout.splitlines()
    assert len(lines) == 2, run.stderr
    for line in lines:
        assert line.startswith("this Gateway was made in process ")


# Keys.


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """A gateway that asks for CURVE, and the folder of its keys and alice's."""
    directory = tmp_path_factory.mktemp("secured")
    keys = directory / "keys"

    def keygen(*arguments):
        command = [Program.binary(), "keygen", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    keygen("server", str(keys))
    identities = keygen("identity", str(keys), "alice", "--role", "client")
    (keys / "identities.yaml").write_text("identities:\n" + identities)
    keygen("curve", str(keys / "mallory.curve"))
    program = Program(
        directory,
        f"--zmq-curve-key={keys}/server.curve",
        f"--identities={keys}/identities.yaml",
        f"--tls-cert={keys}/server.pem",
        f"--tls-key={keys}/server.key",
        router="tcp://127.0.0.1:0",
    )
    yield program, keys
    program.stop()


def _curve(keys, server="server.curve.pub", own="alice.curve"):
    return Curve((keys / server).read_text(), (keys / own).read_text())


async def test_keys(secured):
    program, keys = secured
    async with Gateway(program.router, credentials=_curve(keys)) as gateway:
        assert (await gateway.put(b"x", {"builtin": "dump"})).messages == 1


@pytest.mark.parametrize(
    "server, own, says",
    [
        ("server.curve.pub", "mallory.curve", "refused the keys, or has another server_key"),
        ("alice.curve.pub", "alice.curve", "refused the keys, or has another server_key"),
        (None, None, "asks for CURVE keys: credentials=Curve(...)"),
    ],
)
async def test_keys_that_are_wrong_or_missing(secured, server, own, says):
    program, keys = secured
    credentials = _curve(keys, server, own) if server else None
    async with Gateway(program.router, credentials=credentials) as gateway:
        error = await _fails(FlowError, _enters(gateway.take()))
    unknown = "UNAVAILABLE" if server else "UNAUTHENTICATED"
    assert error.code is grpc.StatusCode[unknown]
    assert says in error.detail


async def test_keys_where_none_are_asked_for(secured, program):
    async with Gateway(program.router, credentials=_curve(secured[1])) as gateway:
        error = await _fails(FlowError, _enters(gateway.take()))
    assert error.detail.endswith("has no CURVE: leave out the credentials")


def test_what_is_no_key(secured):
    server, own = ((secured[1] / name).read_text() for name in ("server.curve.pub", "alice.curve"))
    public = (secured[1] / "alice.curve.pub").read_text()
    assert Curve(server, own).public_key == public.strip()
    assert Curve(server, own, public) == Curve(server, own)
    assert own.strip() not in repr(Curve(server, own))
    for keys, says in (
        ((server[:39], own), "server_key is no key of CURVE: want 40 characters of Z85, has 39"),
        ((server, '"' * 40), "secret_key is no key of CURVE"),
        ((server, "é" * 40), "secret_key is no key of CURVE"),
        ((server, own, server), "public_key does not belong to secret_key"),
    ):
        with pytest.raises(ValueError, match=says):
            Curve(*keys)
