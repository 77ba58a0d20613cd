"""One client's BOT on its way to a factory and back."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from typing import Any

from ..errors import FlowError, words_of
from ..handler import Offer
from ._message import for_factory

_log = logging.getLogger("zioflow")

#: For how long, in seconds, a factory's thread waits until the gateway knows of a
#: refusal. The gateway tells the client in any case.
_PATIENCE = 5.0


class Request:
    """A client's BOT that waits for a factory's verdict.

    Made in the event loop's thread, judged in another.
    """

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._loop = asyncio.get_running_loop()
        self._settled = asyncio.Event()  # belongs to the loop
        #: Whether the client, or its patience, is gone. Written by the loop's thread.
        self.gone = False

    async def settled(self) -> None:
        """Waits for the verdict. Cancelled: the offer was withdrawn."""
        try:
            await self._settled.wait()
        finally:
            self.gone = not self._settled.is_set()

    def ask(self, factory: Any) -> str | None:
        """Has the factory judge the BOT; returns why it has refused, None if it has not.

        What the factory raises refuses the BOT and is raised, whatever it is: its client
        waits for an answer all the same when it was SystemExit.
        """
        left_out = self._offer.bot.left_out
        if left_out is not None:
            size = left_out.payload_bytes + left_out.label_bytes
            refused = f"the BOT has {size} bytes, more than max_message"
        else:
            try:
                taken = bool(factory(for_factory(self._offer.bot)))
            except BaseException as error:
                text = words_of(error)
                self._refuse(f"{type(error).__name__}: {text}" if text else type(error).__name__)
                raise
            if taken:
                self._call(self._delegate())
                return None
            refused = "the factory refused it"
        self._refuse(refused)
        return refused

    @property
    def label(self) -> str:
        """The BOT's label, as the factory gets it."""
        return self._offer.bot.label

    async def _delegate(self) -> None:
        if self.gone:
            _log.warning("a factory took a BOT when its client had gone: it was too slow")
        else:
            self._offer.delegate()
        self._settled.set()

    def _refuse(self, detail: str) -> None:
        self._call(self._decline(detail))

    async def _decline(self, detail: str) -> None:
        try:
            await self._offer.decline(detail)
        except FlowError as error:
            _log.warning("a BOT could not be refused: %s", error)
        finally:
            self._settled.set()

    def _call(self, work: Any) -> None:
        """Runs a coroutine in the loop, and waits for it; does nothing if that has ended."""
        try:
            done = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # the loop is closed: the gateway has taken the offer back
            work.close()
            return
        try:
            done.result(_PATIENCE)
        except (concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
            _log.warning("the gateway has not answered to a factory's verdict")
