"""The memory of large messages: it is used again, and not fetched from the system each time."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_ROUNDS, _TOGETHER, _SIZE = 20, 3, 4 << 20

_PROGRAM = f"""
import resource
from zioflow._wire import open_request, read_response
from zioflow.messages import write_dat

faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
raw = open_request(write_dat((bytes({_SIZE}),)), 1 << 30)  # of the form of a response
for n in range({_ROUNDS} + 1):
    came = [read_response(raw) for _ in range({_TOGETHER})]
    assert all(len(dat.payload[0]) == {_SIZE} for dat in came)
    del came
    if n == 0:
        before = faults()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc alone")
def test_large_messages_use_memory_again(monkeypatch):
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_"):
        monkeypatch.delenv(name, raising=False)
    ran = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    pages = _TOGETHER * _SIZE // 4096
    # Otherwise it is every page in every round.
    assert int(ran.stdout) < pages * _ROUNDS / 4
