"""The tutorial, its notebook, and the page about files: all of it is run as it is printed."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading

import pytest

for _needed in ("numpy", "h5py", "zarr", "_jsonnet"):
    pytest.importorskip(_needed)

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_DOCS = _ROOT / "docs"
_DEFAULT = "127.0.0.1:7575"
_PATIENCE = 30

#: A block, and the comment in front of it that says what it is for.
_BLOCK = re.compile(
    r"(?:^<!-- (?P<what>[^\n]*) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)


class Terminal:
    """A program that goes on in a terminal; its lines are compared with what is printed."""

    def __init__(self, script, folder, environment):
        self._process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("(it has ended)\n")

    def shows(self, text):
        for line in text.splitlines(keepends=True):
            assert self._lines.get(timeout=_PATIENCE) == line

    def close(self):
        """As Ctrl-C does, with all that runs in the terminal."""
        os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(_PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._reader.join()
            self._process.stdout.close()


class Reader:
    """Does what a reader of a page does."""

    def __init__(self, folder, program, stack):
        self._folder = folder
        self._address = program.address
        self._stack = stack
        self._terminals: dict[str, Terminal] = {}
        bin_ = folder / "bin"
        bin_.mkdir()
        (bin_ / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" -W error "$@"\n')
        (bin_ / "zioflow").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m zioflow "$@"\n')
        for name in ("python", "zioflow"):
            (bin_ / name).chmod(0o755)
        self._environment = {
            **os.environ,
            "PATH": f"{bin_}:{os.environ['PATH']}",
            "PYTHONPATH": ":".join(sys.path),
        }

    def follow(self, page):
        text = (_DOCS / page).read_text()
        blocks = list(_BLOCK.finditer(text))
        assert 2 * len(blocks) == text.count("\n```") > 10
        for block in blocks:
            what, kind = block["what"], block["kind"]
            content = block["text"].replace(_DEFAULT, self._address)
            assert what, f"what is this for: {content}"
            if what == "install":
                continue  # in test_install
            if what.startswith("file "):
                (self._folder / what.removeprefix("file ")).write_text(content)
            else:
                assert kind == "console" and what.startswith("terminal ")
                self._type(what.removeprefix("terminal "), content)

    def _type(self, terminal, text):
        terminal, _, goes_on = terminal.partition(": ")
        commands = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M)
        if not commands:
            self._terminals[terminal].shows(text)
        elif commands == [("bin/gateway serve", "")]:
            pass  # there is one, elsewhere
        elif goes_on:
            script = "\n".join(command for command, _ in commands[:-1])
            script += f"\nexec {commands[-1][0]}"
            self._terminals[terminal] = Terminal(script, self._folder, self._environment)
            self._stack.callback(self._terminals[terminal].close)
            self._terminals[terminal].shows(commands[-1][1])
        else:
            for command, output in commands:
                assert self._run(command) == output, command

    def _run(self, command):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
        )
        return done.stdout


@pytest.mark.parametrize("page", ["tutorial.md", "files.md"])
def test_page(plain_program, tmp_path, page):
    with contextlib.ExitStack() as stack:
        Reader(tmp_path, plain_program, stack).follow(page)


def test_notebook(plain_program, tmp_path):
    """Its cells, one after the other, as Jupyter runs them, print what is kept in it."""
    notebook = json.loads((_DOCS / "tutorial.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    script = "import contextlib, io, json, sys\nnames, shown = {}, []\n"
    script += "for cell in json.load(sys.stdin):\n"
    script += "    with contextlib.redirect_stdout(io.StringIO()) as out:\n"
    script += "        exec(cell, names)\n"
    script += "    shown.append(out.getvalue())\n"
    script += "json.dump(shown, sys.stdout)\n"
    code = ["".join(cell["source"]).replace(_DEFAULT, plain_program.address) for cell in cells]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        input=json.dumps(code),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    for cell, shown in zip(cells, json.loads(done.stdout)):
        kept = "".join(line for output in cell["outputs"] for line in output["text"])
        assert shown.replace(plain_program.address, _DEFAULT) == kept, "".join(cell["source"])


@pytest.mark.skipif("ZIOFLOW_SOAK_FLOWS" not in os.environ, reason="the soak installs")
def test_install(tmp_path):
    """What the tutorial says to install, in an environment of its own."""
    text = (_DOCS / "tutorial.md").read_text()
    block = next(m["text"] for m in _BLOCK.finditer(text) if m["what"] == "install")
    commands = re.findall(r"^\$ (.*)$", block, re.M)
    assert commands.pop(0) == "make build"  # which has been done
    assert "python3 -m venv .venv" in commands
    # pip builds in the folder itself.
    source = tmp_path / "clients" / "python"
    shutil.copytree(_ROOT / "clients" / "python", source, ignore=shutil.ignore_patterns("build"))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    commands.append("python -c 'import h5py, zarr, _jsonnet, numpy; print(\"there\")'")
    commands.append("zioflow check-rules --help")
    done = subprocess.run(
        ["bash", "-ec", "\n".join(commands)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("there\nusage: zioflow check-rules")
