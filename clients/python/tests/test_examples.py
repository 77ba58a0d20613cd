"""The examples, as programs, each with a native client."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import Program
from native import PATIENCE, Dealer

_EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


@contextlib.contextmanager
def _running(example: str, *arguments: str):
    """The lines that an example prints; it is interrupted in the end, and ends."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(_EXAMPLES / example), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    lines = queue.Queue()

    def read():
        for line in process.stdout:
            lines.put(line.rstrip("\n"))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield lambda: lines.get(timeout=PATIENCE)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            reader.join()
            errors = process.stderr.read()
            process.stdout.close()
            process.stderr.close()
    assert "KeyboardInterrupt" in errors.splitlines()[-1], errors


def _give(client: Dealer) -> None:
    """A flow of two DATs."""
    answer, _ = client.opens("extract", 10)
    assert (answer["flow"], answer["direction"], answer["credit"]) == ("BOT", "inject", 10)
    credit = client.expect("PAY")["credit"]
    assert credit == 10
    client.say("DAT", b"one", n=1)
    client.say("DAT", b"two", n=2)
    client.say("EOT")
    while client.recv().label_object["flow"] == "PAY":
        pass


def test_dumper(native_program):
    with (
        _running("dumper.py", native_program.address) as line,
        Dealer(native_program.router) as client,
    ):
        assert line() == "dumper listens"
        _give(client)
        printed = [line() for _ in range(3)]
        flow = printed[0].partition(":")[0]
        label = [json.loads(p.split(" ", 3)[3].rpartition(" (")[0]) for p in printed[:2]]
        assert label == [{"flow": "DAT", "n": 1}, {"flow": "DAT", "n": 2}]
        assert [p.rpartition(" (")[2] for p in printed[:2]] == ["b'one',)", "b'two',)"]
        assert printed[2] == f"{flow}: EOT"
        answer, _ = client.opens("inject")
        assert answer["error"] == "no_handler"


def test_dumper_native(native_program):
    with (
        _running("dumper_native.py", native_program.address, native_program.router) as line,
        Dealer(native_program.router) as client,
    ):
        assert line() == "dumper listens"
        for _ in range(2):
            _give(client)
            assert [line().rpartition(" ")[2] for _ in range(2)] == ["[b'one']", "[b'two']"]
            assert line() == "EOT"
        answer, _ = client.opens("inject")
        assert answer["detail"] == "the factory refused it"
        assert line().startswith('the factory refused {"flow": "BOT"')
        client.opens("extract")
        client.expect("PAY")
    # The program was interrupted in the middle of a flow: its handler has said EOT.


@pytest.mark.parametrize("direction", ["extract", "inject"])
def test_dumper_exec(tmp_path, direction):
    path = "PYTHONPATH=" + ":".join(sys.path)  # a command gets nothing of the gateway's own
    command = ["/usr/bin/env", path, sys.executable, str(_EXAMPLES / "dumper_exec.py")]
    route = {"name": "dumper", "match": "direction == 'inject'", "exec": {"command": command}}
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"routes": [route]}))  # JSON is YAML
    program = Program(tmp_path, f"--config={config}", router="tcp://127.0.0.1:0")
    with contextlib.closing(program), Dealer(program.router) as client:
        if direction == "inject":
            answer, _ = client.opens("inject")
            assert answer["error"] == "no_handler"
        else:
            _give(client)
            _await(tmp_path / "log", "b'two'")
    log = (tmp_path / "log").read_text()
    for part in ("b'one'", "b'two'"):
        assert (part in log) == (direction == "extract"), log


def _await(log: pathlib.Path, words: str) -> None:
    """Waits until the log has these words."""
    deadline = time.monotonic() + PATIENCE
    while words not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)  # there is nothing to wait on but the file
