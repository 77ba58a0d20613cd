"""When what has failed is tried again, and what is not."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Union

import grpc

from .errors import FlowError

_log = logging.getLogger("zioflow")

#: The first and the longest time between two attempts, in seconds. With the channel's own
#: pauses a listener is back well before the two seconds are over that a flow waits for one.
_FIRST, _LONGEST = 0.05, 0.5
#: Not every process tries at the same time: by so much more or less.
_JITTER = 0.25

#: What the channel waits, in milliseconds: by itself it would soon wait for minutes.
CHANNEL_PAUSES = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
)

#: After these another attempt would end in the same way.
_FINAL = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.ALREADY_EXISTS,
)


def is_final(error: FlowError) -> bool:
    """Whether a listener that has ended in this way would do so again."""
    return error.code in _FINAL


class Pauses:
    """How long to wait, in seconds, before each further attempt."""

    def __init__(self) -> None:
        self._next = _FIRST

    def next(self) -> float:
        """The next pause, about twice as long as the one before."""
        pause, self._next = self._next, min(2 * self._next, _LONGEST)
        return pause * random.uniform(1 - _JITTER, 1 + _JITTER)

    def reset(self) -> None:
        """An attempt has succeeded."""
        self._next = _FIRST


@dataclass(frozen=True)
class ListenerState:
    """What has become of a listener."""

    #: "listening"; "reconnecting" after a loss, and after each further attempt that has
    #: failed; "closed" for good.
    state: Literal["listening", "reconnecting", "closed"]
    #: Why it is not listening; None if it was closed by the program.
    error: FlowError | None = None


#: Told what has become of a listener. It must not block; what it raises is logged.
OnState = Union[Callable[[ListenerState], None], None]


class Registration:
    """Whether and when a listener registers again."""

    def __init__(self, *, reconnect: bool, on_state: OnState) -> None:
        self._reconnect = reconnect
        self._on_state = on_state
        self._pauses = Pauses()

    def listening(self) -> None:
        """The gateway has registered it."""
        self._pauses.reset()
        self._tell(ListenerState("listening"))

    def lost(self, error: FlowError) -> float | None:
        """It has ended, or could not be registered again: the pause, in seconds, before the
        next attempt; None if there will be none."""
        if not self._reconnect or is_final(error):
            self._tell(ListenerState("closed", error))
            return None
        self._tell(ListenerState("reconnecting", error))
        return self._pauses.next()

    def closed(self) -> None:
        """The program has ended it."""
        self._tell(ListenerState("closed"))

    def _tell(self, state: ListenerState) -> None:
        if self._on_state is None:
            return
        try:
            self._on_state(state)
        except Exception:
            _log.exception("on_state failed")


class Attempts:
    """Whether opening a flow is tried again, for so many seconds in all."""

    def __init__(self, seconds: float) -> None:
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"retry is {seconds}, want a number of seconds, 0 or more")
        self._seconds = seconds
        self._until: float | None = None
        self._pauses = Pauses()

    def failed(self, error: FlowError) -> float | None:
        """The pause, in seconds, before the next attempt; None if there will be none.

        Only what failed before the other side had answered may get here: nothing was
        given or taken.
        """
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._seconds
        if error.code is not grpc.StatusCode.UNAVAILABLE and error.retry_after is None:
            return None
        pause = max(self._pauses.next(), error.retry_after or 0)
        return pause if now + pause < self._until else None
