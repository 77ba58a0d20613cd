"""What holds of files when the server is killed, or the disk is full, at any point."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys

import pytest
from test_files import RULES, give, serving, take, where

from zioflow import FlowEnded, FlowError

numpy = pytest.importorskip("numpy")
h5py = pytest.importorskip("h5py")
from zioflow.files import StoreError, _journal, _paged  # noqa: E402
from zioflow.files._paths import Root  # noqa: E402
from zioflow.files.hdf5 import Hdf5Store  # noqa: E402
from zioflow.files.layout import dat_of, record_of  # noqa: E402
from zioflow.files.server import recover  # noqa: E402
from zioflow.files.stores import Stores  # noqa: E402
from zioflow.messages import Dat  # noqa: E402

#: The soak kills the server so often; every day has less.
KILLS = int(os.environ.get("ZIOFLOW_SOAK_KILLS", "1"))
#: And tries each write of a disk, of which every day tries some.
STRIDES = (1, 1) if KILLS > 2 else (9, 17)


class Disk:
    """The disk, of which every write is seen: after so many, something happens."""

    def __init__(self, monkeypatch, happens, writes):
        self.happens = happens
        self.left = writes
        self.frozen = False
        self._write_at = _journal.write_at
        self._ftruncate, self._unlink = os.ftruncate, os.unlink
        for module in (_journal, _paged):
            monkeypatch.setattr(module, "write_at", self.write_at)
        self._reserve = _paged._reserve
        monkeypatch.setattr(_paged, "_reserve", self.reserve)
        monkeypatch.setattr(os, "ftruncate", self.ftruncate)
        monkeypatch.setattr(os, "unlink", self.unlink)

    def write_at(self, file, data, at):
        self.left -= 1
        if self.left == 0 and self.happens == "full":
            part = memoryview(data)[: len(data) // 2]
            self._write_at(file, part, at)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.left == 0 and self.happens == "killed":
            self.frozen = True
            if len(data) != _journal.PAGE:  # a page is written as a whole, or not at all
                self._write_at(file, memoryview(data)[: len(data) // 2], at)
        if not self.frozen:
            self._write_at(file, data, at)

    def reserve(self, file, at, size):
        if not self.frozen:
            self._reserve(file, at, size)

    def ftruncate(self, file, size):
        if not self.frozen:
            self._ftruncate(file, size)

    def unlink(self, *args, **kwargs):
        if not self.frozen:
            self._unlink(*args, **kwargs)


def record(n):
    return record_of(Dat((b"%d" % n * 500,), f'{{"n":{n}}}', origin=n))


def read_all(root, name="a.h5", group=("g",)):
    stores = Stores(compression="", zarr_compression="", sync=False, max_message=1 << 20)
    with Root(root).place(name, create=False) as place:
        reader = stores.of(name).reader(place, group)
    try:
        return [dat_of(one) for one in reader]
    finally:
        reader.close()


def write_until(root, disk, count=12):
    """Writes records until the disk is frozen or all are written; returns how many of them
    were acknowledged, and those that were not."""
    acknowledged, refused = 0, []
    with Root(root).place("a.h5", create=True) as place:
        writer = Hdf5Store().writer(place)
    try:
        for n in range(count):
            try:
                writer.append(("g",), record(n))
                writer.commit()
            except StoreError as failed:
                assert "No space left on device" in str(failed)
                refused.append(n)
                continue
            if disk is not None and disk.frozen:
                break
            acknowledged += 1
            with contextlib.suppress(StoreError):
                writer.settle()
    finally:
        with contextlib.suppress(StoreError):
            writer.close()
    return acknowledged, refused


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A file with some records, as an earlier server has left it."""
    root = tmp_path_factory.mktemp("begun")
    write_until(root, None, 9)
    return root


