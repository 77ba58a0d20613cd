"""gRPC's own clients, of gateways that are restarted one after the other."""

from __future__ import annotations

import json
import threading

import grpc
import pytest
from conftest import Program

from zioflow._gen.zio.gateway.v1 import flow_pb2, flow_pb2_grpc

_POLICY = {
    "methodConfig": [
        {
            "name": [{"service": "zio.gateway.v1.FlowService"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


def _get(stub):
    bot = flow_pb2.Bot(label='{"count":2}', credit=1)
    return len(list(stub.Get(flow_pb2.GetRequest(bot=bot), timeout=20)))


def _put(stub):
    requests = [
        flow_pb2.PutRequest(bot=flow_pb2.Bot(credit=1)),
        flow_pb2.PutRequest(dat=flow_pb2.Dat(payload=[b"x"])),
        flow_pb2.PutRequest(eot=flow_pb2.Eot()),
    ]
    return stub.Put(iter(requests), timeout=20).messages


def _open(stub):
    bot = flow_pb2.Bot(direction=flow_pb2.DIRECTION_EXTRACT, credit=1)
    requests = [flow_pb2.OpenRequest(bot=bot), flow_pb2.OpenRequest(eot=flow_pb2.Eot())]
    return len(list(stub.Open(iter(requests), timeout=20)))


@pytest.fixture
def two(tmp_path):
    programs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        programs.append(_start(tmp_path / name, "127.0.0.1:0"))
    yield programs
    for program in programs:
        program.stop()


def _start(directory, address):
    (directory / "ready.json").unlink(missing_ok=True)
    return Program(directory, "--default-routes", "--drain-grace=20s", grpc=address)


class Calls(threading.Thread):
    """Makes one call after the other until it is told to stop, or one fails."""

    def __init__(self, one, addresses):
        super().__init__(daemon=True)
        self._one, self._addresses = one, addresses
        self._enough = threading.Event()
        self._made = threading.Condition()
        self.count, self.error = 0, None

    def run(self):
        options = [("grpc.service_config", json.dumps(_POLICY))]
        with grpc.insecure_channel("ipv4:" + ",".join(self._addresses), options) as channel:
            stub = flow_pb2_grpc.FlowServiceStub(channel)
            while not self._enough.is_set():
                try:
                    assert self._one(stub)
                except Exception as error:  # noqa: BLE001 - the test reports it
                    self.error = error
                with self._made:
                    self.count += 1
                    self._made.notify_all()
                if self.error is not None:
                    return

    def some(self):
        """Waits for some more calls."""
        with self._made:
            until = self.count + 5
            assert self._made.wait_for(lambda: self.count >= until or self.error, 60)

    def stop(self):
        self._enough.set()
        self.join(60)
        assert not self.is_alive()


def test_no_call_fails_while_gateways_are_restarted(two, tmp_path):
    addresses = [program.address for program in two]
    calls = [Calls(one, addresses) for one in (_get, _put, _open)]
    for caller in calls:
        caller.start()
    try:
        for place, name in enumerate("ab"):
            for caller in calls:
                caller.some()
            two[place].stop()
            for caller in calls:
                caller.some()
            two[place] = _start(tmp_path / name, addresses[place])
        for caller in calls:
            caller.some()
    finally:
        for caller in calls:
            caller.stop()
    assert [caller.error for caller in calls] == [None] * 3
