"""Files that ZIO's own file server has written, and what it reads of ours.

What is done here by hand, with h5py alone, is what the protocol page (section 4) says of
ZIO's writer and reader.
"""

from __future__ import annotations

import json

import pytest
from test_files import give, serving, take, where

numpy = pytest.importorskip("numpy")
h5py = pytest.importorskip("h5py")


def write_as_zio(group, seqno, arrays, *, parts=None, metadata=None, **attributes):
    """A message as ZIO's writer writes it."""
    message = group.create_group(f"{seqno:04d}")
    tensors = message.create_group("tensors")
    for name, value in {"flow": "DAT", **attributes, "seqno": seqno}.items():
        tensors.attrs[name] = value
    for part, array in zip(parts or range(len(arrays)), arrays):
        tensors.create_dataset(f"{part:02d}", data=array, chunks=True)
    if metadata:
        message.create_group("metadata").attrs.update(metadata)


def read_as_zio(group):
    """The messages of a group as ZIO's reader reads them: label, coords, parts.

    What it can't deal with fails here as it does there: it makes JSON of the label.
    """
    for seqno in range(1, 10000):
        message = group.get(f"{seqno:04d}")
        if not message:
            return
        tensors = message["tensors"]
        label = dict(tensors.attrs)
        coords = [int(label.pop(name)) for name in ("origin", "granule", "seqno")]
        for name, value in label.items():
            if type(value) is numpy.int64:
                label[name] = int(value)
        if "metadata" in message:
            label["metadata"] = dict(message["metadata"].attrs)
        parts = [None] * (max(int(name) for name in tensors) + 1)
        described = []
        for name, dataset in tensors.items():
            found = {**dataset.attrs, "shape": list(dataset.shape), "part": int(name)}
            found.update(dtype=dataset.dtype.kind, word=dataset.dtype.alignment)
            described.append(found)
            parts[int(name)] = dataset[:].tobytes()
        label["tensors"] = described
        yield json.loads(json.dumps(label)), coords, parts


async def test_what_zio_has_written_is_played_back_FILE_4(gateway, tmp_path):
    """In the order of its numbers, past a gap, and with TENS, which ZIO's own leaves out."""
    frame = numpy.arange(6, dtype="f4").reshape(2, 3)
    with h5py.File(tmp_path / "zio.hdf", "w") as file:
        group = file.create_group("test/raw")
        write_as_zio(group, 1, [frame], origin=42, granule=7, run=3, gain=1.5, site="x")
        write_as_zio(
            group,
            2,
            [numpy.array([1, 2, 3], ">i2"), numpy.array([True, False])],
            metadata={"who": "me", "n": 5, "list": [1, 2]},
            origin=42,
            granule=8,
        )
        write_as_zio(group, 4, [frame], parts=[2], origin=1, granule=9)
    async with serving(gateway, tmp_path):
        back = await take(gateway, where("zio.hdf", "test/raw"))
    assert [dat.origin for dat in back] == [42, 42, 1]
    assert [dat.granule for dat in back] == [7, 8, 9]
    first, second, third = back
    assert first.attributes == {
        "run": 3,
        "gain": 1.5,
        "site": "x",
        "TENS": {"tensors": [{"shape": [2, 3], "word": 4, "dtype": "f"}], "metadata": {}},
    }
    assert (first.array() == frame).all() and first.array().dtype == frame.dtype
    assert [array.tolist() for array in second.arrays()] == [[1, 2, 3], [True, False]]
    assert [array.dtype.str for array in second.arrays()] == ["<i2", "|b1"]
    assert second.attributes["TENS"]["metadata"] == {"who": "me", "n": 5, "list": [1, 2]}
    assert third.payload == (b"", b"", frame.tobytes())
    assert third.attributes["TENS"]["tensors"][0]["part"] == 2
    assert (third.array() == frame).all()


async def test_zios_files_are_appended_to(gateway, tmp_path):
    """In the formats that its version of HDF5 reads; its reader reads all of it."""
    with h5py.File(tmp_path / "zio.hdf", "w", libver=("earliest", "v108")) as file:
        group = file.create_group("test/raw")
        write_as_zio(group, 1, [numpy.ones(3)], origin=1, granule=2)
    async with serving(gateway, tmp_path):
        await give(gateway, where("zio.hdf", "test/raw"), numpy.full((2, 2), 5), numpy.ones(1))
        back = await take(gateway, where("zio.hdf", "test/raw"))
    assert [dat.array().shape for dat in back] == [(3,), (2, 2), (1,)]
    with h5py.File(tmp_path / "zio.hdf") as file:
        assert [coords[2] for _, coords, _ in read_as_zio(file["test/raw"])] == [1, 1, 2]


