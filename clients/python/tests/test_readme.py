"""Every example in the README runs against the real gateway and prints what it says."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

_README = pathlib.Path(__file__).parents[1] / "README.md"
_DEFAULT, _NATIVE = "127.0.0.1:7575", "tcp://127.0.0.1:5556"
_EXAMPLE = re.compile(
    r"^```python\n(?P<code>.*?)^```\n^```output\n(?P<output>.*?)^```$", re.M | re.S
)


def _examples():
    text = _README.read_text()
    found = list(_EXAMPLE.finditer(text))
    assert len(found) == text.count("```python") == text.count("```output") > 0
    return [pytest.param(m["code"], m["output"], id=f"example {n}") for n, m in enumerate(found)]


@pytest.mark.parametrize("code, output", _examples())
def test_example(plain_program, code, output):
    assert _DEFAULT in code or _NATIVE in code
    code = code.replace(_DEFAULT, plain_program.address).replace(_NATIVE, plain_program.router)
    if "import numpy" in code:
        pytest.importorskip("numpy")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    unexpected = [line for line in done.stderr.splitlines() if "a handler of flows failed" in line]
    assert done.returncode == 0, done.stderr
    assert done.stdout == output
    assert bool(unexpected) == ("raise ValueError" in code), done.stderr
