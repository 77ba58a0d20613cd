"""The commands of the file server: serve-files, check-rules, recover-files."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import pathlib
import signal
import sys
from collections.abc import Callable
from typing import Any

import grpc

from ..errors import FlowError
from ..gateway import Gateway
from ..handler import ListenerState
from . import rules
from .errors import MISSING, FileServerError

_log = logging.getLogger("zioflow.files")

#: For how long flows may go on, in seconds, once the server was told to stop.
_GRACE = 10.0


def add_to(commands: Any) -> None:
    """Adds the commands to those of a program."""
    serve = commands.add_parser(
        "serve-files",
        help="write flows to files of HDF5 or Zarr, and play them back",
        description="Writes flows to files below a folder, and plays them back, by a ruleset.",
        allow_abbrev=False,
    )
    _add_serving(serve)
    serve.set_defaults(run=_readable(_serve))
    check = commands.add_parser(
        "check-rules",
        help="say what a ruleset does with a flow",
        description="Says which rule takes a flow with these attributes, and where it goes.",
        allow_abbrev=False,
    )
    check.add_argument("ruleset", help="the ruleset's file, in JSON or Jsonnet")
    check.add_argument(
        "attribute",
        nargs="*",
        help="NAME=VALUE, as in run=7 or direction=inject; what is no JSON is a text",
    )
    check.set_defaults(run=_readable(_check))
    recover = commands.add_parser(
        "recover-files",
        help="complete files that a killed server has left",
        description="Completes what a server that was killed has left undone below a folder. "
        "A server does so itself when it starts.",
        allow_abbrev=False,
    )
    recover.add_argument("root", help="the folder")
    recover.set_defaults(run=_readable(_recover))


def _add_serving(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("ruleset", help="the ruleset's file, in JSON or Jsonnet")
    add("--root", default=".", help="the folder that all files are below (default: this one)")
    add("--gateway", default="127.0.0.1:7575", help="the gateway's gRPC address (%(default)s)")
    add("--name", default="files", help="the listener's name (%(default)s): those of one name")
    add("--match", default="", help="which flows are wanted, a CEL expression (default: all)")
    add("--credit", type=int, default=4, help="DATs under way in a flow (%(default)s)")
    add("--max-flows", type=int, default=0, help="flows at once (default: any number)")
    add("--compression", default="", help="for HDF5: gzip, lzf, zstd and others; gzip:4")
    add("--zarr-compression", default="", help="for Zarr: gzip or zstd; zstd:3")
    add("--sync", action="store_true", help="pay for what survives a power cut as well")
    add("--token-file", help="the file of a bearer token for the gateway")
    add("--ca", help="encrypt: the file of the certificates that the gateway's is signed by")
    add("--ready-file", help="a file to write when flows are served")


def _readable(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """A command that says in one line what has gone wrong."""

    def running(options: argparse.Namespace) -> int:
        try:
            return run(options)
        except FlowError as failed:
            words = f"the gateway: {failed}"
        except FileServerError as failed:
            words = str(failed)
        except ImportError as missing:
            words = MISSING.format(missing.name)
            if missing.name in ("fcntl", "resource"):
                words = "the file server needs the file locks of Linux or macOS"
        except OSError as failed:
            words = f"{failed.filename}: {failed.strerror}" if failed.filename else str(failed)
        except ValueError as failed:
            words = str(failed)
        print(f"zioflow: {words}", file=sys.stderr)
        return 1

    return running


def _check(options: argparse.Namespace) -> int:
    ruleset = rules.load(options.ruleset)
    attributes = {}
    for given in options.attribute:
        name, equals, text = given.partition("=")
        if not equals:
            raise ValueError(f"{given!r} is no attribute: want NAME=VALUE")
        try:
            attributes[name] = json.loads(text)
        except ValueError:
            attributes[name] = text
    place = ruleset.find(attributes)
    does = "writes to" if place.write else "reads from"
    print(f"rule {place.number} {does} {place.file}, group {place.group}")
    return 0


def _recover(options: argparse.Namespace) -> int:
    from .server import recover

    for name in recover(options.root):
        print(f"{name} was completed")
    return 0


def _serve(options: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    _allow_files()
    # The event loop waits for no thread that computes for longer than this, in seconds.
    sys.setswitchinterval(0.0005)
    return asyncio.run(_serving(options))


def _allow_files() -> None:
    """Each file that is written takes two descriptors: have as many as one may."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serving(options: argparse.Namespace) -> int:
    from .server import FileServer

    files = FileServer(
        options.root,
        rules.load(options.ruleset),
        credit=options.credit,
        compression=options.compression,
        zarr_compression=options.zarr_compression,
        sync=options.sync,
    )
    token = pathlib.Path(options.token_file).read_text().strip() if options.token_file else None
    credentials = None
    if options.ca:
        credentials = grpc.ssl_channel_credentials(pathlib.Path(options.ca).read_bytes())
    stop = asyncio.Event()
    serving = asyncio.ensure_future(
        _until(stop, Gateway(options.gateway, credentials=credentials, token=token), files, options)
    )

    def told() -> None:
        if stop.is_set():
            serving.cancel()  # told twice
        stop.set()
        asyncio.get_running_loop().call_later(_GRACE, serving.cancel)

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told)
    try:
        await serving
    except asyncio.CancelledError:
        _log.warning("flows were broken off")
    return 0


async def _until(
    stop: asyncio.Event, gateway: Gateway, files: Any, options: argparse.Namespace
) -> None:
    def told(state: ListenerState) -> None:
        words = {"reconnecting": "the gateway is lost: %s", "listening": "flows are served"}
        if state.state in words:
            arguments = () if state.error is None else (state.error,)
            _log.info(words[state.state], *arguments)

    async with gateway, files:
        async with gateway.handle(
            options.name,
            files.handle,
            match=options.match,
            max_flows=options.max_flows,
            on_state=told,
        ) as listener:
            print(f"serving flows of {options.gateway} in {options.root}", flush=True)
            if options.ready_file:
                pathlib.Path(options.ready_file).write_text("ready\n")
            stopped = asyncio.ensure_future(stop.wait())
            ended = asyncio.ensure_future(listener.wait())
            await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if ended.done():
                ended.result()
            ended.cancel()