async def test_what_is_written_is_read_by_zio(gateway, tmp_path):
    arrays = [numpy.arange(6, dtype="i4").reshape(2, 3), numpy.linspace(0, 1, 5)]
    async with serving(gateway, tmp_path):
        async with gateway.give(where("a.hdf", "test/raw"), origin=9) as flow:
            await flow.put_arrays(
                *arrays,
                metadata={"who": "me", "run": 7, "good": True, "nested": {"a": 1}},
                label={"n": 1, "gain": 2.5, "site": "x", "yes": True, "list": [1], "none": None},
                granule=77,
            )
            await flow.put(numpy.asfortranarray(arrays[0]), b"opaque")
    with h5py.File(tmp_path / "a.hdf") as file:
        (label, coords, parts), second = read_as_zio(file["test/raw"])
        # The layout, to the letter.
        assert list(file["test/raw"]) == ["0001", "0002"]
        assert list(file["test/raw/0001"]) == ["metadata", "tensors"]
        assert list(file["test/raw/0001/tensors"]) == ["00", "01"]
        assert (file["test/raw/0001/tensors/00"][()] == arrays[0]).all()
    assert coords == [9, 77, 1]
    assert parts == [array.tobytes() for array in arrays]
    described = label.pop("tensors")
    assert [(t["dtype"], t["word"], t["shape"]) for t in described] == [
        ("i", 4, [2, 3]),
        ("f", 8, [5]),
    ]
    assert label == {
        "flow": "DAT",
        "n": 1,
        "gain": 2.5,
        "site": "x",
        "yes": 1,
        "metadata": {"who": "me", "run": 7, "good": 1},
    }
    assert second[2] == [arrays[0].tobytes(), b"opaque"]


async def test_what_was_changed_since_is_played_back_as_it_is(gateway, tmp_path):
    """The label that is kept is of no account where it does not fit any more."""
    async with serving(gateway, tmp_path):
        await give(gateway, where("a.h5"), numpy.arange(3), numpy.arange(3))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        tensors = file["g/0001/tensors"]
        del tensors["00"]
        tensors["00"] = numpy.ones((2, 2), "f4")
        file["g/0002/tensors/00"][...] = [7, 8, 9]
    async with serving(gateway, tmp_path):
        first, second = await take(gateway, where("a.h5"))
    assert first.array().tolist() == [[1, 1], [1, 1]]
    assert second.array().tolist() == [7, 8, 9]


async def test_what_cannot_be_sent_is_told_or_breaks_the_flow_off(gateway, tmp_path):
    """The first message is read while the offer can still be declined. Later ones are not:
    nobody is to take that for the end of what there is."""
    from zioflow import EndReason, FlowError

    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_as_zio(file.create_group("text"), 1, [numpy.array(["no", "numbers"], "O")])
        write_as_zio(file.create_group("large"), 1, [numpy.ones(1)])
        file["large"].create_dataset("0002/tensors/00", (1 << 40,), "u1", chunks=True)
        file["virtual/0001/tensors/00"] = h5py.SoftLink("/large/0001/tensors/00")
    for group, count, why in (
        ("text", 0, "a.h5 has elements of dtype object at /text/0001/tensors/00"),
        ("large", 1, "peer_gone"),
        ("virtual", 0, "a.h5 has a link at /virtual/0001/tensors/00"),
    ):
        back = []
        async with serving(gateway, tmp_path):
            with pytest.raises(FlowError, match=why) as broken:
                async for dat in gateway.get(where("a.h5", group)):
                    back.append(dat)
        assert broken.value.reason is (EndReason.PEER_GONE if count else EndReason.REJECTED)
        assert len(back) == count


async def test_native_peers_write_and_read(native_program, tmp_path):
    """Coords are those that a native peer gave its messages, gaps in seqno among them."""
    import asyncio

    from native import Dealer

    from zioflow import Gateway
    from zioflow.zio import Message

    array = numpy.arange(6, dtype="u2").reshape(2, 3)
    tens = {"tensors": [{"shape": [2, 3], "word": 2, "dtype": "u"}], "metadata": {}}

    def give_natively():
        with Dealer(native_program.router) as peer:
            peer.opens("extract", credit=2, **where("a.h5", to="native"))
            peer.expect("PAY")
            for seqno in (5, 9):
                peer._seqno = seqno
                message = Message(payload=[array.tobytes()], origin=8, granule=6)
                message.label_object = {"flow": "DAT", "TENS": tens, "n": seqno}
                peer.send(message)
            peer.say("EOT")
            while (message := peer.recv()).label_object["flow"] == "PAY":
                pass
            return message.label_object

    def take_natively():
        with Dealer(native_program.router) as peer:
            peer.opens("inject", credit=2, **where("a.h5", to="native"))
            peer.say("PAY", credit=2)
            messages = [peer.recv() for _ in range(3)]
            peer.say("EOT")
            return messages

    async with Gateway(native_program.address) as gateway:
        async with serving(gateway, tmp_path, "native"):
            assert await asyncio.to_thread(give_natively) == {"flow": "EOT", "taken": 2}
            one, two, eot = await asyncio.to_thread(take_natively)
    with h5py.File(tmp_path / "a.h5") as file:
        coords = [coords for _, coords, _ in read_as_zio(file["g"])]
    assert coords == [[8, 6, 5], [8, 6, 9]]
    assert one.label_object == {"flow": "DAT", "TENS": tens, "n": 5}
    assert two.label_object == {"flow": "DAT", "TENS": tens, "n": 9}
    assert (one.origin, one.granule, one.payload) == (8, 6, [array.tobytes()])
    assert eot.label_object["flow"] == "EOT"
