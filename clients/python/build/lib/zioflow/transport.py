"""What a flow runs on: the seam between its rules and the network.

`Gateway` runs flows on gRPC; another transport brings its own `Transport` and `Stream`, and
uses `Giver`, `Taker` and `Offer` as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from .messages import Incoming, Outgoing


class StreamEnded(Exception):
    """A message could not be sent, as the stream has ended; `read` tells why."""


class Stream(Protocol):
    """The messages of one flow, as one side sends and receives them.

    One task writes and one reads, each one message at a time; `cancel` may be called at
    any time, by whomever in the event loop's thread.
    """

    async def write(self, frame: Any) -> None:
        """Sends what `Transport.encode` has made of a message.

        Returns when there is room for the next one: here is where the network holds the
        sender back. StreamEnded says that it was not sent.
        """

    async def read(self) -> Incoming | None:
        """The next message; None when the other side has ended the stream in good order.

        FlowError says why it has ended otherwise; after `cancel` CancelledError may, too.
        """
        ...

    def cancel(self) -> None:
        """Ends the stream at once, for both sides. Ending it again, or one that has
        ended, does nothing."""


class Transport(Protocol):
    """Opens streams; shared by any number of flows."""

    def encode(self, message: Outgoing) -> Any:
        """The message as it is sent.

        ValueError says that it cannot be sent, as it is too large or a number in it is.
        What is returned does not change when the memory of the message's parts does.
        """
        ...

    def open(self) -> Stream:
        """A stream for one flow: this side will send a BOT first. Returns at once."""
        ...

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task, which closing the transport waits for. It ends when its stream does."""
        ...

    async def decline(self, cid: int, detail: str) -> None:
        """Refuses the offer with this cid, saying why in at most 1,024 bytes of UTF-8.

        One that is gone needs no refusal. FlowError says that it could not be refused.
        """
