"""Factories of ZIO's, behind the real gateway, with native peers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import types

import grpc
import pytest
import zmq
from conftest import Program
from native import PATIENCE, Dealer, Handlers

from zioflow import FlowError
from zioflow.zio import Broker, GatewayExited, Message, serve


@pytest.fixture
def factory(native_program):
    return Handlers(native_program.router)


@pytest.fixture
def own(monkeypatch):
    """The arguments of a gateway of one's own that native peers reach by DEALER."""
    monkeypatch.setenv("ZIO_GATEWAY", str(Program.binary()))
    return {"flags": ["--zmq-router=tcp://127.0.0.1:0"]}


@pytest.fixture
def start(tmp_path):
    """Starts gateways of a test's own, in one folder, which end with it."""
    with contextlib.ExitStack() as stack:

        def start(*flags, router="tcp://127.0.0.1:0", **addresses):
            (tmp_path / "ready.json").unlink(missing_ok=True)
            program = Program(tmp_path, *flags, router=router, **addresses)
            stack.callback(program.stop)
            return program

        yield start


def _router(service) -> str:
    _server, router = service.addresses
    return router


def test_a_flow_with_a_handler_of_the_factory(native_program, factory):
    with serve(native_program.address, factory), Dealer(native_program.router) as client:
        answer, _ = client.opens("extract", 4, run=7)
        assert answer == {"flow": "BOT", "direction": "inject", "credit": 4, "run": 7}
        client.give([b"one", b"two", b"three", b"four", b"five"])
    assert factory.taken == [b"one", b"two", b"three", b"four", b"five"]
    assert factory.stopped == 1


def test_the_factory_gets_the_bot_as_a_handler_has_to_send_it(native_program, factory):
    with serve(native_program.address, factory), Dealer(native_program.router) as client:
        bot = Message(payload=[b"p0", b""], origin=5, granule=6, level=3)
        bot.label_object = {
            "flow": "BOT", "direction": "inject", "credit": 3, "text": "é", "n": 2**63
        }  # fmt: skip
        client.send(bot)
        client.expect("EOT")
    (got,) = factory.bots
    label = got.label_object
    cid = label.pop("cid")
    assert type(cid) is int and 0 < cid < 2**53
    assert label == {"flow": "BOT", "direction": "extract", "credit": 3, "text": "é", "n": 2**63}
    assert (got.payload, got.origin, got.granule, got.seqno) == ([b"p0", b""], 5, 6, 0)
    assert (got.level, got.form, got.routing_id) == (3, "FLOW", 0)


def test_a_refusal_is_told_at_once(native_program, factory):
    times = []
    with serve(native_program.address, factory), Dealer(native_program.router) as client:
        for _ in range(11):
            answer, took = client.opens("inject")
            times.append(took)
            assert answer == {
                "flow": "EOT", "error": "rejected", "detail": "the factory refused it"
            }  # fmt: skip
    assert sorted(times)[5] < 0.1  # a few milliseconds, on a machine that does nothing else


@pytest.mark.parametrize(
    "error, detail",
    [
        (KeyError("stream"), "KeyError: 'stream'"),
        (ValueError(), "ValueError"),
        (OSError("é" * 2000), "OSError: " + "é" * 506 + "…"),
    ],
)
def test_what_the_factory_raises_is_the_reason(native_program, caplog, error, detail):
    def factory(_):
        raise error

    with serve(native_program.address, factory), Dealer(native_program.router) as client:
        answer, _ = client.opens("extract")
    assert answer == {"flow": "EOT", "error": "rejected", "detail": detail}
    # asyncio may log what grpc.aio leaves behind when one of several event loops ends.
    (record,) = (r for r in caplog.records if (r.name, r.levelname) == ("zioflow", "ERROR"))
    assert record.exc_info[1] is error


class _Speechless(Exception):
    def __str__(self):
        raise ValueError("no words")


