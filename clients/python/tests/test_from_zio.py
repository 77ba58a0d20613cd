"""Every block of docs/from-zio.md is run as printed: with other addresses only."""

from __future__ import annotations

import os
import pathlib
import queue
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
import types

import pytest
import zmq
from conftest import Program
from native import PATIENCE, Dealer, Handlers
from test_zio import Port

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_TEXT = (_ROOT / "docs" / "from-zio.md").read_text()
_FENCE = re.compile(
    r"^<!-- example (?P<name>[^\n]+) -->\n```\w+\n(?P<code>.*?)^```$"
    r"(\n<!-- prints -->\n```text\n(?P<prints>.*?)^```$)?",
    re.M | re.S,
)
_EXAMPLES = {match["name"]: match for match in _FENCE.finditer(_TEXT)}
_GATEWAYS = [name for name in _EXAMPLES if name.partition(":")[0] == "gateway"]


def _code(name: str, **addresses: str) -> str:
    """An example, with these addresses in place of the page's."""
    code = _EXAMPLES[name]["code"]
    for printed, address in (
        ("127.0.0.1:7575", addresses.get("grpc")),
        ("tcp://127.0.0.1:5678", addresses.get("server")),
        ("tcp://127.0.0.1:5556", addresses.get("router")),
    ):
        if address is not None:
            assert printed in code
            code = code.replace(printed, address)
    return code


def test_every_block_is_run():
    tested = {"two lines", *_GATEWAYS, "serve", "share", "dealer", "native"}
    assert set(_EXAMPLES) == tested | {"exec: routes.yaml", "exec: dumper.py"}
    assert _GATEWAYS
    printed = [name for name, match in _EXAMPLES.items() if match["prints"]]
    assert len(_EXAMPLES) + len(printed) == _TEXT.count("\n```") / 2
    assert not re.search(r"^(    |\t)", _PROSE, re.M), "a block without a fence is not run"


_PROSE = re.sub(r"^```.*?^```$", "", _TEXT, flags=re.M | re.S)


class Over(Exception):
    """Ends a loop that goes on for ever."""


class Node:
    """What the page uses of ZIO's node, on stock pyzmq: a ROUTER stands for the SERVER."""

    def __init__(self, name: str) -> None:
        assert name == "mybroker"
        self.peer = types.SimpleNamespace(drain=lambda: None, peers={"other": "node"})
        self.online = self.offline = lambda: None

    def port(self, name: str, kind: int) -> Port:
        assert (name, kind) == ("myservice", zmq.SERVER)
        port = Port()
        port.bind = lambda address: (port.sock.bind(address), port.bound.append(address))
        return port