@pytest.mark.parametrize("fresh", [True, False], ids=["a new file", "one that is there"])
def test_killed_at_any_write(tmp_path, monkeypatch, begun, fresh):
    """Whatever write is the last one, what was acknowledged is read back, and no half of
    anything else."""
    crashes = 0
    for writes in range(1, 1000, STRIDES[0] if fresh else STRIDES[1]):
        root = tmp_path / str(writes)
        root.mkdir() if fresh else shutil.copytree(begun, root)
        there = 0 if fresh else 9
        with monkeypatch.context() as patch:
            disk = Disk(patch, "killed", writes)
            acknowledged, _ = write_until(root, disk)
        if not disk.frozen:
            break
        crashes += 1
        recover(root)
        if (root / "a.h5").exists() or there or acknowledged:
            with h5py.File(root / "a.h5"):
                pass  # HDF5 can read it, too
            with (
                contextlib.nullcontext()
                if acknowledged + there
                else contextlib.suppress(StoreError)
            ):
                back = read_all(root)
                numbers = [*range(9)] * (not fresh) + [*range(12)]
                assert there + acknowledged <= len(back) <= there + acknowledged + 1
                assert [dat.origin for dat in back] == numbers[: len(back)]
                assert all(d.payload == (b"%d" % d.origin * 500,) for d in back)
        assert [path.name for path in root.iterdir()] in ([], ["a.h5"])
        # And goes on.
        assert write_until(root, None, 1) == (1, [])
        shutil.rmtree(root)
    assert crashes > 3


@pytest.mark.parametrize("fresh", [True, False], ids=["a new file", "one that is there"])
def test_a_full_disk_at_any_write(tmp_path, monkeypatch, begun, fresh):
    """One record is refused at the most, whichever write finds the disk full; all that was
    acknowledged, before and after it, is there."""
    for writes in range(2, 1000, STRIDES[0] if fresh else STRIDES[1]):
        root = tmp_path / str(writes)
        root.mkdir() if fresh else shutil.copytree(begun, root)
        with monkeypatch.context() as patch:
            disk = Disk(patch, "full", writes)
            try:
                acknowledged, refused = write_until(root, disk)
            except StoreError as failed:
                assert fresh and "No space left on device" in str(failed)
                continue  # it could not even be made
        recover(root)
        back = [dat.origin for dat in read_all(root)]
        assert back == [*range(9)] * (not fresh) + [n for n in range(12) if n not in refused]
        assert len(refused) <= 1 and acknowledged == 12 - len(refused)
        shutil.rmtree(root)
        if disk.left > 0:
            break
    else:
        raise AssertionError("it never ends")
    assert writes > 30


def test_a_journal_that_is_not_the_files_is_left_alone(tmp_path, monkeypatch, begun):
    """A file that was replaced, or changed, since the crash is not spoilt."""
    root = tmp_path / "root"
    shutil.copytree(begun, root)
    with monkeypatch.context() as patch:
        disk = Disk(patch, "killed", 10)
        write_until(root, disk)
    assert (root / "a.h5.journal").stat().st_size
    with h5py.File(root / "a.h5", "a") as file:
        file.create_group("mine").attrs["note"] = "keep this"
    before = (root / "a.h5").read_bytes()
    assert recover(root) == []
    assert (root / "a.h5").read_bytes() == before
    with pytest.raises(StoreError, match="is not the journal of the file beside it"):
        write_until(root, None)
    assert (root / "a.h5").read_bytes() == before


async def test_what_a_server_has_open_is_not_left(gateway, tmp_path, caplog):
    """To complete what killed servers have left says nothing of one that is alive."""
    async with serving(gateway, tmp_path):
        async with gateway.give(where("a.h5")) as flow:
            await flow.put(b"1")
            with caplog.at_level("WARNING", "zioflow.files"):
                assert await asyncio.to_thread(recover, tmp_path) == []
            assert not caplog.records
            await flow.put(b"2")


async def test_two_servers_on_one_file(gateway, tmp_path):
    """The second one is refused, and leaves the file alone; so is HDF5 itself, and where
    that was first the server."""
    async with serving(gateway, tmp_path, "one"), serving(gateway, tmp_path, "two"):
        async with gateway.give(where("a.h5", to="one")) as flow:
            await flow.put(b"1")
            with pytest.raises(FlowError, match="a.h5 is being written by another file server"):
                await give(gateway, where("a.h5", to="two"), b"2")
            with pytest.raises(OSError, match="unable to lock file"):
                h5py.File(tmp_path / "a.h5", "a")
            await flow.put(b"3")
        back = await take(gateway, where("a.h5", to="two"))
    assert [dat.payload for dat in back] == [(b"1",), (b"3",)]
    async with serving(gateway, tmp_path):
        with h5py.File(tmp_path / "a.h5", "a") as file:
            for attempt in (give(gateway, where("a.h5"), b"4"), take(gateway, where("a.h5"))):
                with pytest.raises(FlowError, match="a.h5 is being written by another program"):
                    await attempt
            assert len(file["g"]) == 2


