"""The file server: flows into files and back, by a ruleset."""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from .._settings import MAX_MESSAGE
from ..errors import EndReason, FlowError
from ..handler import Offer
from ..messages import Dat, Direction
from ._open import Files
from ._paths import RESERVED, Root, group_parts
from .errors import FileServerError, Held
from .layout import dat_of, record_of
from .rules import Place, Ruleset
from .store import Reader
from .stores import Stores

_log = logging.getLogger("zioflow.files")

_T = TypeVar("_T")

#: So many offers wait for their files; others are accepted at once, since offers lapse.
_MAX_WAITING = 16


def recover(root: str | os.PathLike[str]) -> list[str]:
    """Completes what servers that were killed have left undone below a root; returns the
    files concerned. What cannot be completed is logged, and what another server writes is
    left alone. OSError if the root is no folder, StoreError if a package is missing."""
    stores = Stores(compression="", zarr_compression="", sync=False, max_message=MAX_MESSAGE)
    return _recover(Root(root), stores)


def _recover(root: Root, stores: Stores) -> list[str]:
    done = []
    for name in sorted(_journals(root)):
        try:
            with root.place(name, create=False) as where:
                if stores.of(name).recover(where):
                    _log.info("%s was completed, after a crash", name)
                    done.append(name)
        except Held as busy:
            _log.info("a journal is left: %s", busy)
        except FileServerError as failed:
            _log.warning("a journal is left: %s", failed)
    return done


def _journals(root: Root) -> Iterator[str]:
    """The files below a root that have a journal."""
    for folder, _, files in os.walk(root.path):
        for name in files:
            if name.endswith(RESERVED):
                path = os.path.join(folder, name.removesuffix(RESERVED))
                yield os.path.relpath(path, root.path)


class FileServer:
    """Handles flows: writes those that give, and plays back to those that take.

    An asynchronous context manager, whose `handle` is a handler for `Gateway.handle`::

        async with Gateway() as gateway, FileServer("data", rules.load("rules.json")) as files:
            async with gateway.handle("files", files.handle) as listener:
                await listener.wait()

    A DAT counts as used, and is paid for, when it is in its file and would be read even if
    this process were killed. What a flow may hold in memory is its credit, in DATs. Files
    are written in threads. A flow that cannot be written, or read, is refused or ended with
    the reason; no other one is touched.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        ruleset: Ruleset,
        *,
        credit: int = 4,
        compression: str = "",
        zarr_compression: str = "",
        sync: bool = False,
        max_message: int = MAX_MESSAGE,
        threads: int = 2,
    ) -> None:
        """All files are below the root, an existing folder, whatever a flow asks for.

        Credit is how many DATs of a flow may be under way at the most. Compression is that
        of HDF5: "gzip", "lzf", or one of hdf5plugin's, with a level where wanted: "gzip:4";
        zarr_compression is "gzip" or "zstd", likewise. With sync, a DAT is paid for when it
        would be read even if the machine stopped. max_message is the largest payload, in
        bytes, as in `Gateway`. Threads is how many files are worked on at once.

        StoreError if a package is missing, ValueError for a wrong argument, OSError if the
        root is no folder.
        """
        if credit < 1 or threads < 1:
            raise ValueError(f"credit is {credit}, threads {threads}: want 1 or more")
        self._stores = Stores(
            compression=compression,
            zarr_compression=zarr_compression,
            sync=sync,
            max_message=max_message,
        )
        self._root = Root(root)
        self._ruleset = ruleset
        self._credit = credit
        self._threads = threads
        self._files: Files | None = None
        self._waiting = 0

    async def __aenter__(self) -> FileServer:
        """Completes what a server that was killed has left undone below the root."""
        if self._files is not None:
            raise RuntimeError("the file server has been entered already")
        self._files = Files(self._root, self._stores, threads=self._threads)
        await self._files.in_thread(lambda: _recover(self._root, self._stores))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes all files. Leave the listener's block before."""
        if self._files is not None:
            await self._files.close()

    async def handle(self, offer: Offer) -> None:
        """Handles one flow: a handler for `Gateway.handle`."""
        try:
            place = self._find(offer)
            if place.write:
                await self._write(offer, place)
            else:
                await self._play(offer, place)
        except FileServerError as refused:
            _log.warning("a flow was refused: %s", refused)
            await offer.decline(str(refused))

    def _find(self, offer: Offer) -> Place:
        if offer.bot.left_out is not None and offer.bot.left_out.label_bytes:
            raise FileServerError("the BOT's label is too large")
        place = self._ruleset.find(attributes_of(offer))
        if place.write != (offer.direction is Direction.INJECT):
            does = "writes" if place.write else "reads"
            gives = "gives" if offer.direction is Direction.INJECT else "takes"
            raise FileServerError(f"rule {place.number} {does}, and the client {gives}")
        return place

    def _opened(self) -> Files:
        if self._files is None:
            raise RuntimeError("the file server has not been entered")
        return self._files

    async def _write(self, offer: Offer, place: Place) -> None:
        files, group = self._opened(), group_parts(place.group)
        opening = asyncio.ensure_future(files.opened(place.file, place.group))
        try:
            await self._within(opening, offer)
            async with offer.take(_answer(place), credit=self._credit) as flow:
                count = 0
                try:
                    file = await opening
                    async for dat in flow:
                        await file.write(group, record_of(dat, flow=flow.bot.flow_id))
                        count += 1
                except FileServerError as failed:
                    _log.warning("flow %d was ended: %s", flow.bot.flow_id, failed)
                    flow.refuse(str(failed))
            _log.info("flow %d: %d messages into %s", flow.bot.flow_id, count, _words(place))
        finally:
            _afterwards(opening, files.release)

    async def _play(self, offer: Offer, place: Place) -> None:
        files = self._opened()
        opening = asyncio.ensure_future(_Playback.begin(files, place))
        try:
            await self._within(opening, offer)
            async with offer.give(_answer(place), credit=self._credit) as flow:
                count = 0
                try:
                    playback = await opening
                    while playback.dat is not None:
                        await flow.put(playback.dat)
                        count += 1
                        await playback.go_on()
                except FileServerError as failed:
                    # The client must not take this for the end of all that there is.
                    raise FlowError(EndReason.UNSPECIFIED, str(failed)) from None
            _log.info("flow %d: %d messages out of %s", flow.bot.flow_id, count, _words(place))
        finally:
            _afterwards(opening, lambda playback: playback.close())

    async def _within(self, opening: asyncio.Future[Any], offer: Offer) -> None:
        """Waits for a file, so that the offer can still be declined, and raises why there
        is none. Where that takes long, or many wait, the offer is accepted meanwhile."""
        self._waiting += 1
        try:
            left = offer.deadline - datetime.datetime.now(datetime.timezone.utc)
            patience = left.total_seconds() / 2 if self._waiting <= _MAX_WAITING else 0
            await asyncio.wait({opening}, timeout=max(0.0, patience))
        finally:
            self._waiting -= 1
        if opening.done():
            opening.result()


