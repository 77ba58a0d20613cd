"""What a flow runs on in threads: the seam between its rules and the network.

`zioflow.transport` is the same for asyncio.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..messages import Incoming, Outgoing


class Stream(Protocol):
    """The messages of one flow, as one side sends and receives them: what
    `zioflow.transport.Stream` is, for threads.

    One thread reads at a time. All else may be called by any thread at any time.
    """

    def write(self, frame: Any) -> None:
        """Sends what `Transport.encode` has made of a message, after all before it.

        Returns at once; `drain` tells whether it was sent.
        """

    def drain(self) -> bool:
        """Waits until there is room for more: here the network holds the sender back.

        False says that the stream ended before everything was on its way; `read` tells why.
        """
        ...

    def read(self) -> Incoming | None:
        """The next message; None when the other side has ended the stream in good order.

        FlowError says why it has ended otherwise, also after `cancel`.
        """
        ...

    def cancel(self) -> None:
        """Ends the stream at once, for both sides. Ending it again, or one that has
        ended, does nothing."""


class Transport(Protocol):
    """Opens streams; shared by any number of flows and threads: what
    `zioflow.transport.Transport` is, for threads."""

    def encode(self, message: Outgoing) -> Any:
        """The message as it is sent.

        ValueError says that it cannot be sent, as it is too large or a number in it is.
        What is returned does not change when the memory of the message's parts does.
        """
        ...

    def open(self) -> Stream:
        """A stream for one flow: this side will send a BOT first. Returns at once."""
        ...

    def decline(self, cid: int, detail: str) -> None:
        """Refuses the offer with this cid, saying why in at most 1,024 bytes of UTF-8.

        One that is gone needs no refusal. FlowError says that it could not be refused.
        """
