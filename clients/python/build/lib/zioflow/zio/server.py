"""Serving a factory in the background."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from ._service import Factory, Options, Service

if TYPE_CHECKING:
    from typing_extensions import Unpack

_log = logging.getLogger("zioflow")


class Server(Service):
    """A factory that is served by threads of its own; made by `serve`."""

    def __init__(
        self, where: Any, factory: Factory, *, threads: int = 1, **options: Unpack[Options]
    ) -> None:
        """See `serve`."""
        if threads < 1:
            raise ValueError(f"threads is {threads}, want 1 or more")
        super().__init__(where, factory, **options)
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"zioflow factory {n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def wait(self, timeout: float | None = None) -> None:
        """Waits until it is stopped, or for so many seconds.

        TimeoutError says that it goes on, `GatewayExited` or FlowError that it has
        ended by itself and why.
        """
        for thread in self._threads:
            thread.join(timeout)
            if thread.is_alive():
                raise TimeoutError("the factory is being served")
        if self._error is not None and not self._stopped:
            raise self._error

    def _work(self) -> None:
        while True:
            try:
                request = self._listening.next(None)
            except BaseException as error:  # noqa: BLE001 - wait raises it
                self._error = error
                return
            if request is None:
                continue
            try:
                refused = request.ask(self.factory)
            except BaseException:  # not only Exception: no BOT may end the thread
                _log.exception("a factory failed")
            else:
                if refused is not None:
                    _log.info("%s: %s", refused, request.label)

    def _stop_calling(self) -> None:
        for thread in self._threads:
            if thread is not threading.current_thread():  # a factory may stop its server
                thread.join()


def serve(where: Any, factory: Factory, *, threads: int = 1, **options: Unpack[Options]) -> Server:
    """Serves the flows that clients open by a factory of ZIO's::

        with serve("127.0.0.1:7575", factory) as server:
            server.wait()

    The factory is called with each client's BOT, and returns true if it has started a
    handler, which will say BOT with the same cid to the gateway. If it returns false
    the client is refused; if it raises, with these words, and the exception is logged
    by the logger "zioflow". Not even SystemExit ends the server.

    It is called by one thread, or as many as threads says; more than one is for
    factories that may be called by several at once. A BOT waits for its handler until
    the gateway's --pending-timeout, 5 s, which has to suffice for the calls before it.

    The other arguments are those of `Service`: where, name, match, max_flows,
    credentials, token, max_message, gateway, flags.
    """
    return Server(where, factory, threads=threads, **options)