@pytest.mark.parametrize(
    "error, detail",
    [
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "CancelledError"),
        (_Speechless(), "_Speechless"),
    ],
)
def test_nothing_that_a_factory_raises_ends_the_server(native_program, error, detail):
    def factory(message):
        if message.label_object["bad"]:
            raise error
        return False

    with serve(native_program.address, factory) as server:
        with Dealer(native_program.router) as client:
            answer, _ = client.opens("extract", bad=True)
            assert answer == {"flow": "EOT", "error": "rejected", "detail": detail}
            answer, _ = client.opens("extract", bad=False)
            assert answer["detail"] == "the factory refused it"
        with pytest.raises(TimeoutError):
            server.wait(0)


def test_what_would_end_the_program_refuses_the_bot_first(native_program):
    def factory(_):
        sys.exit(3)

    with (
        Broker(native_program.address, factory) as broker,
        Dealer(native_program.router) as client,
    ):
        client.say("BOT", direction="extract", credit=1)
        with pytest.raises(SystemExit):
            broker.poll(PATIENCE * 1000)
        assert client.expect("EOT")["detail"] == "SystemExit: 3"


def test_an_answer_whose_truth_cannot_be_told_is_a_refusal(native_program):
    class Unclear:
        def __bool__(self):
            raise ValueError("more than one truth")

    with (
        Broker(native_program.address, lambda _: Unclear()) as broker,
        Dealer(native_program.router) as client,
    ):
        client.say("BOT", direction="extract", credit=1)
        with pytest.raises(ValueError, match="more than one truth"):
            broker.poll(PATIENCE * 1000)
        assert client.expect("EOT")["detail"] == "ValueError: more than one truth"


def test_a_bot_that_is_too_large_is_refused_unseen(native_program):
    seen = []
    options = {"max_message": 100_000}
    with (
        serve(native_program.address, seen.append, **options),
        Dealer(native_program.router) as client,
    ):
        client.say("BOT", bytes(200_000), direction="extract", credit=1)
        assert client.expect("EOT")["detail"] == "the BOT has 200000 bytes, more than max_message"
    assert not seen


def test_poll_judges_one_bot(native_program, factory):
    with (
        Broker(native_program.address, factory) as broker,
        Dealer(native_program.router) as one,
        Dealer(native_program.router) as other,
    ):
        one.say("BOT", direction="extract", credit=1)
        broker.poll()
        assert one.expect("BOT")["credit"] == 1
        one.give([b"x"])
        for client in (one, other):
            client.say("BOT", direction="inject", credit=1)
        for n in (2, 3):
            with pytest.raises(RuntimeError, match='the factory refused {.*"flow": "BOT"'):
                broker.poll(PATIENCE * 1000)
            assert len(factory.bots) == n
        for client in (one, other):
            assert client.expect("EOT")["error"] == "rejected"
    assert factory.taken == [b"x"]


def test_poll_says_when_none_came(native_program, factory):
    with Broker(native_program.address, factory) as broker:
        for timeout in (0, 50):
            begun = time.monotonic()
            with pytest.raises(TimeoutError, match=f"no BOT came within {timeout} ms"):
                broker.poll(timeout)
            assert timeout / 1000 <= time.monotonic() - begun < PATIENCE
    with pytest.raises(ValueError, match="has been stopped"):
        broker.poll(0)


def test_poll_ends_when_another_thread_stops_the_broker(native_program, factory):
    def poll():
        with pytest.raises(ValueError, match="has been closed"):
            broker.poll()
        ended.set()

    ended = threading.Event()
    broker = Broker(native_program.address, factory)
    thread = threading.Thread(target=poll)
    thread.start()
    broker._listening.close()
    assert ended.wait(PATIENCE)
    thread.join()
    broker.stop()


def test_poll_calls_the_factory_in_its_own_thread_and_raises_what_it_does(native_program):
    threads = []

    def factory(_):
        threads.append(threading.current_thread())
        raise LookupError("mine")

    with Broker(native_program.address, factory) as broker, Dealer(native_program.router) as client:
        client.say("BOT", direction="extract", credit=1)
        with pytest.raises(LookupError, match="mine"):
            broker.poll(PATIENCE * 1000)
        assert client.expect("EOT")["detail"] == "LookupError: mine"
    assert threads == [threading.current_thread()]


