"""A gateway of one's own, as a process."""

from __future__ import annotations

import collections
import json
import logging
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from typing import IO

#: What the gateway logs.
_log = logging.getLogger("zioflow.gateway")

#: How long, in seconds, a gateway may take until it is ready, and to stop. By itself
#: it takes five at most.
_START, _STOP = 20.0, 10.0

#: So many of its last lines are shown if it does not start.
_LAST_LINES = 20

#: Ends the gateway when this program ends, however it ends: then the pipe is closed.
#: Who has stopped it, or seen its end, writes a line first.
_GUARD = """exec 3<&0
(read -r over <&3 || kill -TERM $$) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null"""

#: No node of ZIO's, unless it is told to be one: several programs would have gateways of
#: one name, and who connects by it connects to all of them.
_SETTINGS = {"ZIO_GATEWAY_NODE": "none"}

_LEVEL = re.compile(r"\blevel=(DEBUG|INFO|WARN|ERROR)\b")
_LEVELS = {"DEBUG": logging.DEBUG, "WARN": logging.WARNING, "ERROR": logging.ERROR}


class GatewayExited(Exception):
    """The gateway that this program had started could not start, or has ended by itself.

    No RuntimeError, by which `Broker.poll` says that a BOT was refused and others may come.
    """


class Program:
    """A running gateway that belongs to this program, and ends with it."""

    #: Where it serves gRPC.
    grpc: str
    #: Where it serves ZeroMQ: one address for each that was asked for.
    zmq: tuple[str, ...]

    def __init__(
        self,
        *,
        server: Sequence[str] = (),
        router: Sequence[str] = (),
        binary: str | os.PathLike[str] | None,
        flags: Sequence[str],
    ) -> None:
        """Returns when the gateway is ready at these ZeroMQ addresses.

        Raises FileNotFoundError if there is no gateway program, GatewayExited with
        what it said if it did not start.
        """
        command = [str(find(binary)), "serve", "--grpc=127.0.0.1:0", "--http=none"]
        for flag, addresses in (("zmq-server", server), ("zmq-router", router)):
            command.append(f"--{flag}={','.join(addresses) or 'none'}")
        self._last: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
        with tempfile.TemporaryDirectory(prefix="zioflow-") as folder:
            ready = pathlib.Path(folder, "ready.json")
            self._start([*command, f"--ready-file={ready}", *flags])
            try:
                found = self._await_ready(ready)
            except BaseException:
                self.stop()
                raise
        self.grpc = found["grpc"]
        self.zmq = tuple(found.get("zmq_server") or ()) + tuple(found.get("zmq_router") or ())

    def check(self) -> None:
        """Raises GatewayExited if it has ended."""
        status = self._process.poll()
        if status is not None:
            raise GatewayExited(f"the gateway has ended with status {status}")

    def stop(self) -> None:
        """Ends all flows and the process. Stopping again does nothing."""
        self._end()
        self._reader.join()

    def _start(self, command: list[str]) -> None:
        guarded = command if sys.platform == "win32" else ["/bin/sh", "-c", _GUARD, "sh", *command]
        self._process = subprocess.Popen(
            guarded,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**_SETTINGS, **os.environ},
            start_new_session=True,  # Ctrl-C is for this program, which then stops it
        )
        self._end = weakref.finalize(self, _end, self._process)
        assert self._process.stdout is not None
        self._reader = threading.Thread(
            target=_pass_on, args=(self._process.stdout, self._last), daemon=True
        )
        self._reader.start()

    def _await_ready(self, ready: pathlib.Path) -> dict[str, str]:
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline:
            try:
                return dict(json.loads(ready.read_text()))
            except (FileNotFoundError, ValueError):
                pass
            if self._process.poll() is not None:
                self._reader.join(1)
                raise GatewayExited("the gateway did not start:\n" + "\n".join(self._last))
            time.sleep(0.01)  # there is nothing to wait on but the file
        raise GatewayExited(f"the gateway was not ready within {_START:.0f} s")


def find(binary: str | os.PathLike[str] | None) -> pathlib.Path:
    """The gateway program: this, what ZIO_GATEWAY names, or `gateway` beside Python or
    on the PATH. FileNotFoundError if there is none."""
    named = binary or os.environ.get("ZIO_GATEWAY")
    if named:
        path = pathlib.Path(named)
        if not path.is_file():
            raise FileNotFoundError(f"there is no gateway program {path}")
        return path.absolute()
    beside = os.path.dirname(sys.executable)
    path_found = shutil.which("gateway", path=beside) or shutil.which("gateway")
    if path_found is None:
        raise FileNotFoundError(
            "there is no program `gateway` on the PATH: say where it is, by gateway= or ZIO_GATEWAY"
        )
    return pathlib.Path(path_found)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdin is not None
    try:
        process.stdin.write(b"over\n")  # to the guard
        process.stdin.close()
    except OSError:
        pass


def _pass_on(output: IO[bytes], last: collections.deque[str]) -> None:
    """Logs what the gateway writes, until it ends."""
    with output:
        for line in output:
            text = line.decode("utf-8", "replace").rstrip()
            last.append(text)
            level = _LEVEL.search(text)
            _log.log(_LEVELS.get(level[1] if level else "", logging.INFO), "%s", text)
