"""A broker that is polled, as ZIO's own."""

from __future__ import annotations

from ._service import Service


class Broker(Service):
    """What `zio.flow.Broker` is, with a gateway that relays::

        broker = Broker("tcp://127.0.0.1:5555", factory)
        while True:
            try:
                broker.poll(1000)
            except TimeoutError:
                continue
        broker.stop()

    The factory is called by `poll`, in its thread, one BOT at a time. Flows go on
    without being polled.
    """

    def poll(self, timeout: float | None = None) -> None:
        """Has the factory judge one BOT, for which it waits so many milliseconds, or
        for ever.

        TimeoutError says that none came, RuntimeError that the factory refused one:
        its client has been told. What the factory raises refuses the BOT with these
        words, and is raised. `GatewayExited` and FlowError say that none will come
        any more, ValueError that the broker was stopped.
        """
        if self._stopped:
            raise ValueError("the broker has been stopped")
        request = self._listening.next(None if timeout is None else timeout / 1000)
        if request is None:
            raise TimeoutError(f"no BOT came within {timeout} ms")
        if request.ask(self.factory) is not None:
            raise RuntimeError(f"the factory refused {request.label}")