def test_one_call_at_a_time_or_as_many_as_asked_for(native_program):
    for threads in (1, 2):
        calls, go_on = queue.Queue(), threading.Semaphore(0)

        def factory(bot, calls=calls, go_on=go_on):
            calls.put(bot)
            return not go_on.acquire(timeout=PATIENCE)

        with (
            serve(native_program.address, factory, threads=threads),
            Dealer(native_program.router) as one,
            Dealer(native_program.router) as other,
        ):
            for client in (one, other):
                client.say("BOT", direction="extract", credit=1)
            for _ in range(threads):
                calls.get(timeout=PATIENCE)
            if threads == 1:
                with pytest.raises(queue.Empty):
                    calls.get(timeout=0.2)  # the other one waits
            go_on.release(2)
            for client in (one, other):
                client.expect("EOT")
    with pytest.raises(ValueError, match="threads"):
        serve(native_program.address, factory, threads=0)


def test_a_factory_that_is_too_slow_costs_its_own_client_only(start, caplog):
    program = start("--pending-timeout=1s")
    factory = Handlers(program.router)
    with Broker(program.address, factory) as broker, Dealer(program.router) as client:
        client.say("BOT", direction="extract", credit=1)
        request = broker._listening.next(PATIENCE)
        assert client.expect("EOT")["error"] == "handler_timeout"
        _wait_until(lambda: request.gone)
        assert request.ask(factory) is None  # too late: its handler is turned away
        assert "it was too slow" in caplog.text
        client.say("BOT", direction="extract", credit=1)
        broker.poll(PATIENCE * 1000)
        client.expect("BOT")
        client.give([b"x"])
    assert factory.taken == [b"x"]


def test_what_waits_for_the_factory_is_forgotten_with_its_client(native_program, factory):
    with Broker(native_program.address, factory) as broker:
        with Dealer(native_program.router) as client:
            client.say("BOT", direction="extract", credit=1, run="left")
            client.say("EOT")
            client.expect("EOT")
        with Dealer(native_program.router) as client:
            client.say("BOT", direction="extract", credit=1, run="stays")
            broker.poll(PATIENCE * 1000)
            client.expect("BOT")
            client.give([])
    assert [bot.label_object["run"] for bot in factory.bots] == ["stays"]


def test_match_says_which_flows(native_program, factory):
    mine = {"match": "attributes.stream == 'mine'", "name": "mine"}
    with (
        serve(native_program.address, factory, **mine),
        Dealer(native_program.router) as client,
    ):
        answer, _ = client.opens("extract", stream="other")
        assert answer["error"] == "no_handler"
        answer, _ = client.opens("extract", stream="mine")
        assert answer["flow"] == "BOT"
        client.give([])
    with pytest.raises(FlowError, match="match") as caught:
        serve(native_program.address, factory, match="no such thing")
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_gateway_that_is_not_there():
    with pytest.raises(FlowError) as caught:
        serve("127.0.0.1:1", print)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


def test_a_gateway_that_restarts_finds_the_factory_again(start):
    program = start()
    factory = Handlers(program.router)
    with serve(program.address, factory) as server, Dealer(program.router) as client:
        for n in range(2):
            answer, _ = client.opens("extract", run=n)
            assert answer["flow"] == "BOT"
            client.give([b"x"])
            if n == 0:
                program.stop()
                start(router=program.router, grpc=program.address)
        with pytest.raises(TimeoutError):
            server.wait(0)
        factory.stop()
    assert factory.taken == [b"x", b"x"]
    server.wait()  # it has been stopped: no error


