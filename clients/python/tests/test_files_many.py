"""Very many flows at once into files, and back."""

from __future__ import annotations

import asyncio
import os

import pytest
from test_files import take, where
from test_files_crash import Server

numpy = pytest.importorskip("numpy")
h5py = pytest.importorskip("h5py")

#: The soak has a thousand at once.
FLOWS = int(os.environ.get("ZIOFLOW_SOAK_FLOWS", "24"))


@pytest.mark.limit(60 + FLOWS)
async def test_flows_at_once_are_read_back_equal(gateway, program, tmp_path):
    """Half of them into one file, the others into files of their own or of a few."""

    def place(n):
        if n % 2:
            return where("all.h5", f"flow/{n}", to="killed")
        file = f"own/{n}.h5" if n % 4 else f"some/{n % 10}.h5"
        return where(file, f"flow/{n}", to="killed")

    def arrays(n):
        chance = numpy.random.default_rng(n)
        sizes = chance.integers(0, 3000, 4)
        return [chance.integers(0, 1 << 15, size).astype("i2") for size in sizes]

    async def give(n):
        async with gateway.give(place(n), origin=n) as flow:
            await all_open.wait()  # they are all there at the same time
            for array in arrays(n):
                await flow.put(array)

    some = asyncio.Semaphore(50)

    async def check(n):
        async with some:
            back = await take(gateway, place(n))
        assert [(dat.origin, dat.seqno) for dat in back] == [(n, m) for m in range(1, 5)]
        for dat, array in zip(back, arrays(n)):
            assert dat.array().dtype == array.dtype and (dat.array() == array).all()

    all_open = asyncio.Barrier(FLOWS) if hasattr(asyncio, "Barrier") else _Barrier(FLOWS)
    root = tmp_path / "root"
    root.mkdir()
    async with Server(program, root):
        await asyncio.gather(*map(give, range(FLOWS)))
        await asyncio.gather(*map(check, range(FLOWS)))
    with h5py.File(root / "all.h5") as file:
        assert len(file["flow"]) == FLOWS // 2
    assert not list(root.rglob("*.journal"))


class _Barrier:
    """Python 3.10 has none."""

    def __init__(self, parties):
        self._missing = parties
        self._open = asyncio.Event()

    async def wait(self):
        self._missing -= 1
        if not self._missing:
            self._open.set()
        await self._open.wait()
