"""What all tests share: time limits, the search for leaks, and gateways."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest
from fake import FakeGateway

from zioflow import Gateway

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_LIMIT = 90  # seconds for one test, also on a busy machine


def pytest_collection_modifyitems(items):
    for item in items:
        if inspect.iscoroutinefunction(item.obj):
            marked = item.get_closest_marker("limit")
            item.obj = _limited(item.obj, marked.args[0] if marked else _LIMIT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """What a test has logged reaches the process that reports, whatever it is: some of it
    is no Unicode."""
    report = yield
    report.sections = [
        (name, text.encode(errors="replace").decode()) for name, text in report.sections
    ]
    return report


def _limited(test, seconds):
    @functools.wraps(test)
    async def limited(*args, **kwargs):
        await asyncio.wait_for(test(*args, **kwargs), seconds)

    return limited


@pytest.fixture(autouse=True)
async def no_leaks():
    """No test leaves a task behind."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:  # grpc's own may be about to end
        _, left = await asyncio.wait(left, timeout=5)
    assert not left


@pytest.fixture
async def fake(no_leaks):
    """A gateway in this process that does what a test tells it to."""
    async with FakeGateway() as fake:
        yield fake


@pytest.fixture
async def client(fake):
    """A Gateway that is connected to the fake one."""
    async with Gateway(fake.address) as gateway:
        yield gateway


class Program:
    """The real gateway, as a process of its own."""

    @staticmethod
    def binary() -> pathlib.Path:
        binary = pathlib.Path(
            os.environ.get("ZIO_GATEWAY")
            or os.environ.get("GATEWAY_BIN")
            or _ROOT / "bin" / "gateway"
        )
        assert binary.is_file(), f"there is no {binary}: build it, or name it by ZIO_GATEWAY"
        return binary.absolute()

    def __init__(
        self,
        directory: pathlib.Path,
        *flags: str,
        server: str = "none",
        router: str = "none",
        grpc: str = "127.0.0.1:0",
    ) -> None:
        binary = self.binary()
        self._told = False
        self._log = directory / "log"
        ready = directory / "ready.json"
        addresses = [
            f"--zmq-server={server}",
            f"--zmq-router={router}",
            f"--grpc={grpc}",
            "--http=none",
        ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ZIO_GATEWAY")}
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [binary, "serve", *addresses, "--node=none", f"--ready-file={ready}", *flags],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=environment,
            )
        try:
            addresses = self._await_ready(ready)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.address = addresses["grpc"]
        #: All addresses of gRPC.
        self.addresses = addresses.get("grpc_addresses", [])
        #: Where DEALER sockets connect to, and CLIENT sockets.
        self.router = (addresses.get("zmq_router") or [""])[0]
        self.server = (addresses.get("zmq_server") or [""])[0]

    def _await_ready(self, ready: pathlib.Path) -> dict:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self._log.read_text()
            try:
                return json.loads(ready.read_text())
            except (FileNotFoundError, ValueError):
                time.sleep(0.02)  # there is nothing to wait on but the file
        raise AssertionError(f"the gateway is not ready:\n{self._log.read_text()}")

    def terminate(self) -> None:
        """Tells it to stop, as an operator would. Telling it again does nothing."""
        if not self._told:
            self._told = True
            self.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """For contextlib.closing."""
        self.stop()

    def stop(self) -> None:
        """Stops it; it has to end in good order. Stopping again does nothing."""
        self.terminate()
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        assert code == 0, self._log.read_text()


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A gateway that the tests share, where something takes and gives in any flow."""
    folder = tmp_path_factory.mktemp("gateway")
    program = Program(folder, "--default-routes", f"--grpc=unix:{folder}/grpc")
    yield program
    program.stop()


@pytest.fixture(scope="session")
def plain_program(tmp_path_factory):
    """A gateway as users have it that have set nothing."""
    program = Program(tmp_path_factory.mktemp("plain"), router="tcp://127.0.0.1:0")
    yield program
    program.stop()


@pytest.fixture(scope="session")
def native_program(tmp_path_factory):
    """One that native peers reach, by DEALER sockets."""
    program = Program(tmp_path_factory.mktemp("native"), router="tcp://127.0.0.1:0")
    yield program
    program.stop()


@pytest.fixture
async def gateway(no_leaks, program):
    """A Gateway that is connected to the real one."""
    async with Gateway(program.address) as gateway:
        yield gateway