def _free() -> str:
    """An address that nobody uses just now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{s.getsockname()[1]}"


def test_two_lines(monkeypatch, capsys):
    class MyFactory(Handlers):
        def __call__(self, bot):
            if bot.label_object.get("over"):
                raise Over
            return super().__call__(bot)

    def client():
        with Dealer(address) as peer:
            while True:  # until the broker is there
                answer, _ = peer.opens("extract", run=1)
                if answer["flow"] == "BOT":
                    break
                assert answer["error"] == "draining"
            peer.give([b"x", b"y"])
            peer.opens("inject", run=2)
            time.sleep(1.5)  # a second is what the example waits for
            answers.put(peer.opens("extract", over=True)[0])

    monkeypatch.setenv("ZIO_GATEWAY", str(Program.binary()))
    monkeypatch.setitem(sys.modules, "zio", types.SimpleNamespace(Node=Node))
    address, answers, names = _free(), queue.Queue(), {"MyFactory": MyFactory}
    code = _code("two lines").replace("tcp://127.0.0.1:5678", address)
    thread = threading.Thread(target=client)
    thread.start()
    with pytest.raises(Over):
        exec(compile(code, "from-zio.md", "exec"), names)
    thread.join()
    assert answers.get_nowait()["detail"] == "Over"
    assert names["factory"].taken == [b"x", b"y"]
    assert names["factory"].stopped == 1
    printed = capsys.readouterr().out.splitlines()
    assert [p for p in printed if p.startswith("the factory refused")] != []
    assert "no BOT for a second; peers: {'other': 'node'}" in printed


@pytest.mark.parametrize("name", _GATEWAYS)
def test_gateway(name):
    command, ready = _EXAMPLES[name]["code"].splitlines()
    program, *arguments = shlex.split(command.removeprefix("$ "))
    assert program == "bin/gateway"
    arguments = [argument.replace("5678", "0") for argument in arguments]
    elsewhere = {  # the other ports may be in use, and others listen
        "ZIO_GATEWAY_NODE": "none",
        "ZIO_GATEWAY_ZMQ_ROUTER": "tcp://127.0.0.1:0",
        "ZIO_GATEWAY_GRPC": "127.0.0.1:0",
        "ZIO_GATEWAY_HTTP": "127.0.0.1:0",
    }
    with subprocess.Popen(
        [Program.binary(), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **elsewhere},
    ) as gateway:
        line = gateway.stdout.readline().strip()
        gateway.terminate()
        gateway.communicate(timeout=PATIENCE)
    assert re.sub(r":\d+", ":…", line) == re.sub(r":\d+", ":…", ready)


def test_serve(native_program):
    names = {"MyFactory": Handlers}
    code = _code("serve", grpc=native_program.address, server=native_program.router)
    thread = threading.Thread(target=exec, args=(code, names))
    thread.start()
    with Dealer(native_program.router) as client:
        answer, _ = client.opens("extract")
        assert answer["flow"] == "BOT"
        client.give([b"x"])
    server = names["server"]
    server.stop()
    thread.join()
    assert server.factory.taken == [b"x"]


def test_share(native_program):
    raw, other = Handlers(native_program.router), Handlers(native_program.router)
    names = {"raw_factory": raw, "other_factory": other}
    exec("from zioflow.zio import serve", names)
    exec(_code("share", grpc=native_program.address), names)
    with Dealer(native_program.router) as client:
        for stream in ("raw", "cooked"):
            client.opens("extract", stream=stream)
            client.give([stream.encode()])
    for name in ("raw", "other"):
        names[name].stop()
    assert (raw.taken, other.taken) == ([b"raw"], [b"cooked"])


@pytest.mark.parametrize("example", ["dealer", "native"])
def test_a_native_client(native_program, capsys, example):
    exec(_code(example, router=native_program.router), {})
    assert capsys.readouterr().out == _EXAMPLES[example]["prints"]


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A gateway in a folder with the page's files, and with its python3 and writer."""
    for name, match in _EXAMPLES.items():
        if name.startswith("exec: "):
            (tmp_path / name.removeprefix("exec: ")).write_text(match["code"])
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"
    path = shlex.quote(":".join(sys.path))
    python.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{python.parent}:{os.environ['PATH']}")
    native = {"server": "tcp://127.0.0.1:0", "router": "tcp://127.0.0.1:0"}
    program = Program(tmp_path, "--config=routes.yaml", **native)
    yield program
    program.stop()


def test_exec_in_python(commands, tmp_path):
    lines = _EXAMPLES["exec: dumper.py"]["code"].splitlines()
    assert len([line for line in lines if line]) == 9
    with Dealer(commands.router) as client:
        answer, _ = client.opens("extract", stream="dump")
        assert answer["flow"] == "BOT", answer
        client.give([b"x"])
        deadline = time.monotonic() + PATIENCE
        while '1 {"flow": "DAT"}' not in (log := (tmp_path / "log").read_text().replace("\\", "")):
            assert time.monotonic() < deadline, log
            time.sleep(0.02)  # there is nothing to wait on but the file


def test_exec_in_cpp(commands, tmp_path):
    library = _ROOT / ".deps" / "libzmq" / "lib" / "pkgconfig" / "libzmq.pc"
    if not library.exists() or not (shutil.which("g++") and shutil.which("pkg-config")):
        pytest.skip("there is no g++, no pkg-config, or no libzmq: scripts/setup.sh libzmq")
    command = ["pkg-config", "--cflags", "--libs", str(library)]
    flags = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    source = pathlib.Path(__file__).parent / "writer.cpp"
    subprocess.run(["g++", "-o", tmp_path / "writer", source, *flags], check=True)
    with Dealer(commands.router) as client:
        answer, _ = client.opens("extract", stream="raw")
        assert answer["flow"] == "BOT", answer
        client.give([b"one", b"two", b"three"])
    assert (tmp_path / "raw.out").read_text() == "one\ntwo\nthree\n"
