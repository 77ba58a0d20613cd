"""The files that are open, each with one writer, off the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ._paths import Root, group_parts
from .errors import FileServerError, StoreError
from .layout import Record
from .store import Reader, Writer
from .stores import Stores

_log = logging.getLogger("zioflow.files")

_T = TypeVar("_T")

#: Records that are written before they are committed: so many, and of so many bytes.
_MAX_BATCH, _MAX_BYTES = 256, 64 << 20
#: How long a file stays open that nobody writes, and how often it is tried to show others
#: what they have kept from being shown by reading, in seconds.
_LINGER, _AGAIN = 1.0, 0.25
#: How often that is tried when the server ends. Then the journal stays, for the next one.
_LAST_TRIES = 8

_Job = tuple[tuple[str, ...], Record, "asyncio.Future[None]"]


class OpenFile:
    """One file that is written, by any number of flows. It belongs to an event loop."""

    def __init__(self, name: str, open_writer: Callable[[], Writer], work: Files) -> None:
        self._name = name
        self._work = work
        self.users = 0
        #: Whether it is too late to use it.
        self.leaving = False
        self._jobs: list[_Job] = []
        self._news = asyncio.Event()
        self._closing = False
        # Held by who has the writer in a thread.
        self._turn = asyncio.Lock()
        self._writer: Writer | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.ensure_future(self._run(open_writer))

    async def ready(self, group: tuple[str, ...]) -> None:
        """Returns when messages can be written to a group; FileServerError says why not."""
        await asyncio.shield(self._ready)
        await self._alone(lambda writer: writer.open_group(group))

    async def _alone(self, do: Callable[[Writer], _T]) -> _T:
        async with self._turn:
            if self._writer is None:
                raise StoreError(f"{self._name} has been closed")
            writer = self._writer
            return await self._work.in_thread(lambda: do(writer))

    async def write(self, group: tuple[str, ...], record: Record) -> None:
        """Returns when the record will be read whatever happens to this process;
        FileServerError says why it will not be at all."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.append((group, record, done))
        self._news.set()
        await done

    async def reader(self, group: tuple[str, ...]) -> Reader:
        """The messages that have been written to a group so far."""
        await asyncio.shield(self._ready)
        return await self._alone(lambda writer: writer.reader(group))

    def told(self) -> None:
        """Has the file look whether it is still wanted."""
        self._news.set()

    async def close(self) -> None:
        """Returns when everything is written and the file is closed."""
        self._closing = True
        self._news.set()
        await asyncio.wait({self.task})

    async def _run(self, open_writer: Callable[[], Writer]) -> None:
        try:
            self._writer = await self._work.in_thread(open_writer)
        except BaseException as failed:
            self.leaving = True
            self._work.forget(self._name, self)
            self._ready.set_exception(failed)
            self._ready.exception()  # maybe nobody waits for it
            return
        self._ready.set_result(None)
        try:
            await self._serve()
        finally:
            self.leaving = True
            await self._end()
            self._work.forget(self._name, self)

    async def _end(self) -> None:
        for _, _, done in self._jobs:
            if not done.done():
                done.set_exception(StoreError(f"{self._name} has been closed"))
        async with self._turn:
            writer, self._writer = self._writer, None
            assert writer is not None
            try:
                await self._work.in_thread(writer.close)
            except FileServerError as failed:
                _log.warning("a file was not closed well: %s", failed)

    async def _serve(self) -> None:
        """Writes until nobody wants the file any more, or it is to be closed."""
        shown, tries = True, 0
        while True:
            if not self._jobs:
                if self._closing and (shown or tries == _LAST_TRIES):
                    return
                tries += self._closing
                idle = None if self.users else _LINGER
                quiet = await self._quiet(idle if shown else _AGAIN)
                if quiet and shown and not self.users:
                    return
                if shown and not self._jobs:
                    continue
            shown = await self._write_some()

    async def _write_some(self) -> bool:
        """Writes what waits; returns whether others see it."""
        batch = self._batch()
        results, shown = await self._alone(lambda writer: _write(writer, batch))
        for (_, _, done), failed in zip(batch, results):
            if done.done():
                continue  # nobody waits for it any more
            if failed is None:
                done.set_result(None)
            else:
                done.set_exception(failed)
        return shown

    async def _quiet(self, seconds: float | None) -> bool:
        """Waits for news; returns whether there was none for so long."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except asyncio.TimeoutError:
            return True
        self._news.clear()
        return False

    def _batch(self) -> Sequence[_Job]:
        size = count = 0
        for _, record, _ in self._jobs[:_MAX_BATCH]:
            size += record.size
            count += 1
            if size > _MAX_BYTES:
                break
        batch, self._jobs = self._jobs[:count], self._jobs[count:]
        return batch


def _write(writer: Writer, batch: Sequence[_Job]) -> tuple[list[FileServerError | None], bool]:
    """Writes a batch; returns for each of it what went wrong, and whether others see it."""
    results: list[FileServerError | None] = [None] * len(batch)
    try:
        if batch:
            for group, record, _ in batch:
                writer.append(group, record)
            writer.commit()
    except FileServerError as failed:
        results = [failed] if len(batch) == 1 else [_write_one(writer, job) for job in batch]
    try:
        return results, writer.settle()
    except FileServerError as failed:
        # It is kept, and will be tried again.
        _log.warning("what was written is not shown yet: %s", failed)
        return results, False


def _write_one(writer: Writer, job: _Job) -> FileServerError | None:
    group, record, _ = job
    try:
        writer.append(group, record)
        writer.commit()
    except FileServerError as failed:
        return failed
    return None


class Files:
    """All files that are open below a root. It belongs to an event loop."""

    def __init__(self, root: Root, stores: Stores, *, threads: int) -> None:
        self._root = root
        self._stores = stores
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="zioflow-files")
        self._open: dict[str, OpenFile] = {}

    async def in_thread(self, do: Callable[[], _T]) -> _T:
        """What a function returns or raises, which may take its time. It is waited for even
        if the caller is cancelled."""
        work = asyncio.get_running_loop().run_in_executor(self._pool, do)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work})
            if not work.cancelled():
                work.exception()
            raise

    async def opened(self, name: str, group: str) -> OpenFile:
        """A file whose group is ready to be written, with one more user; FileServerError
        says why there is none."""
        parts = group_parts(group)
        while (file := self._open.get(name)) is not None and file.leaving:
            await asyncio.wait({file.task})
        if file is None:
            file = self._begin(name)
        file.users += 1
        try:
            await file.ready(parts)
        except BaseException:
            self.release(file)
            raise
        return file

    async def reader(self, name: str, group: str) -> Reader:
        """The messages of a group of a file, whether it is being written here or not."""
        parts = group_parts(group)
        while (file := self._open.get(name)) is not None and file.leaving:
            await asyncio.wait({file.task})
        if file is None:
            return await self.in_thread(lambda: self._open_reader(name, parts))
        file.users += 1
        try:
            return await file.reader(parts)
        finally:
            self.release(file)

    def _open_reader(self, name: str, group: tuple[str, ...]) -> Reader:
        with self._root.place(name, create=False) as where:
            return self._stores.of(name).reader(where, group)

    def _begin(self, name: str) -> OpenFile:
        def open_writer() -> Writer:
            with self._root.place(name, create=True) as where:
                return self._stores.of(name).writer(where)

        file = self._open[name] = OpenFile(name, open_writer, self)
        return file

    def release(self, file: OpenFile) -> None:
        """The file has one user less."""
        file.users -= 1
        file.told()

    def forget(self, name: str, file: OpenFile) -> None:
        """The file is not open any more."""
        if self._open.get(name) is file:
            del self._open[name]

    async def close(self) -> None:
        """Returns when all files are closed."""
        while self._open:
            await asyncio.gather(*(file.close() for file in self._open.values()))
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)