class _Playback:
    """The messages of a group, the first of which has been read."""

    def __init__(self, files: Files, reader: Reader) -> None:
        self._files = files
        self._records = iter(reader)
        self.close = reader.close
        #: The one that is next; None at the end.
        self.dat: Dat | None = None

    @classmethod
    async def begin(cls, files: Files, place: Place) -> _Playback:
        """Opens the file, and reads the first message: FileServerError if that fails, of
        which the client can be told as long as its flow is not accepted."""
        playback = cls(files, await files.reader(place.file, place.group))
        try:
            await playback.go_on()
        except BaseException:
            playback.close()
            raise
        return playback

    async def go_on(self) -> None:
        """Reads the next message; FileServerError if it cannot be read."""
        self.dat = await self._files.in_thread(self._read)

    def _read(self) -> Dat | None:
        try:
            record = next(self._records, None)
            return dat_of(record) if record is not None else None
        except ValueError as failed:
            raise FileServerError(str(failed)) from None


def _afterwards(opening: asyncio.Future[_T], do: Callable[[_T], None]) -> None:
    """Does something with what was opened, once it is; nothing if that fails."""

    def done(opened: asyncio.Future[_T]) -> None:
        if not opened.cancelled() and opened.exception() is None:
            do(opened.result())

    opening.add_done_callback(done)


def _words(place: Place) -> str:
    return f"{place.file}, group {place.group}"


def _answer(place: Place) -> dict[str, Any]:
    """What the client is told: where its flow is."""
    return {"file": place.file, "group": place.group}


def attributes_of(offer: Offer) -> dict[str, Any]:
    """What a rule sees of an offer, beside its own attr."""
    bot = offer.bot
    return {
        **bot.attributes,
        "flow": "BOT",
        "direction": str(offer.direction),
        "credit": bot.credit,
        "cid": offer.cid,
        "origin": bot.origin,
        "granule": bot.granule,
        "seqno": bot.seqno,
    }