async def test_a_file_in_swmr_mode_is_left_alone(gateway, tmp_path):
    """Its writer holds no lock: nobody knows whether it is there."""
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        file.create_group("g")
        file.swmr_mode = True
        for attempt in (give(gateway, where("a.h5"), b"4"), take(gateway, where("a.h5"))):
            async with serving(gateway, tmp_path):
                with pytest.raises(FlowError, match="a.h5 is marked as being written in SWMR mode"):
                    await attempt


async def test_marks_that_a_killed_program_has_left(gateway, tmp_path):
    """A file of libver="latest" whose writer was killed: HDF5 itself refuses it."""
    code = (
        "import h5py, os\n"
        "file = h5py.File('a.h5', 'w', libver='latest')\n"
        "file['g/0001/tensors/00'] = [1, 2]\n"
        "file.flush()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=30)
    with pytest.raises(OSError, match="consistency flags"):
        h5py.File(tmp_path / "a.h5")
    async with serving(gateway, tmp_path):
        assert len(await take(gateway, where("a.h5"))) == 1
        async with gateway.give(where("a.h5"), credit=1) as flow:
            await flow.put(b"2")
            await flow.put(b"3")
            with h5py.File(tmp_path / "a.h5") as file:  # no marks while it is written
                assert "0002" in file["g"]
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(file["g"]) == 3


class Server:
    """`zioflow serve-files` as a process of its own, started by the words of `before`."""

    def __init__(self, program, root, *flags, before=()):
        rules_file = root.parent / "rules.json"
        rules_file.write_text(RULES.replace("{to}", "killed"))
        command = [sys.executable, "-m", "zioflow", "serve-files", str(rules_file)]
        command += [f"--root={root}", f"--gateway={program.address}", "--name=killed", *flags]
        command += ["--match=attributes.to == 'killed'"]
        self.log = (root.parent / "log").open("ab")
        self.process = subprocess.Popen(
            [*before, *command],
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )

    async def __aenter__(self):
        line = await asyncio.to_thread(self.process.stdout.readline)
        assert line.startswith(b"serving flows of "), (self.log.name, line)
        return self

    async def __aexit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self.process.wait, 20)
        finally:
            self.process.kill()
            self.process.stdout.close()
            self.log.close()


async def _give_numbers(gateway, attributes, given):
    """Gives numbers until the flow ends; with a credit of 1, all but the last are used."""
    with contextlib.suppress(FlowError):
        async with gateway.give(attributes, credit=1) as flow:
            if flow.bot.taken_by.route != "killed":
                return  # opened when the server was gone: another handler would take for ever
            for n in range(1 << 30):
                await flow.put(numpy.full(1 + n % 5000, n), label={"n": n})
                given[0] = n


@pytest.mark.limit(60 + 40 * KILLS)
async def test_killed_in_the_middle(gateway, program, tmp_path):
    """With flows into one file and into others: all that was paid for is read back."""
    root = tmp_path / "root"
    root.mkdir()
    chance = random.Random(int(os.environ.get("SOAK_SEED", "1")))
    given = {}
    direct = 0
    for kill in range(KILLS):
        # All is read after each kill: other files now and then, or that takes ever longer.
        folder = f"after{kill - kill % 10}"
        places = _places(folder)
        async with Server(program, root, f"--compression={['', 'gzip:1'][kill % 2]}") as server:
            counts = {place: [-1] for place in places}
            flows = [
                asyncio.ensure_future(
                    _give_numbers(gateway, where(*place, to="killed"), counts[place])
                )
                for place in places
            ]
            enough = chance.randrange(5, 60)
            while sum(count[0] for count in counts.values()) < enough * len(places):
                await asyncio.sleep(chance.random() / 50)
            server.process.kill()
            await asyncio.gather(*flows)
        direct += _readable(root / folder)
        recover(root)
        for place, count in counts.items():
            _check_all(root, place, given.setdefault(place, []), count[0])
    print(f"{direct} of {3 * KILLS} files of HDF5 could be read before they were completed")


def _places(folder):
    places = [(f"{folder}/all.h5", f"flow/{n}") for n in range(4)]
    places += [(f"{folder}/one.h5", "g"), (f"{folder}/b/two.h5", "g")]
    if importlib.util.find_spec("zarr"):
        places.append((f"{folder}/three.zarr", "g"))
    return places


