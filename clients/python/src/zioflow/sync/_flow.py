"""A flow's side, for threads: the rules are those of zioflow's own, in _core."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, TypeVar

from .._core import Giving, Side, Taking
from .._items import each_of
from .._retry import Attempts
from ..errors import FlowError
from ..messages import (
    Bot,
    Dat,
    Eot,
    GivenDat,
    Item,
    Label,
    Part,
    write_dat,
    write_given,
    write_item,
)
from ..tensors import Array
from .transport import Stream, Transport

_Self = TypeVar("_Self", bound="Flow")


class Flow:
    """One side of one flow; made by a `Gateway` or an `Offer`.

    A context manager, to be entered once. Entering returns when the other side has
    answered; FlowError says that nobody did. Leaving the block in good order ends the
    flow in good order: it returns when both sides have said EOT, and raises FlowError if
    the flow ended otherwise. Leaving it by an exception breaks the flow off: the other
    side sees `peer_gone`.
    """

    def __init__(
        self,
        transport: Transport,
        bot: Bot,
        side: Side,
        *,
        accepted: Callable[[], None] = lambda: None,
        retry: float = 0,
    ) -> None:
        self._transport = transport
        self._request = transport.encode(bot)
        self._accepted = accepted
        self._attempts = Attempts(retry)
        # Guards the side, and tells of news.
        self._changed = threading.Condition()
        self._side = side
        self._stream: Stream | None = None

    @property
    def bot(self) -> Bot:
        """The other side's BOT, with the credit agreed and the flow's id."""
        if self._side.bot is None:
            raise RuntimeError("the flow has not been entered")
        return self._side.bot

    @property
    def eot(self) -> Eot | None:
        """The other side's EOT, or the gateway's in its place; None before."""
        return self._side.eot

    def __enter__(self: _Self) -> _Self:
        if self._stream is not None:
            raise RuntimeError("a flow can be entered only once")
        while True:
            try:
                stream = self._open()
                break
            except FlowError as error:
                pause = self._attempts.failed(error)
                if pause is None:
                    raise
            time.sleep(pause)
            self._side.start_again()
        self._accepted()
        with self._changed:
            self._side.begin()
            self._flush()
        self._begin(stream)
        return self

    def _open(self) -> Stream:
        """Opens a stream, and waits until the other side has answered."""
        self._stream = stream = self._transport.open()
        try:
            stream.write(self._request)
            while not self._side.opened():
                self._step(stream)
        except BaseException:
            self._abandon()
            raise
        return stream

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._side.leave()
            self._changed.notify_all()
        if self._side.breaks_off(error):
            self._abandon()
            return
        try:
            with self._changed:
                self._side.say_eot()
                self._flush()
            self._until_done()
        except BaseException:
            self._abandon()
            raise
        if error is None:
            self._side.conclude()

    def _begin(self, stream: Stream) -> None:
        """Does what comes after the BOTs."""

    def _until_done(self) -> None:
        """Waits until the stream has ended."""
        raise NotImplementedError

    def _step(self, stream: Stream) -> None:
        """Waits for what comes next, and takes it in."""
        failure: FlowError | None = None
        message = None
        try:
            message = stream.read()
        except FlowError as error:
            failure = error
        with self._changed:
            if message is not None:
                self._side.received(message)
            else:
                self._side.closed(failure)
            self._flush()
            self._changed.notify_all()

    def _flush(self) -> None:
        """Sends what the rules want to be sent. With the lock, for the order's sake."""
        assert self._stream is not None
        for message in self._side.outgoing():
            self._stream.write(self._transport.encode(message))

    def _abandon(self) -> None:
        """Ends the stream at once."""
        if self._stream is not None:
            self._stream.cancel()


