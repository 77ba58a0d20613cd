"""What the README says of each mistake is what its user sees, and nothing else."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys

import pytest
from conftest import Program

_README = pathlib.Path(__file__).parents[1] / "README.md"
_ROW = re.compile(r"^\| (?P<mistake>[^|]+) \| `(?P<line>[^`]+)` \|$", re.M)


def _table() -> dict[str, str]:
    text = _README.read_text()
    section = text[text.index("## Mistakes") :]
    return {m["mistake"]: m["line"] for m in _ROW.finditer(section)}


#: Provokes each, by both kinds of Gateway. Runs in a process of its own, whose standard
#: error shows whatever gRPC's C core has to say.
_PROVOKE = """
import asyncio, json, os, sys
import zioflow
from zioflow import sync, tls

at = json.load(sys.stdin)

async def use(kind, work, *where, **options):
    if kind == "sync":
        with sync.Gateway(*where, **options) as gateway:
            return work(gateway)
    async with zioflow.Gateway(*where, **options) as gateway:
        result = work(gateway)
        if hasattr(result, "__aiter__"):
            return [dat async for dat in result]
        return await result

def put(gateway):
    return gateway.put(b"x", {"builtin": "dump"})

def get(size):
    def get(gateway):
        dats = gateway.get({"builtin": "generate", "count": 1, "size": size})
        return list(dats) if hasattr(dats, "__iter__") else dats
    return get

def open_flow(gateway, attributes):
    if isinstance(gateway, sync.Gateway):
        return gateway.give(attributes).__enter__()
    return gateway.give(attributes).__aenter__()

async def in_a_fork(kind):
    reader, writer = os.pipe()

    def fork(gateway):
        if os.fork() == 0:
            try:
                gateway.give()
                line = "nothing"
            except BaseException as error:
                line = str(error)
            os.write(writer, line.encode())
            os._exit(0)
        os.wait()

    async def used(gateway):
        await put(gateway)
        fork(gateway)

    def both(gateway):
        if isinstance(gateway, zioflow.Gateway):
            return used(gateway)
        put(gateway)
        fork(gateway)

    await use(kind, both, at["plain"])
    os.close(writer)
    with open(reader) as said:
        raise RuntimeError(said.read().replace(str(os.getpid()), "PID"))

async def refused(kind):
    async def handler(offer):
        await offer.decline("not today")

    async with zioflow.Gateway(at["plain"]) as gateway:
        async with gateway.handle("no", handler, match="attributes.to == 'no'"):
            if kind == "asyncio":
                await open_flow(gateway, {"to": "no"})
            with sync.Gateway(at["plain"]) as other:
                await asyncio.to_thread(open_flow, other, {"to": "no"})

lan = "192.0.2.1:7575"
mistakes = {
    "the gateway is not running": lambda k: use(k, put, at["down"]),
    "the gateway is not running, and had a socket": lambda k: use(k, put, "unix:/nowhere/grpc"),
    "no host has that name": lambda k: use(k, put, "gateway.invalid:7575"),
    "a URL for an address": lambda k: use(k, put, "http://" + at["plain"]),
    "a port for ZeroMQ": lambda k: use(k, put, at["zeromq"]),
    "the port for HTTP": lambda k: use(k, put, at["http"]),
    "TLS where there is none": lambda k: use(k, put, at["plain"], credentials=tls(at["ca"])),
    "no TLS where there is some": lambda k: use(k, put, at["tls"]),
    "another CA": lambda k: use(k, put, at["tls"], credentials=tls(at["other_ca"])),
    "no token": lambda k: use(k, put, at["tls"], credentials=tls(at["ca"])),
    "a wrong token": lambda k: use(k, put, at["tls"], credentials=tls(at["ca"]), token="guess"),
    "the wrong file for a token": lambda k: use(
        k, put, at["tls"], credentials=tls(at["ca"]), token=open(at["ca"]).read()
    ),
    "an empty file for a token": lambda k: use(k, put, at["plain"], token="\\n"),
    "a token without TLS": lambda k: use(k, put, lan, token="secret"),
    "more than `max_message`": lambda k: use(
        k, lambda g: g.put(bytes(80_000)), at["plain"], max_message=1000
    ),
    "more than the gateway takes": lambda k: use(k, lambda g: g.put(bytes(200_000)), at["small"]),
    "more comes than `max_message`": lambda k: use(
        k, get(100_000), at["plain"], max_message=1000
    ),
    "a Gateway used in a forked process": in_a_fork,
    "no handler": lambda k: use(k, lambda g: open_flow(g, {"to": "nobody"}), at["impatient"]),
    "the handler refuses": refused,
}
async def main():  # one event loop, as grpc.aio may log what another one leaves behind
    for mistake, provoke in mistakes.items():
        for kind in ("sync", "asyncio"):
            try:
                await provoke(kind)
                line = "nothing"
            except Exception as error:
                line = f"{type(error).__name__}: {error}"
            print(json.dumps([mistake, kind, line]), flush=True)

asyncio.run(main())
"""


@pytest.fixture
def addresses(tmp_path):
    def keys(name):
        folder = tmp_path / name
        subprocess.run(
            [Program.binary(), "keygen", "server", folder], check=True, capture_output=True
        )
        return folder

    def start(name, *flags, **options):
        folder = tmp_path / name
        folder.mkdir()
        programs.append(Program(folder, *flags, **options))
        return programs[-1]

    ours, others = keys("keys"), keys("others")
    entry = subprocess.run(
        [Program.binary(), "keygen", "identity", ours, "alice", "--role=client"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    (ours / "identities.yaml").write_text("identities:\n" + entry)
    programs: list[Program] = []
    try:
        plain = start("plain", "--http=127.0.0.1:0", router="tcp://127.0.0.1:0")
        secure = start(
            "secure",
            f"--identities={ours}/identities.yaml",
            f"--tls-cert={ours}/server.pem",
            f"--tls-key={ours}/server.key",
        )
        yield {
            "plain": plain.address,
            "zeromq": plain.router.removeprefix("tcp://"),
            "http": json.loads((tmp_path / "plain" / "ready.json").read_text())["http"],
            "tls": secure.address,
            "small": start("small", "--max-message=100000").address,
            "impatient": start("impatient", "--handler-wait=100ms").address,
            "ca": str(ours / "ca.pem"),
            "other_ca": str(others / "ca.pem"),
            "down": "127.0.0.1:1",
        }
    finally:
        for program in programs:
            program.stop()


def test_each_mistake_is_told_in_one_line(addresses):
    said = subprocess.run(
        # From 3.12 on, Python warns of every fork where there are threads.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _PROVOKE],
        input=json.dumps(addresses),
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert said.returncode == 0, said.stderr
    assert said.stderr == ""
    table, seen = _table(), {}
    for mistake, kind, line in map(json.loads, said.stdout.splitlines()):
        for address in ("plain", "zeromq", "http", "tls", "small", "impatient", "down"):
            line = line.replace(addresses[address], "ADDRESS")
        seen[mistake, kind] = re.sub(r"^(FlowError: )flow [1-9]\d*: ", r"\1", line)
        assert "\n" not in line
    expected = {(m, k): line for m, line in table.items() for k in ("sync", "asyncio")}
    assert seen == expected


def test_a_token_files_newline_is_no_part_of_it():
    from zioflow import _settings

    assert _settings.bearer("abc\r\n") == "abc"
