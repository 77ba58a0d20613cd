"""How fast zioflow is beside bare grpcio of the same kind.

    python bench/speed.py [--rounds N] [--bytes N] [--sizes N,N] [--only WORD]

Bare grpcio is what a careful program would write with the generated code alone: one stream
of Open, the same credit, no checks. Each round runs both, one after the other in a random
order, so that what else the machine does meets both, and each in a process of its own, as
what one does to the memory of its process would help the other. What is printed is the
ratio of the medians, bare grpcio's time over zioflow's: above 1, zioflow is faster. "cpu" is
the same for the processor time of that process, which other work disturbs less.

The gateway is one of its own, bin/gateway or what ZIO_GATEWAY names: its `dump` takes, its
`generate` gives.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import queue
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import zioflow
from zioflow import sync

import grpc  # isort: skip - after zioflow, which quietens its log
from zioflow._gen.zio.gateway.v1 import flow_pb2, flow_pb2_grpc

CREDIT = 10
LIMIT = [("grpc.max_send_message_length", 1 << 27), ("grpc.max_receive_message_length", 1 << 27)]
ROOT = pathlib.Path(__file__).resolve().parents[3]

#: Gives or takes so many messages of a size, at an address.
Run = Callable[[str, int, int], Coroutine[Any, Any, None]]


@contextlib.contextmanager
def gateway() -> Iterator[str]:
    binary = os.environ.get("ZIO_GATEWAY") or ROOT / "bin" / "gateway"
    with tempfile.TemporaryDirectory() as folder:
        ready = pathlib.Path(folder, "ready.json")
        addresses = ["--grpc=127.0.0.1:0", *(f"--{f}=none" for f in _OFF)]
        process = subprocess.Popen(
            [binary, "serve", *addresses, f"--ready-file={ready}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not ready.exists():
                time.sleep(0.01)
            time.sleep(0.1)
            yield json.loads(ready.read_text())["grpc"]
        finally:
            process.terminate()
            process.wait()


_OFF = ("zmq-server", "zmq-router", "http", "node")


def bot(gives: bool, count: int, size: int) -> flow_pb2.OpenRequest:
    label = {"builtin": "dump"} if gives else {"builtin": "generate", "count": count, "size": size}
    direction = flow_pb2.DIRECTION_EXTRACT if gives else flow_pb2.DIRECTION_INJECT
    return flow_pb2.OpenRequest(
        bot=flow_pb2.Bot(label=json.dumps(label), direction=direction, credit=CREDIT)
    )


def stub(channel: Any) -> Any:
    return flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]


def eot() -> flow_pb2.OpenRequest:
    return flow_pb2.OpenRequest(eot=flow_pb2.Eot())


async def give_async(address: str, count: int, size: int) -> None:
    data = bytes(size)
    async with zioflow.Gateway(address) as gateway:
        async with gateway.give({"builtin": "dump"}, credit=CREDIT) as flow:
            for _ in range(count):
                await flow.put(data)


async def give_async_bare(address: str, count: int, size: int) -> None:
    data, credit, news = bytes(size), 0, asyncio.Event()

    async def read() -> None:
        nonlocal credit
        async for response in call:
            credit += response.pay.credit
            news.set()

    async with grpc.aio.insecure_channel(address, options=LIMIT) as channel:
        call = stub(channel).Open()
        await call.write(bot(True, count, size))
        reading = asyncio.ensure_future(read())
        for _ in range(count):
            while not credit:
                news.clear()
                await news.wait()
            credit -= 1
            await call.write(flow_pb2.OpenRequest(dat=flow_pb2.Dat(payload=[data])))
        await call.write(eot())
        await reading


async def take_async(address: str, count: int, size: int) -> None:
    attributes = {"builtin": "generate", "count": count, "size": size}
    async with zioflow.Gateway(address) as gateway:
        async with gateway.take(attributes, credit=CREDIT) as flow:
            async for dat in flow:
                assert len(dat.payload[0]) == size


async def take_async_bare(address: str, count: int, size: int) -> None:
    used = 0
    async with grpc.aio.insecure_channel(address, options=LIMIT) as channel:
        call = stub(channel).Open()
        await call.write(bot(False, count, size))
        await call.write(flow_pb2.OpenRequest(pay=flow_pb2.Pay(credit=CREDIT)))
        async for response in call:
            kind = response.WhichOneof("message")
            if kind == "eot":
                await call.write(eot())
            elif kind == "dat":
                assert len(response.dat.payload[0]) == size
                used += 1
                if used % (CREDIT // 2) == 0:
                    await call.write(flow_pb2.OpenRequest(pay=flow_pb2.Pay(credit=CREDIT // 2)))


async def give_sync(address: str, count: int, size: int) -> None:
    data = bytes(size)
    with sync.Gateway(address) as gateway:
        with gateway.give({"builtin": "dump"}, credit=CREDIT) as flow:
            for _ in range(count):
                flow.put(data)


async def give_sync_bare(address: str, count: int, size: int) -> None:
    data, credit = bytes(size), threading.Semaphore(0)

    def requests() -> Iterator[flow_pb2.OpenRequest]:
        yield bot(True, count, size)
        for _ in range(count):
            credit.acquire()
            yield flow_pb2.OpenRequest(dat=flow_pb2.Dat(payload=[data]))
        yield eot()

    with grpc.insecure_channel(address, options=LIMIT) as channel:
        for response in stub(channel).Open(requests()):
            if response.HasField("pay"):
                credit.release(response.pay.credit)


async def take_sync(address: str, count: int, size: int) -> None:
    attributes = {"builtin": "generate", "count": count, "size": size}
    with sync.Gateway(address) as gateway:
        with gateway.take(attributes, credit=CREDIT) as flow:
            for dat in flow:
                assert len(dat.payload[0]) == size


async def take_sync_bare(address: str, count: int, size: int) -> None:
    used, outbox = 0, queue.SimpleQueue[Any]()
    outbox.put(bot(False, count, size))
    outbox.put(flow_pb2.OpenRequest(pay=flow_pb2.Pay(credit=CREDIT)))
    with grpc.insecure_channel(address, options=LIMIT) as channel:
        for response in stub(channel).Open(iter(outbox.get, None)):
            kind = response.WhichOneof("message")
            if kind == "eot":
                outbox.put(eot())
                outbox.put(None)
            elif kind == "dat":
                assert len(response.dat.payload[0]) == size
                used += 1
                if used % (CREDIT // 2) == 0:
                    outbox.put(flow_pb2.OpenRequest(pay=flow_pb2.Pay(credit=CREDIT // 2)))


def array_of(size: int) -> Any:
    import numpy

    return numpy.arange(size // 4, dtype="f4")


async def put_array(address: str, count: int, size: int) -> None:
    data = array_of(size)
    async with zioflow.Gateway(address) as gateway:
        async with gateway.give({"builtin": "dump"}, credit=CREDIT) as flow:
            for _ in range(count):
                await flow.put(data)


async def put_its_bytes(address: str, count: int, size: int) -> None:
    data = array_of(size)
    async with zioflow.Gateway(address) as gateway:
        async with gateway.give({"builtin": "dump"}, credit=CREDIT) as flow:
            for _ in range(count):
                await flow.put(data.tobytes())


PAIRS: dict[str, tuple[Run, Run]] = {
    "give, asyncio / grpc.aio": (give_async, give_async_bare),
    "take, asyncio / grpc.aio": (take_async, take_async_bare),
    "give, sync / grpc": (give_sync, give_sync_bare),
    "take, sync / grpc": (take_sync, take_sync_bare),
    "give, sync / asyncio": (give_sync, give_async),
    "take, sync / asyncio": (take_sync, take_async),
    "give, bare grpc / grpc.aio": (give_sync_bare, give_async_bare),
    "take, bare grpc / grpc.aio": (take_sync_bare, take_async_bare),
    "put of an array / of its bytes": (put_array, put_its_bytes),
}


class Runner:
    """A process in which a run is measured, again and again."""

    def __init__(self, run: Run) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--run", run.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def measure(self, address: str, count: int, size: int) -> tuple[float, float]:
        """How long a run took, and the processor time, in seconds."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(address, count, size, file=self._process.stdin, flush=True)
        wall, cpu = map(float, self._process.stdout.readline().split())
        return wall, cpu


