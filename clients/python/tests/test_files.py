"""The file server, behind the real gateway: what is written is read back the same."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from zioflow import Dat, EndReason, FlowEnded, FlowError, Tensor
from zioflow.messages import write_dat

numpy = pytest.importorskip("numpy")
h5py = pytest.importorskip("h5py")
from zioflow.files import FileServer, rules  # noqa: E402

#: A rule for each direction, as ZIO's own example has them.
RULES = json.dumps(
    [
        {
            "rule": f"(and (= to '{{to}}') (= direction '{direction}'))",
            "rw": rw,
            "filepat": "{file}",
            "grouppat": "{group}",
            "attr": {},
        }
        for direction, rw in (("inject", "w"), ("extract", "r"))
    ]
)
STORES = ["a.h5", "sub/dir/a.zarr"]


@contextlib.asynccontextmanager
async def serving(gateway, root, name="files", **options):
    """A file server below a folder, which takes the flows whose attribute `to` is its name."""
    ruleset = rules.parse(RULES.replace("{to}", name))
    async with FileServer(root, ruleset, **options) as files:
        match = f"attributes.to == '{name}'"
        async with gateway.handle(name, files.handle, match=match):
            yield files


def where(file, group="g", to="files", **attributes):
    return {"to": to, "file": file, "group": group, **attributes}


async def give(gateway, attributes, *dats, **options):
    async with gateway.give(attributes, **options) as flow:
        for dat in dats:
            await flow.put(dat)
    return flow.bot


async def take(gateway, attributes):
    return [dat async for dat in gateway.get(attributes)]


def dtypes():
    return [
        *(f"<{kind}" for kind in "?,i1,i2,i4,i8,u1,u2,u4,u8,f2,f4,f8,c8,c16".split(",")),
        ">f8",
        "longdouble",
        "clongdouble",
        "bfloat16",
        "float8_e4m3fn",
    ]


def array_of(dtype, shape):
    """An array of such elements whose bytes are all different, as far as they can be."""
    ml_dtypes = pytest.importorskip("ml_dtypes") if "float" in dtype else None
    kind = numpy.dtype(getattr(ml_dtypes, dtype) if ml_dtypes else dtype)
    count = int(numpy.prod(shape))
    if kind.itemsize in (16, 32) and kind.kind in "fc" and kind != numpy.dtype("c16"):
        return numpy.arange(count).astype(kind).reshape(shape) / 3  # no bytes of one's own
    data = numpy.arange(count * kind.itemsize, dtype="u1").tobytes()
    if kind == numpy.dtype("?"):
        data = bytes(n % 3 % 2 for n in range(count))
    return numpy.frombuffer(data, kind).reshape(shape)


def all_kinds(file):
    """DATs of every element type, from no dimension to five, with none of a length, and in
    either order; with what else a DAT may have."""
    shapes = [(), (3,), (2, 3), (2, 0, 3), (1, 2, 3, 4), (2, 1, 2, 1, 2)]
    if file.endswith(".zarr"):
        shapes = shapes[::2]  # it takes its time
    for dtype in dtypes():
        if "long" in dtype and file.endswith(".zarr"):
            continue  # see test_zarr_has_no_long_doubles
        for n, shape in enumerate(shapes):
            array = array_of(dtype, shape)
            order = "K" if n % 2 else "C"
            made = write_dat(
                (b"head", numpy.asarray(array, order="F"), Tensor(array, {"unit": "mV", "n": n})),
                label={"n": n, "nested": {"a": [1, None]}, "yes": True},
                metadata={"run": 7, "who": "me"},
                order=order,
            )
            payload = tuple(memoryview(part).tobytes() for part in made.payload)
            yield Dat(payload, made.label, origin=n, granule=1 << 63, level=n % 9)


@pytest.mark.parametrize("file", STORES)
async def test_what_is_written_is_read_back_the_same_FILE_4_FILE_5(gateway, tmp_path, file):
    if file.endswith(".zarr"):
        pytest.importorskip("zarr")
    given = list(all_kinds(file))
    async with serving(gateway, tmp_path):
        await give(gateway, where(file), *given)
        back = await take(gateway, where(file))
    assert len(back) == len(given) > 45
    for n, (one, other) in enumerate(zip(given, back), 1):
        assert other.payload == one.payload
        assert {"flow": "DAT", **json.loads(one.label)} == json.loads(other.label)
        assert (other.origin, other.granule, other.seqno) == (one.origin, one.granule, n)
        assert other.level == one.level
        for a, b in zip(one.tensors(), other.tensors()):
            assert (a.array.dtype, a.array.shape) == (b.array.dtype, b.array.shape)
            assert a.metadata == b.metadata


async def test_zarr_has_no_long_doubles(gateway, tmp_path):
    pytest.importorskip("zarr")
    async with serving(gateway, tmp_path):
        with pytest.raises(FlowEnded, match="after using 1 of . DATs: .*which Zarr has not"):
            await give(gateway, where("a.zarr"), b"1", numpy.ones(2, "longdouble"))
        assert [dat.payload for dat in await take(gateway, where("a.zarr"))] == [(b"1",)]


@pytest.mark.parametrize("file", STORES)
async def test_what_is_no_tensor_is_kept_as_well(gateway, tmp_path, file):
    given = [(b"a", b""), (), (b"\0" * 300,), ("text", numpy.eye(2), b"tail")]
    async with serving(gateway, tmp_path):
        await give(gateway, where(file), *given)
        back = await take(gateway, where(file))
    assert [dat.payload for dat in back[:3]] == [(b"a", b""), (), (b"\0" * 300,)]
    assert back[3].payload == (b"text", numpy.eye(2).tobytes(), b"tail")
    assert (back[3].array() == numpy.eye(2)).all()


@pytest.mark.parametrize("file", STORES)
async def test_flows_are_appended(gateway, tmp_path, file):
    """One flow after another into a group, with a server restarted between them."""
    for run in range(3):
        async with serving(gateway, tmp_path):
            await give(gateway, where(file), *(b"%d %d" % (run, n) for n in range(3)))
            await give(gateway, where(file, group="/"), b"of the root %d" % run)
    async with serving(gateway, tmp_path):
        back = await take(gateway, where(file))
        root = await take(gateway, where(file, group="/"))
    assert [d.payload[0] for d in back] == [b"%d %d" % (r, n) for r in range(3) for n in range(3)]
    assert [d.payload[0] for d in root] == [b"of the root %d" % run for run in range(3)]


@pytest.mark.parametrize("file", STORES)
async def test_many_flows_at_once(gateway, tmp_path, file):
    """Into one file, and one group, and while it is read."""
    count, each = (30, 5) if file.endswith("h5") else (6, 2)
    async with serving(gateway, tmp_path):

        async def one(n):
            dats = [b"%d %d" % (n, m) for m in range(each)]
            await give(gateway, where(file, group=f"flows/{n}"), *dats)
            back = await take(gateway, where(file, group=f"flows/{n}"))
            assert [dat.payload[0] for dat in back] == dats
            await give(gateway, where(file, group="shared"), *dats)

        await asyncio.gather(*(one(n) for n in range(count)))
        shared = [dat.payload[0] for dat in await take(gateway, where(file, group="shared"))]
    assert sorted(shared) == sorted(b"%d %d" % (n, m) for n in range(count) for m in range(each))


async def test_what_is_paid_for_is_in_the_file(gateway, tmp_path):
    """For any program that opens it, while the flow goes on."""
    async with serving(gateway, tmp_path):
        async with gateway.give(where("a.h5"), credit=1) as flow:
            assert flow.bot.attributes == {"file": "a.h5", "group": "g"}
            for n in range(1, 6):
                await flow.put(numpy.full(3, n))
            # The credit for this one is the receipt for all before it.
            await flow.put(b"last")
            with h5py.File(tmp_path / "a.h5") as file:
                assert set(file["g"]) >= {f"{n:04d}" for n in range(1, 6)}
                assert (file["g/0005/tensors/00"][()] == 5).all()
            # This reader may have kept the last one from being shown, for a moment.
            assert await shown(tmp_path / "a.h5", 6) == 6
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(file["g"]) == 6


async def shown(path, count):
    """Returns how many messages a file shows, once that are so many, or 20 s later."""
    there = 0
    for _ in range(400):
        with h5py.File(path) as file:
            there = len(file["g"])
        if there == count:
            break
        await asyncio.sleep(0.05)  # there is nothing to wait on but the file
    return there


async def test_a_reader_that_stays_sees_what_there_was(gateway, tmp_path):
    """And keeps nobody from writing; what it has held up is there when it has left."""
    async with serving(gateway, tmp_path):
        await give(gateway, where("a.h5"), *(numpy.full(9, n) for n in range(20)))
        with h5py.File(tmp_path / "a.h5") as file:
            await give(gateway, where("a.h5"), *(numpy.full(9, n) for n in range(20, 300)))
            assert len(await take(gateway, where("a.h5"))) == 300
            assert len(file["g"]) == 20
            for n in range(20):
                assert (file[f"g/{n + 1:04d}/tensors/00"][()] == n).all()
        assert len(await take(gateway, where("a.h5"))) == 300
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(file["g"]) == 300
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


BAD = {
    "a shape that does not fit": (
        Dat((b"12345",), '{"TENS":{"tensors":[{"shape":[2],"word":2,"dtype":"i"}]}}'),
        r"tensor 0 has 4 bytes by its shape \[2\], its part 5",
    ),
    "a part that is not there": (
        Dat((b"1",), '{"TENS":{"tensors":[{"shape":[1],"word":1,"dtype":"i","part":1}]}}'),
        "tensor 0 has part 1, but the payload has 1",
    ),
    "elements that nobody knows": (
        Dat((b"12",), '{"TENS":{"tensors":[{"shape":[1],"word":2,"dtype":"q"}]}}'),
        "tensor 0 has dtype 'q' of 2 bytes, which TENS has not",
    ),
    "no tensors": (Dat((b"12",), '{"TENS":[]}'), "TENS has no list of tensors"),
}


@pytest.mark.parametrize("bad, why", BAD.values(), ids=BAD.keys())
async def test_a_bad_dat_ends_its_own_flow_FILE_2(gateway, tmp_path, bad, why):
    """And what came before it stays, as do other flows of the same file."""
    async with serving(gateway, tmp_path):
        async with gateway.give(where("a.h5", group="good")) as good:
            await good.put(b"before")
            with pytest.raises(FlowEnded, match=f"after using 2 of . DATs: {why}") as ended:
                await give(gateway, where("a.h5"), b"1", numpy.ones(2), bad, b"2", b"3")
            assert ended.value.taken == 2
            await good.put(b"after")
        assert len(await take(gateway, where("a.h5"))) == 2
        assert len(await take(gateway, where("a.h5", group="good"))) == 2


REFUSED = {
    "no rule": ({"to": "files"}, "filepat '{file}': the flow has no attribute 'file'"),
    "no text": (where(["a"]), "file is no text"),
    "a directory of others": (where("../a.h5"), "'..' between its slashes"),
    "an absolute name": (where("/tmp/a.h5"), "an absolute one"),
    "a hidden one": (where(".ssh/a.h5"), "begins with a dot"),
    "a journal": (where("a.h5.journal"), "one of the file server's own"),
    "nothing": (where(""), "'' between its slashes"),
    "a folder": (where("a/"), "'' between its slashes"),
    "a NUL": (where("a\0.h5"), "a control character"),
    "a newline": (where("a\n.h5"), "a control character"),
    "too long a name": (where("a" * 300), "more than 200 bytes"),
    "too long a path": (where("a/" * 1500 + "b"), "more than 2000"),
    "a group above": (where("a.h5", "../x"), "'..' between its slashes"),
    "a Zarr group above": (where("a.zarr", "x/../../../x"), "'..' between its slashes"),
    "a Zarr group's own file": (where("a.zarr", "zarr.json"), "Zarr does not allow"),
    "a symbolic link to a folder": (where("link/a.h5"), "link is a symbolic link"),
    "a symbolic link to a file": (where("link.h5"), "link.h5 is a symbolic link"),
    "a symbolic link to Zarr": (where("link"), "link is a symbolic link"),
    "a pipe": (where("pipe.h5"), "no regular file|cannot be opened"),
    "a text": (where("text.h5"), "text.h5: .*"),
    "a dataset": (where("there.h5", "data"), "there.h5 has no group at /data"),
    "a message": (where("there.h5", "m/0001"), "there.h5 has a message at /m/0001"),
    "a link in the file": (where("there.h5", "out"), "there.h5 has a link at /out"),
}


@pytest.mark.parametrize("attributes, why", REFUSED.values(), ids=REFUSED.keys())
async def test_what_leads_elsewhere_is_refused_FILE_1_FILE_3(gateway, tmp_path, attributes, why):
    """With a reason; nothing outside of the root is touched, by writing or reading."""
    import os

    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    with h5py.File(outside / "secret.h5", "w") as file:
        file.create_group("g/0001/tensors")["00"] = numpy.ones(3)
    (root / "link").symlink_to(outside)
    (root / "link.h5").symlink_to(outside / "secret.h5")
    (root / "text.h5").write_text("no HDF5 at all\n" * 100)
    os.mkfifo(root / "pipe.h5")
    with h5py.File(root / "there.h5", "w") as file:
        file["data"] = numpy.ones(3)
        file.create_group("m/0001/tensors")["00"] = numpy.ones(3)
        file["out"] = h5py.ExternalLink(str(outside / "secret.h5"), "/g")
    before = (outside / "secret.h5").read_bytes()
    async with serving(gateway, root):
        for start in (gateway.give, gateway.take):
            if start == gateway.take and "m/0001" in attributes.values():
                continue  # there are no messages in a message
            with pytest.raises(FlowError, match=why if start == gateway.give else None) as refused:
                async with start(attributes):
                    pass
            assert refused.value.reason is EndReason.REJECTED
        # It goes on.
        await give(gateway, where("good.h5"), b"1")
    assert [path.name for path in outside.iterdir()] == ["secret.h5"]
    assert (outside / "secret.h5").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"root", "outside"}


async def test_what_is_missing_is_refused_FILE_1(gateway, tmp_path):
    async with serving(gateway, tmp_path):
        await give(gateway, where("a.h5"), b"1")
        for attributes, why in (
            (where("b.h5"), "b.h5 is not there"),
            (where("b/a.h5"), "b/a.h5 is not there"),
            (where("a.h5", "h"), "a.h5 has no group h"),
            (where("a.zarr"), "a.zarr is not there"),
        ):
            with pytest.raises(FlowError, match=why) as refused:
                await take(gateway, attributes)
            assert refused.value.reason is EndReason.REJECTED


async def test_a_flow_that_no_rule_takes_is_refused_FILE_1(gateway, tmp_path):
    ruleset = rules.parse('[{"rule": "(< run 5)", "rw": "r", "filepat": "{file}"}]')
    async with FileServer(tmp_path, ruleset) as files:
        async with gateway.handle("strict", files.handle, match="attributes.to == 'strict'"):
            for attributes, why in (
                ({}, "no rule takes the flow: rule 1: run is missing"),
                ({"run": 7}, "no rule takes the flow: rule 1: is false"),
                ({"run": "7"}, "rule 1: .*have no order"),
                ({"run": 1}, "rule 1 reads, and the client gives"),
            ):
                with pytest.raises(FlowError, match=why) as refused:
                    await give(gateway, {"to": "strict", "file": "a.h5", **attributes}, b"1")
                assert refused.value.reason is EndReason.REJECTED
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("compression", ["gzip", "gzip:9", "lzf", "zstd:3", "blosc2", "lz4"])
async def test_compression(gateway, tmp_path, compression):
    if compression[:2] not in ("gz", "lz") or compression == "lz4":
        pytest.importorskip("hdf5plugin")
    array = numpy.zeros((1000, 100), "i4")
    given = [array, numpy.float64(1), numpy.ones((2, 0))]
    async with serving(gateway, tmp_path, compression=compression):
        await give(gateway, where("a.h5"), *given)
        back = await take(gateway, where("a.h5"))
    assert [dat.payload[0] for dat in back] == [numpy.asarray(one).tobytes() for one in given]
    assert (tmp_path / "a.h5").stat().st_size < array.nbytes // 4


@pytest.mark.parametrize(
    "options, why",
    [
        ({"compression": "zip"}, "compression 'zip': want one of gzip, lzf, blosc"),
        ({"compression": "gzip:12"}, "gzip has levels, from 0 to 9"),
        ({"compression": "gzip:x"}, "want a name, or a name and a level"),
        ({"zarr_compression": "lzf"}, "Zarr has gzip"),
        ({"credit": 0}, "credit is 0"),
    ],
)
def test_wrong_options(tmp_path, options, why):
    if "zarr_compression" in options:
        pytest.importorskip("zarr")
    with pytest.raises(ValueError, match=why):
        FileServer(tmp_path, rules.parse(RULES), **options)
