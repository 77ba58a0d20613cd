"""The rules of one side of a flow: credit, paying back, EOT, and what an end means.

Without input and output, threads and clocks, so that every way of running a flow shares
them: asyncio or threads, gRPC or ZeroMQ. A side is told what comes (`received`, `closed`)
and what the application does (the other methods). What is to be sent then, in order, is
what `outgoing` returns; whoever runs the side calls that after every other method. Nothing
here waits: what has to wait for news from the other side says so. None of it may run in
two threads at once.
"""

from __future__ import annotations

import collections

from .errors import EndReason, FlowEnded, FlowError
from .messages import Bot, Dat, Eot, Incoming, Pay, refusal_of, taken_by, write_taken


class Side:
    """What both sides have in common: the BOTs and the EOTs."""

    def __init__(self, origin: int) -> None:
        """The origin is that of all messages that this side sends."""
        self.origin = origin
        #: The other side's BOT.
        self.bot: Bot | None = None
        #: The other side's EOT, or the gateway's in its place.
        self.eot: Eot | None = None
        #: Whether the stream has ended: nothing comes any more.
        self.done = False
        self._error: FlowError | None = None
        self._left = False
        self._said_eot = False
        self._out: list[Pay | Eot] = []

    def outgoing(self) -> list[Pay | Eot]:
        """What is to be sent now; returned once."""
        out, self._out = self._out, []
        return out

    # What comes from the stream.

    def received(self, message: Incoming) -> None:
        """A message has come."""
        if isinstance(message, Bot):
            self.bot = message
        elif isinstance(message, Eot):
            self.eot = message

    def closed(self, error: FlowError | None) -> None:
        """The stream has ended: with an error, or in good order."""
        if error is not None:
            error = self._as_told(error)
        self._error = error
        self.done = True

    def _as_told(self, error: FlowError) -> FlowError:
        """The error with all that is known: the EOT's reason counts if it has none itself."""
        reason, detail = error.reason, error.detail
        if reason is EndReason.UNSPECIFIED and self.eot is not None and self._eot_failed():
            reason, detail = self.eot.reason, self.eot.detail
        return error._with(reason=reason, detail=detail, flow_id=error.flow_id or self._flow_id())

    # What the application does.

    def opened(self) -> bool:
        """Whether the other side has answered; FlowError says that it never will."""
        if self.bot is None and self.done:
            raise self.failure()
        return self.bot is not None

    def begin(self) -> None:
        """The BOTs are exchanged: the application may go on."""

    def leave(self) -> None:
        """The application has left the flow's block: it uses the flow no more."""
        self._left = True

    def breaks_off(self, error: BaseException | None) -> bool:
        """Whether leaving the block by this exception breaks the flow off.

        Where both sides have said EOT, FlowEnded leaves nothing to break off.
        """
        both = self._said_eot and self.eot is not None
        return error is not None and not (both and isinstance(error, FlowEnded))

    def say_eot(self) -> None:
        """Says EOT unless that has been done, or is too late."""
        if self._said_eot or self.done:
            return
        self._said_eot = True
        self._out.append(Eot(label=self._eot_label(), origin=self.origin))

    def conclude(self) -> None:
        """Raises unless the flow, whose stream has ended, has ended well."""
        if self._error is not None or self.eot is None:
            raise self.failure()

    def failure(self) -> FlowError:
        """Why the stream has ended, for one that still needed it."""
        if self._error is not None:
            return self._error._again()
        detail = "the gateway ended the stream too early"
        return FlowError(EndReason.UNSPECIFIED, detail, flow_id=self._flow_id())

    def start_again(self) -> None:
        """Forgets a stream that ended before the other side had answered: there will be
        another one."""
        assert self.bot is None
        self.eot = self._error = None
        self.done = self._said_eot = False
        self._out.clear()

    def _check_in_use(self) -> None:
        if self.bot is None or self._left:
            raise RuntimeError("a flow can be used only inside its block")

    def _eot_failed(self) -> bool:
        """Whether the EOT that came says that the flow has failed."""
        good = (EndReason.UNSPECIFIED, EndReason.COMPLETED)
        return self.eot is not None and self.eot.reason not in good

    def _eot_label(self) -> str:
        return ""

    def _flow_id(self) -> int:
        return self.bot.flow_id if self.bot is not None else 0


