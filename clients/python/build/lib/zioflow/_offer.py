"""What an offer is, whichever way it is handled."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._gen.zio.gateway.v1 import handler_pb2
from ._wire import read_bot
from .messages import Bot, BotOptions, Direction, write_bot

_EPOCH = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)


@dataclass(frozen=True)
class Peer:
    """What is attached to the gateway on one side of a flow."""

    #: "zmq-server", "zmq-router", "grpc" or "builtin".
    transport: str = ""
    #: Its network address, where known.
    address: str = ""
    #: Its name, where it has shown one.
    identity: str = ""


class _State(enum.Enum):
    OPEN = enum.auto()
    ACCEPTING = enum.auto()
    ACCEPTED = enum.auto()
    DELEGATED = enum.auto()
    DECLINED = enum.auto()


class AnyOffer:
    """What offers have in common, to be handled by asyncio or by threads."""

    #: The client's BOT; its direction is the handler's, its credit the client's
    #: proposal, 0 if it leaves that to the handler.
    bot: Bot
    #: When the offer lapses; the epoch where it was made by other means.
    deadline: datetime.datetime
    #: Who the client is.
    peer: Peer
    #: The token that accepts it, for a handler in another process.
    cid: int

    def __init__(
        self,
        cid: int,
        bot: Bot,
        *,
        deadline: datetime.datetime = _EPOCH,
        peer: Peer | None = None,
    ) -> None:
        self._state = _State.OPEN
        self.bot = bot
        self.deadline = deadline
        self.peer = peer or Peer()
        self.cid = cid

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes of the client's BOT."""
        return self.bot.attributes

    @property
    def direction(self) -> Direction:
        """What the handler has to do: EXTRACT to give, INJECT to take."""
        if self.bot.direction is None:
            raise ValueError("the offer names no direction")
        return self.bot.direction

    def delegate(self) -> int:
        """Leaves the offer to another process or a native peer; returns its cid.

        Whoever opens a flow with that cid accepts the offer. The handler has no more
        to do with it and may return, but may still decline it.
        """
        self._check_open()
        self._state = _State.DELEGATED
        return self.cid

    def _answer(
        self, want: Direction, attributes: Mapping[str, Any] | None, options: BotOptions
    ) -> Bot:
        """The BOT that accepts the offer, one of this direction."""
        if self.direction is not want:
            raise ValueError(f"the offer is one to {self.direction}, not to {want}")
        self._check_open()
        return write_bot(want, attributes, cid=self.cid, **options)

    def _check_open(self) -> None:
        if self._state is not _State.OPEN:
            raise RuntimeError("an offer can be accepted or declined only once")

    def _accepting(self) -> None:
        self._state = _State.ACCEPTING

    def _accepted(self) -> None:
        self._state = _State.ACCEPTED

    def _declining(self) -> None:
        if self._state in (_State.ACCEPTED, _State.DECLINED):
            raise RuntimeError("an offer can be accepted or declined only once")
        self._state = _State.DECLINED

    @property
    def _pending(self) -> bool:
        return self._state in (_State.OPEN, _State.ACCEPTING)


def read_offer(offer: handler_pb2.Offer) -> dict[str, Any]:
    """The arguments of an offer that came."""
    return {
        "cid": offer.cid,
        "bot": read_bot(offer.bot),
        "deadline": offer.deadline.ToDatetime(tzinfo=datetime.timezone.utc),
        "peer": Peer(offer.peer.transport, offer.peer.address, offer.peer.identity),
    }
