"""A disk of a few MiB that really becomes full, under the file server."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess

import pytest
from test_files import give, take, where
from test_files_crash import Server

from zioflow import FlowEnded, FlowError

numpy = pytest.importorskip("numpy")
h5py = pytest.importorskip("h5py")

#: A disk of its own for a program: a tmpfs that nobody else sees, at $0.
DISK = ["unshare", "-Urm", "bash", "-c", 'mount -t tmpfs -o size=3m disk "$0" && exec "$@"']
FULL = "No space left on device"


@pytest.fixture
def disk(tmp_path):
    """A folder for a disk, and what a program that is to see it there is started by."""
    if not os.environ.get("ZIOFLOW_SOAK_DISK"):
        pytest.skip("takes a while: make soak runs it, and ZIOFLOW_SOAK_DISK=1")
    folder = tmp_path / "disk"
    folder.mkdir()
    before = [*DISK, str(folder)]
    try:
        subprocess.run([*before, "true"], check=True, capture_output=True, timeout=20)
    except FileNotFoundError:
        pytest.skip("there is no unshare, which gives a program a disk of its own")
    except subprocess.CalledProcessError as failed:
        why = failed.stderr.decode(errors="replace").strip()
        pytest.skip(f"nobody may have a disk of his own here (unshare -Urm, mount): {why}")
    return folder, before


@contextlib.contextmanager
def seen(server, folder):
    """The disk as this process can see it, even when the server has ended."""
    inside = os.open(f"/proc/{server.process.pid}/root{folder}", os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield pathlib.Path(f"/proc/self/fd/{inside}")
    finally:
        os.close(inside)


def array(n, size=1 << 16):
    return numpy.random.default_rng(n).integers(0, 256, size, "u1")


def check(dats, *numbers):
    assert [dat.array().tobytes() for dat in dats] == [array(n).tobytes() for n in numbers]


@pytest.mark.limit(180)
@pytest.mark.parametrize("kind", ["h5", "zarr"])
async def test_a_disk_that_becomes_full(gateway, program, disk, kind):
    """The flow for which there is no room ends with the reason; the others, and later ones,
    go on when there is room again, and nothing that was kept is lost."""
    if kind == "zarr":
        pytest.importorskip("zarr")

    def to(name, group="g"):
        return where(f"{name}.{kind}", group, to="killed")

    folder, before = disk
    async with contextlib.AsyncExitStack() as left:
        server = await left.enter_async_context(Server(program, folder, before=before))
        there = left.enter_context(seen(server, folder))
        (there / "filler").write_bytes(bytes(1 << 20))
        await give(gateway, to("whole"), array(1), array(2))
        async with gateway.give(to("beside")) as beside, gateway.give(to("full", "h")) as same:
            await beside.put(array(3))
            await same.put(array(4))
            with pytest.raises(FlowEnded, match=f"full.{kind}: {FULL}") as ended:
                async with gateway.give(to("full")) as flow:
                    for n in range(100):
                        await flow.put(array(n))
            taken = ended.value.taken
            assert 5 < taken < 32  # of 2 MiB
            # A file that is new has no room either, and those that are whole are read.
            with pytest.raises(FlowError, match=f"late.{kind}: {FULL}"):
                await give(gateway, to("late"), array(5, 1 << 17))
            check(await take(gateway, to("whole")), 1, 2)
            check(await take(gateway, to("full")), *range(taken))

            (there / "filler").unlink()
            await beside.put(array(6))
            await same.put(array(7))
        await give(gateway, to("full"), array(8))
        await give(gateway, to("late"), array(9))
        for name, group, numbers in (
            ("whole", "g", (1, 2)),
            ("full", "g", (*range(taken), 8)),
            ("full", "h", (4, 7)),
            ("beside", "g", (3, 6)),
            ("late", "g", (9,)),
        ):
            check(await take(gateway, to(name, group)), *numbers)

        await server.__aexit__()
        assert server.process.returncode == 0
        log = pathlib.Path(server.log.name).read_text()
        assert f"was ended: full.{kind}: {FULL}" in log and "Traceback" not in log
        assert sorted(path.name for path in there.iterdir()) == [
            f"{name}.{kind}" for name in ("beside", "full", "late", "whole")
        ]
        assert not list(there.rglob(".*"))  # no half of a message has been left
        if kind == "h5":  # by what users read them with, too
            with h5py.File(there / "full.h5") as file:
                back = [item["tensors/00"][()] for item in file["g"].values()]
                assert [one.tobytes() for one in back] == [
                    array(n).tobytes() for n in (*range(taken), 8)
                ]