def test_a_gateway_of_ones_own(own):
    factory = Handlers("")
    with Broker("tcp://127.0.0.1:0", factory, **own) as broker:
        factory.address = _router(broker)
        assert broker.addresses[0].startswith("tcp://127.0.0.1:")
        with Dealer(_router(broker)) as client, Dealer(_router(broker)) as late:
            client.say("BOT", direction="extract", credit=1)
            broker.poll(PATIENCE * 1000)
            client.expect("BOT")
            client.give([b"x"])
            late.say("BOT", direction="extract", credit=1)
            broker._listening._requests.put(broker._listening.next(PATIENCE))  # it has come
            broker.stop()
            assert late.expect("EOT")["error"] == "draining"
    assert factory.taken == [b"x"]
    assert factory.stopped == 1
    assert broker._program._process.returncode == 0


def _wait_until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # nothing tells


def _is_free(address: str) -> bool:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    with socket.socket() as s:
        return s.connect_ex((host, int(port))) != 0


def test_the_gateway_is_stopped_though_the_factory_fails_to(own):
    class Factory:
        def __call__(self, _):
            return False

        def stop(self):
            raise OSError("cannot stop")

    server = serve("tcp://127.0.0.1:0", Factory(), **own)
    with pytest.raises(OSError, match="cannot stop"):
        server.stop()
    assert server._program._process.returncode == 0


def test_a_gateway_of_ones_own_that_ends(own, caplog):
    broker = Broker("tcp://127.0.0.1:0", print, **own)
    server = serve("tcp://127.0.0.1:0", print, **own)
    for service in (broker, server):
        service._program._process.kill()
    with pytest.raises(GatewayExited, match="has ended with status -9") as caught:
        broker.poll(PATIENCE * 1000)
    assert not isinstance(caught.value, RuntimeError)  # which says that a BOT was refused
    with pytest.raises(GatewayExited, match="has ended with status -9"):
        server.wait(PATIENCE)
    broker.stop()
    server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="it asks /proc")
def test_a_gateway_of_ones_own_is_no_node_unless_it_is_told_to(own, monkeypatch):
    def node(broker):
        environment = pathlib.Path(f"/proc/{broker._program._process.pid}/environ").read_bytes()
        return [v for v in environment.split(b"\0") if v.startswith(b"ZIO_GATEWAY_NODE=")]

    with Broker("tcp://127.0.0.1:0", print, **own) as broker:
        assert node(broker) == [b"ZIO_GATEWAY_NODE=none"]
    monkeypatch.setenv("ZIO_GATEWAY_NODE", "mine")
    with Broker("tcp://127.0.0.1:0", print, **own) as broker:
        assert node(broker) == [b"ZIO_GATEWAY_NODE=mine"]


def test_ctrl_c_is_for_the_program_alone(own):
    with Broker("tcp://127.0.0.1:0", print, **own) as broker:
        process = broker._program._process
        assert os.getpgid(process.pid) != os.getpgid(0)


def test_a_gateway_ends_with_the_program_that_has_started_it(own):
    code = """if True:
        from zioflow.zio import Broker
        broker = Broker("tcp://127.0.0.1:0", print)
        print(broker.addresses[0], flush=True)
        while True:
            broker.poll()
    """
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    ) as program:
        address = program.stdout.readline().strip()
        assert not _is_free(address)
        program.send_signal(signal.SIGKILL)
    _wait_until(lambda: _is_free(address))


def test_no_program_and_one_that_does_not_start(own, monkeypatch, tmp_path):
    with pytest.raises(GatewayExited, match="did not start:\n(.*\n)*.*unknown flag --nonsense"):
        Broker("tcp://127.0.0.1:0", print, flags=["--nonsense"])
    with pytest.raises(FileNotFoundError, match="there is no gateway program nowhere/gateway"):
        Broker("tcp://127.0.0.1:0", print, gateway="nowhere/gateway")
    monkeypatch.delenv("ZIO_GATEWAY")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no program `gateway` on the PATH"):
        Broker("tcp://127.0.0.1:0", print)
    program = tmp_path / "gateway"
    program.symlink_to(Program.binary())
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    Broker("tcp://127.0.0.1:0", print).stop()


