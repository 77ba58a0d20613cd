"""The thread that listens at the gateway for BOTs."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from .._retry import Pauses, is_final
from ..errors import FlowError
from ..gateway import Gateway
from ..handler import Offer
from ._request import Request

_log = logging.getLogger("zioflow")


class Listening:
    """A listener in a thread of its own, with a queue of what it is offered.

    If the gateway goes away it registers anew when it is back. How many requests can
    wait here the gateway bounds, by `max_flows` and its own --max-pending.
    All methods may be called from any thread.
    """

    def __init__(
        self,
        address: str,
        *,
        name: str,
        match: str,
        max_flows: int,
        check: Callable[[], None] = lambda: None,
        **connection: Any,
    ) -> None:
        """Returns when the gateway has registered the listener; FlowError says why not.

        check raises if there is no sense in waiting for the gateway to come back.
        """
        self._address = address
        self._listener = {"name": name, "match": match, "max_flows": max_flows}
        self._check = check
        self._connection = connection
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._registered = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name=f"zioflow {name}", daemon=True)
        self._thread.start()
        self._registered.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def next(self, timeout: float | None) -> Request | None:
        """The next request; None when none has come within so many seconds.

        Raises what has ended the listener, or ValueError if it was closed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                # Python 3.10 takes a timeout of 0 for none.
                request = self._requests.get(block=left != 0, timeout=left)
            except queue.Empty:
                return None
            if request is None:
                self._requests.put(None)  # for whoever asks next
                raise self._ended()
            if not request.gone:
                return request

    def close(self) -> None:
        """Stops listening, and waits for the thread. Closing again does nothing.

        What no verdict has been given on goes back to the gateway.
        """
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            try:
                loop.call_soon_threadsafe(stop.set)
            except RuntimeError:  # it is closed already
                pass
        self._thread.join()

    def _ended(self) -> BaseException:
        if self._error is None:
            return ValueError("the listener has been closed")
        return self._error._again() if isinstance(self._error, FlowError) else self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - next and the constructor raise it
            self._error = error
        finally:
            self._requests.put(None)
            self._registered.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        pauses = Pauses()
        async with Gateway(self._address, **self._connection) as gateway:
            while not self._stop.is_set():
                self._listens = False
                try:
                    await self._listen(gateway)
                except FlowError as error:
                    self._check()
                    if not self._registered.is_set() or is_final(error):
                        raise
                    level = logging.WARNING if self._listens else logging.DEBUG
                    _log.log(level, "the gateway at %s is lost: %s", self._address, error)
                if self._listens:
                    pauses.reset()
                await self._pause(pauses.next())

    async def _listen(self, gateway: Gateway) -> None:
        """Listens until the registration or this ends."""
        assert self._stop is not None
        async with gateway.handle(
            handler=self._offered,
            reconnect=False,
            **self._listener,  # type: ignore[arg-type]
        ) as listener:
            self._listens = True
            if self._registered.is_set():
                _log.warning("the gateway at %s is back", self._address)
            self._registered.set()
            ends = {
                asyncio.ensure_future(listener.wait()),
                asyncio.ensure_future(self._stop.wait()),
            }
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)

    async def _pause(self, seconds: float) -> None:
        assert self._stop is not None
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    async def _offered(self, offer: Offer) -> None:
        request = Request(offer)
        self._requests.put(request)
        await request.settled()