def serve(run: Run) -> None:
    """What a Runner's process does."""
    for line in sys.stdin:
        address, count, size = line.split()
        print(*measure(run, address, int(count), int(size)), flush=True)


def measure(run: Run, address: str, count: int, size: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    asyncio.run(run(address, count, size))
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(pair: tuple[Run, Run], address: str, count: int, size: int, rounds: int) -> str:
    times: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
    with Runner(pair[0]) as first, Runner(pair[1]) as second:
        runners = first, second
        for runner in runners:
            runner.measure(address, count, size)  # warms up
        for _ in range(rounds):
            for which in random.sample((0, 1), 2):
                times[which].append(runners[which].measure(address, count, size))
    ours, bare = ([statistics.median(column) for column in zip(*times[n])] for n in (0, 1))
    rate = count * size / ours[0] / 1e6
    return f"{bare[0] / ours[0]:9.2f} {bare[1] / ours[1]:9.2f} {rate:9.0f} {count / ours[0]:9.0f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--bytes", type=int, default=100_000_000, help="in each run")
    parser.add_argument("--sizes", default="1000,1048576,5000000,16777216")
    parser.add_argument("--only", default="")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        serve(globals()[options.run])
        return
    print(f"{'':32}{'bytes':>10} {'wall':>9} {'cpu':>9} {'MB/s':>9} {'1/s':>9}")
    with gateway() as address:
        for name, pair in PAIRS.items():
            for size in map(int, options.sizes.split(",")):
                if options.only in name:
                    count = max(4, min(3000, options.bytes // size))
                    figures = compare(pair, address, count, size, options.rounds)
                    print(f"{name:32}{size:10} {figures}", flush=True)


if __name__ == "__main__":
    main()