class Port:
    """What `Broker` knows of a port of ZIO's, on stock pyzmq."""

    def __init__(self, kind: int = zmq.ROUTER) -> None:
        self.sock = zmq.Context.instance().socket(kind)
        self.bound: list[str] = []

    def bind(self) -> str:
        port = self.sock.bind_to_random_port("tcp://127.0.0.1")
        self.bound.append(f"tcp://127.0.0.1:{port}")
        return self.bound[0]

    def recv(self, timeout=None):
        if not self.sock.poll(timeout):
            return None
        identity, _, *parts = self.sock.recv_multipart()
        message = Message.of(parts)
        message.routing_id = identity
        return message

    def send(self, message) -> None:
        self.sock.send_multipart([message.routing_id, b"", *message.toparts()])


def test_the_address_of_a_port_of_zios_is_taken_over(own):
    port = Port()
    address = port.bind()
    factory = Handlers(address)
    with Dealer(address) as client:
        client.say("BOT", direction="extract", credit=1)
        assert port.sock.poll(PATIENCE * 1000)  # it has come, to nobody
        with Broker(port, factory) as broker:
            assert broker.addresses == (address,)
            assert client.expect("EOT")["error"] == "draining"
            client.say("BOT", direction="extract", credit=1)
            broker.poll(PATIENCE * 1000)
            client.expect("BOT")
            client.give([b"x"])
    assert factory.taken == [b"x"]
    assert port.bound == []  # so that its node can go offline


def test_a_port_has_to_be_bound_and_a_servers(own):
    for port, words in ((Port(), "not bound"), (Port(zmq.DEALER), "SERVER or a ROUTER")):
        with pytest.raises(ValueError, match=words):
            Broker(port, print)
        port.sock.close()
    with pytest.raises(TypeError, match="a port of ZIO's, not int"):
        Broker(5678, print)


def test_with_zio_the_factory_gets_its_messages(native_program, monkeypatch):
    class Theirs:
        def __init__(self, *, parts):
            self.parts = parts

    module = types.ModuleType("zio.message")
    module.Message = Theirs
    monkeypatch.setitem(sys.modules, "zio.message", module)
    bots = []
    with serve(native_program.address, bots.append), Dealer(native_program.router) as client:
        client.opens("extract")
    (bot,) = bots
    assert type(bot) is Theirs
    assert Message.of(bot.parts).label_object["direction"] == "inject"


def test_messages_have_zios_form():
    # The example of the protocol's description.
    message = Message(label='{"flow":"DAT"}', origin=42, granule=1, seqno=2, payload=[b"Hi"])
    parts = message.toparts()
    assert parts[0] == bytes.fromhex("5a494f30464c4f57") + b'{"flow":"DAT"}'
    assert parts[1] == bytes.fromhex("2a0000000000000001000000000000000200000000000000")
    assert parts[2:] == [b"Hi"]
    assert Message.of(parts) == message
    assert Message().label_object == {}


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"ZIO0FLOW{}"],
        [b"ZIO0FLO", bytes(24)],
        [b"ZIP0FLOW", bytes(24)],
        [b"ZIO9FLOW", bytes(24)],
        [b"ZIO0FLOW", bytes(23)],
        [b"ZIO0FLOW\xff", bytes(24)],
    ],
)
def test_what_is_no_message(parts):
    with pytest.raises(ValueError):
        Message.of(parts)


@pytest.mark.parametrize("label", ["[]", "null", "{"])
def test_a_label_that_is_no_object(label):
    with pytest.raises(ValueError):
        _ = Message(label=label).label_object


def test_importing_it_needs_neither_zio_nor_zeromq():
    code = (
        "import sys; sys.modules['zmq'] = sys.modules['zio'] = None; import zioflow.zio;"
        "zioflow.zio.Message().toparts()"
    )
    environment = {"PYTHONPATH": str(pathlib.Path(__file__).parents[1] / "src")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=30)
