"""One flow's messages on one socket, without the socket: what asyncio and threads share."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import grpc

from ..errors import EndReason, FlowError
from ..messages import Bot, Eot, Incoming, Outgoing
from ..zio._message import Message
from . import _socket
from ._wire import HEAD_ROOM, Numbering, Reading, encode

#: What a DEALER has before every message.
_DELIMITER = b""


@dataclass(frozen=True)
class Frame:
    """A message that is ready but for its number."""

    message: Message
    is_eot: bool
    #: The flow's, in the BOT of a command's that was started for it; 0 where nobody knows.
    flow_id: int = 0


def frame(message: Outgoing, max_message: int) -> Frame:
    """See transport.Transport.encode."""
    encoded = encode(message, max_message + HEAD_ROOM)
    flow_id = _told(message.cid) if isinstance(message, Bot) else 0
    return Frame(encoded, isinstance(message, Eot), flow_id)


def _told(cid: int) -> int:
    """The id of the flow for which the gateway has started this program with that cid."""
    told = os.environ.get("ZIO_GATEWAY_FLOW", "")
    ours = cid != 0 and os.environ.get("ZIO_GATEWAY_CID") == str(cid)
    return int(told) if ours and told.isdecimal() else 0


class Exchange:
    """What one side sends and receives, and how that ends."""

    def __init__(self, endpoint: _socket.Endpoint, max_message: int) -> None:
        self._single = endpoint.client
        self._numbering, self._reading = Numbering(), Reading(max_message + HEAD_ROOM)
        self.connection = _socket.Connection(endpoint)
        #: Whether this side has broken it off.
        self.cancelled = False
        self._error: FlowError | None = None
        self._flow_id = 0

    def outgoing(self, frame: Frame) -> list[bytes]:
        """The parts of the next message to send."""
        self._numbering.number(frame.message)
        if self._single:
            return [frame.message.toframe()]
        return [_DELIMITER, *frame.message.toparts()]

    def sent(self, frame: Frame) -> None:
        """A message has been handed to the socket."""
        self._flow_id = self._flow_id or frame.flow_id
        if frame.is_eot:
            self._reading.answered = True

    def incoming(self, parts: list[bytes]) -> Incoming | None:
        """The message in what came; None if it is none, which ends the exchange."""
        try:
            if self._single:
                message = self._reading.read(Message.offrame, parts[0])
            else:
                message = self._reading.read(Message.of, parts[1:])
        except FlowError as error:
            self._error = error
            return None
        if isinstance(message, Bot):
            return replace(message, flow_id=self._flow_id)
        return message

    @property
    def over(self) -> bool:
        """Whether nothing more is to be read: both sides have said EOT, or the flow failed."""
        reading = self._reading
        failed = self._error is not None or reading.error is not None
        return failed or (reading.answered and reading.ended)

    @property
    def linger(self) -> int:
        """For how long what is unsent may still leave when it ends, in milliseconds."""
        return _socket.LINGER if self.failure() is None else 0

    def failure(self) -> FlowError | None:
        """Why an exchange that is over, was cancelled or has lost its connection has failed;
        None if it has ended well."""
        if self.over:
            error = self._error or self._reading.error
            return error._again() if error is not None else None
        if not self.cancelled and self.connection.lost is not None:
            return self.connection.lost._again()
        return FlowError(
            EndReason.UNSPECIFIED,
            "the flow was broken off on this side",
            code=grpc.StatusCode.CANCELLED,
        )