class Giving(Side):
    """The side that gives."""

    def __init__(self, origin: int) -> None:
        super().__init__(origin)
        self._credit = 0
        self._sent = 0

    def received(self, message: Incoming) -> None:
        """A message has come. The taker's EOT is answered at once: nothing more will be
        taken, so there is nothing to wait for."""
        super().received(message)
        if isinstance(message, Pay):
            self._credit += message.credit
        elif isinstance(message, Eot) and not self._eot_failed():
            self.say_eot()

    def may_give(self) -> bool:
        """Whether a DAT is paid for. False: wait for news, and ask again.

        FlowEnded or FlowError says that no DAT will be taken any more, RuntimeError
        that the block was left.
        """
        self._check_in_use()
        if self.eot is not None and not self._eot_failed():
            raise self.ended()
        if self.done:
            raise self.failure()
        return self._credit >= 1 and self.eot is None

    def give(self) -> None:
        """A DAT is sent, which `may_give` has allowed."""
        self._credit -= 1
        self._sent += 1

    def failure(self) -> FlowError:
        """Why the stream has ended, and how much was given until then."""
        error = super().failure()
        error.given = self._sent
        return error

    def not_sent(self) -> FlowError:
        """What to raise for a DAT that was not sent, as the stream has ended."""
        return self.ended() if self._error is None else self.failure()

    def ended(self) -> FlowEnded:
        """The error that says what the taker has used before it ended the flow."""
        taken = self._taken()
        used = "an unknown number" if taken is None else taken
        why = refusal_of(self.eot) if self.eot is not None else ""
        ended = FlowEnded(
            f"the taker ended the flow after using {used} of {self._sent} DATs"
            + (f": {why}" if why else ""),
            flow_id=self._flow_id(),
            taken=taken,
        )
        ended.given = self._sent
        return ended

    def conclude(self) -> None:
        """Raises FlowEnded as well, if the taker has not used everything, or did not say
        what it has used and ended the flow by itself."""
        super().conclude()
        taken = self._taken()
        if taken is not None:
            lost = taken < self._sent
        else:
            # An EOT that does not answer ours may have come before it all was used.
            asked = self.eot is not None and self.eot.reason is EndReason.COMPLETED
            lost = self._sent > 0 and not asked
        if lost:
            raise self.ended()

    def _taken(self) -> int | None:
        return taken_by(self.eot) if self.eot is not None else None


class Taking(Side):
    """The side that takes.

    It pays for everything at the beginning, then for what was used whenever that is half
    of the credit. A DAT counts as used when the next one is asked for.
    """

    def __init__(self, origin: int) -> None:
        super().__init__(origin)
        #: What has come and was not taken yet.
        self.came: collections.deque[Dat] = collections.deque()
        self._taken = 0
        self._owed = 0
        self._refusal = ""

    def begin(self) -> None:
        """Pays for all of the credit agreed."""
        if self.bot is not None:
            self._out.append(Pay(self.bot.credit))

    def received(self, message: Incoming) -> None:
        """A message has come. What comes after the block was left is not kept."""
        super().received(message)
        if isinstance(message, Dat) and not self._left:
            self.came.append(message)

    def ask(self) -> None:
        """The next DAT is asked for: those before it are used, and paid for if that is due.

        After the giver's EOT nothing more comes, and what has come may lie here or
        in the transport: only by the PAYs does the gateway see that this side still moves.
        The last one is not paid for, as the answer to the EOT follows.
        """
        self._check_in_use()
        assert self.bot is not None
        due = max(1, self.bot.credit // 2)
        if self.eot is not None:
            if self._eot_failed() or not self.came:
                return
            due = 1
        if self._owed >= due and not self.done:
            owed, self._owed = self._owed, 0
            self._out.append(Pay(owed))

    def take(self) -> Dat | None:
        """The next DAT; None if there is none: wait for news, unless the side is `done`.

        In that case the flow has completed; FlowError says that it has failed.
        """
        if self.came:
            self._taken += 1
            self._owed += 1  # from the next ask on
            return self.came.popleft()
        if self.done:
            self.conclude()
        elif self.eot is not None and not self._eot_failed():
            self.say_eot()
        return None

    def failure(self) -> FlowError:
        """Why the stream has ended, and how much was taken until then."""
        error = super().failure()
        error.taken = self._taken
        return error

    def refuse(self, detail: str) -> None:
        """The DAT taken last is not used, for this reason, and no more are taken."""
        if self._owed:
            self._taken -= 1
            self._owed -= 1
        self._refusal = detail

    def leave(self) -> None:
        """The application has left the flow's block; what was not taken is not kept."""
        super().leave()
        self.came.clear()

    def _eot_label(self) -> str:
        return write_taken(self._taken, self._refusal)