def _check_all(root, place, given, paid):
    """A group has what it had before, and then numbers from 0 on, up to the one that was
    paid for last; they are added to what was given."""
    file, group = place
    # Of a flow that came to nothing there may be nothing, not even a file.
    nothing = paid < 0 and not given
    back = []
    with contextlib.suppress(StoreError) if nothing else contextlib.nullcontext():
        back = read_all(root, file, tuple(group.split("/")))
    new = [dat.attributes["n"] for dat in back[len(given) :]]
    assert new == list(range(len(new)))
    assert len(new) >= paid, "a DAT that was paid for is lost"
    given += new
    assert len(back) == len(given), "a DAT that was read before is lost"
    for dat, n in zip(back, given):
        assert dat.array().tolist() == [n] * (1 + n % 5000)


def _readable(root):
    count = 0
    for file in root.rglob("*.h5"):
        with contextlib.suppress(OSError, RuntimeError), h5py.File(file) as found:
            found.visititems(lambda name, item: item[()] if hasattr(item, "dtype") else None)
            count += 1
    return count


async def test_a_full_disk(gateway, program, tmp_path):
    """Here a limit to what a file may have: the flow ends with a reason, nothing that was
    acknowledged is lost, and other files are still written."""
    root = tmp_path / "root"
    root.mkdir()
    limited = ["bash", "-c", 'ulimit -f 400; exec "$@"', "bash"]  # KiB
    async with Server(program, root, before=limited):
        with pytest.raises(FlowEnded, match="a.h5: File too large") as ended:
            async with gateway.give(where("a.h5", to="killed")) as flow:
                for n in range(100):
                    await flow.put(numpy.full(5000, n, "u2"))
        taken = ended.value.taken
        assert 30 < taken < 41
        assert len(await take(gateway, where("a.h5", to="killed"))) == taken
        await give(gateway, where("a.h5", to="killed"), b"this one fits")
        await give(gateway, where("b.h5", to="killed"), *(b"1" for _ in range(20)))
    with h5py.File(root / "a.h5") as file:
        assert len(file["g"]) == taken + 1
        assert (file[f"g/{taken:04d}/tensors/00"][()] == taken - 1).all()
    with h5py.File(root / "b.h5") as file:
        assert len(file["g"]) == 20


def test_what_is_read_does_not_change_while_more_is_written(tmp_path):
    """Page by page, and as messages."""
    with Root(tmp_path).place("a.h5", create=True) as place:
        writer = Hdf5Store().writer(place)
        for n in range(30):
            writer.append(("g",), record(n))
        writer.commit()
        writer.settle()
        snapshot, reader = writer._paged.snapshot(), writer.reader(("g",))
        size = snapshot.seek(0, os.SEEK_END)
        before, after = bytearray(size), bytearray(size)
        snapshot.seek(0)
        snapshot.readinto(before)
        records = iter(reader)
        back = [dat_of(next(records)).origin]
        for n in range(30, 200):
            writer.append(("g",), record(n))
            writer.commit()
            assert writer.settle()
        snapshot.seek(0)
        snapshot.readinto(after)
        assert before == after
        assert (tmp_path / "a.h5").read_bytes()[:size] != after
        back += [dat_of(one).origin for one in records]
        assert back == list(range(30))
        reader.close()
        snapshot.close()
        writer.close()


def test_a_file_has_all_its_disk_space(tmp_path, monkeypatch):
    """There are no holes, for which the disk would be full when it is too late: neither at
    once, nor where it was full before."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = os.open(tmp_path, os.O_RDONLY)
    file = os.open(tmp_path / "a", os.O_RDWR | os.O_CREAT)
    paged = _paged.PagedFile(file, _journal.Journal(folder, "a"), sync=False)
    with monkeypatch.context() as patch:
        patch.setattr(_paged, "_reserve", full)
        paged.truncate(1 << 20)
    assert paged.error is not None and paged.error.errno == errno.ENOSPC
    paged.roll_back()
    paged.truncate(1 << 20)
    paged.seek(2 << 20)
    paged.write(b"behind a hole")
    assert paged.error is None
    paged.commit()
    assert paged.settle()
    paged.close()
    os.close(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").stat().st_blocks * 512 >= 2 << 20