class Giver(Flow):
    """A side that gives: put DATs into it, from any thread.

    Leaving the block raises FlowEnded if the taker had ended the flow before, and
    used less than was put or did not say how much it used. (What is under way
    while a taker says EOT is lost. A Taker says how much it has used; of others it
    is known only that they ended the flow, unless both sides did so at once.)
    """

    def __init__(self, transport: Transport, bot: Bot, **options: Any) -> None:
        self._giving = Giving(bot.origin)
        super().__init__(transport, bot, self._giving, **options)
        # Held by the one whose turn it is to put.
        self._turn = threading.Lock()
        self._reader: threading.Thread | None = None

    def put(
        self,
        *payload: Part | Array | tuple[Part | Array, ...] | Dat,
        label: Label = "",
        origin: int | None = None,
        granule: int = 0,
        level: int = 0,
    ) -> None:
        """Gives one DAT with these parts, once the taker has paid for it.

        A part is bytes, a text, which goes out in UTF-8, or an array, which the label
        describes, see `put_arrays`. A single tuple holds the parts; a single Dat is
        given as it is, but for its seqno. A granule of 0 becomes the present, in
        microseconds since the epoch, an origin of None the flow's.

        FlowEnded says that the taker has ended the flow, FlowError that the flow
        failed; in both cases the taker does not use this DAT. ValueError or
        TypeError say that no DAT can be made of the arguments, or that it is too
        large; the flow goes on. A label's text is left to the gateway to judge.

        Interrupted while it waits for credit, it gives nothing. Interrupted later,
        the DAT goes out all the same. Threads take turns.
        """
        self._give(
            write_given(
                payload,
                self._giving.origin,
                label=label,
                origin=origin,
                granule=granule,
                level=level,
            )
        )

    def put_arrays(
        self,
        *arrays: Array,
        metadata: Mapping[str, Any] | None = None,
        order: str = "C",
        label: Label = "",
        origin: int | None = None,
        granule: int = 0,
        level: int = 0,
    ) -> None:
        """Gives one DAT whose parts are these arrays, in ZIO's form TENS: what
        `zioflow.Giver.put_arrays` does."""
        self._give(
            write_dat(
                arrays,
                label=label,
                origin=self._giving.origin if origin is None else origin,
                granule=granule,
                level=level,
                metadata=metadata or {},
                order=order,
            )
        )

    def put_all(self, items: Iterable[Item]) -> None:
        """Gives a DAT for each item: what put makes one of. FlowEnded and FlowError are
        those of put; what the iterable raises is raised."""
        for item in each_of(items):
            self._give(write_item(item, self._giving.origin))

    def _give(self, dat: GivenDat) -> None:
        frame = self._transport.encode(dat)
        with self._turn:
            with self._changed:
                while not self._giving.may_give():
                    self._changed.wait()
                self._giving.give()
                assert self._stream is not None
                self._stream.write(frame)
            sent = self._stream.drain()
        if not sent:
            self._until_done()
            raise self._giving.not_sent()

    def _begin(self, stream: Stream) -> None:
        """PAYs and an EOT come at any time: a thread reads them."""
        self._reader = threading.Thread(
            target=self._read, args=(stream,), name="zioflow giver", daemon=True
        )
        self._reader.start()

    def _read(self, stream: Stream) -> None:
        while not self._side.done:
            self._step(stream)

    def _until_done(self) -> None:
        with self._changed:
            while not self._side.done:
                self._changed.wait()
        if self._reader is not None:
            self._reader.join()

    def _abandon(self) -> None:
        super()._abandon()
        if self._reader is not None:
            self._reader.join()


class Taker(Flow):
    """A side that takes: iterate over it, in one thread at a time.

    It pays by itself: for everything at the beginning, then, whenever half of the
    credit has been used, for what was used; and one by one once the giver has said
    EOT. A DAT counts as used when the next one is asked for.

    The iteration stops when the giver has said EOT, everything was used, and the
    flow has completed. If the flow fails, the iteration still yields what came
    before and then raises FlowError. Once the giver has said EOT, the gateway waits
    for its answer for a while only after the last sign of life (30 s by default), so
    no single DAT may take longer to use.

    Leaving the block before that ends the flow in good order; the giver is told
    how many DATs were used.
    """

    def __init__(self, transport: Transport, bot: Bot, **options: Any) -> None:
        self._taking = Taking(bot.origin)
        super().__init__(transport, bot, self._taking, **options)

    def __iter__(self) -> Iterator[Dat]:
        return self

    def __next__(self) -> Dat:
        """The next DAT."""
        with self._changed:
            self._taking.ask()
        assert self._stream is not None
        while True:
            with self._changed:
                dat = self._taking.take()
                self._flush()
            if dat is not None:
                return dat
            if self._side.done:
                raise StopIteration
            self._step(self._stream)

    def refuse(self, detail: str) -> None:
        """Says why no more is taken: for the EOT, which the end of the block sends.

        The DAT that came last counts as not used. A giver gets FlowEnded with the detail,
        which is cut to 1,024 bytes; a native one reads it in the EOT's label, as `detail`.
        Leave the block then, without an exception.
        """
        with self._changed:
            self._taking.refuse(detail)

    def _until_done(self) -> None:
        assert self._stream is not None
        while not self._side.done:
            self._step(self._stream)
