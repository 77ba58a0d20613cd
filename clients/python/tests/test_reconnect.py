"""Handlers, connections and clients whose gateway is restarted."""

from __future__ import annotations

import asyncio
import contextlib
import os

import grpc
import pytest
from conftest import Program

from zioflow import EndReason, FlowError, Gateway, ListenerState, sync
from zioflow._retry import Attempts, Pauses, Registration

#: How often the gateway is killed. The soak has more, and patience as users have it.
_RESTARTS = int(os.environ.get("ZIOFLOW_RESTARTS", "0"))
_PATIENT = [] if _RESTARTS else ["--handler-wait=20s", "--pending-timeout=20s"]


class Restarting:
    """A gateway that can be killed, and started again at its address."""

    def __init__(self, directory) -> None:
        self._directory = directory
        self._count = 0
        self.program: Program | None = None
        self.address = "127.0.0.1:0"

    def start(self, *flags: str) -> None:
        self._count += 1
        folder = self._directory / str(self._count)
        folder.mkdir()
        self.program = Program(folder, *_PATIENT, *flags, grpc=self.address)
        self.address = self.program.address

    def kill(self) -> None:
        if self.program is not None:
            self.program.process.kill()
            self.program.process.wait()
            self.program = None


@pytest.fixture
def restarting(no_leaks, tmp_path):
    restarting = Restarting(tmp_path)
    restarting.start()
    yield restarting
    restarting.kill()


async def _attempts(states, count) -> None:
    """Waits until a listener has failed so often to register again."""
    enough = len(states) + count
    while len(states) < enough:
        await asyncio.sleep(0.05)  # another thread adds to them


@pytest.mark.limit(100 + 30 * _RESTARTS)
async def test_handlers_and_connections_survive_restarts(restarting):
    """Each flow that is opened after a restart finds its handler."""

    async def handler(offer):
        async with offer.take() as flow:
            taken.extend([("asyncio", dat.payload[0]) async for dat in flow])

    def sync_handler(offer):
        with offer.take() as flow:
            taken.extend([("sync", dat.payload[0]) for dat in flow])

    taken, states, sync_states = [], [], []
    async with contextlib.AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(Gateway(restarting.address))
        threads = stack.enter_context(sync.Gateway(restarting.address))
        match = "attributes.to == 'asyncio'"
        await stack.enter_async_context(
            gateway.handle("asyncio", handler, match=match, on_state=states.append)
        )
        listening = threads.handle(
            "sync", sync_handler, match="attributes.to == 'sync'", on_state=sync_states.append
        )
        await asyncio.to_thread(listening.__enter__)
        try:
            for n in range(_RESTARTS or 3):
                await asyncio.to_thread(restarting.kill)
                if n % 5 == 4:  # away for so long that the pauses are at their longest
                    for seen in (states, sync_states):
                        await _attempts(seen, 8)
                await asyncio.to_thread(restarting.start)
                item = b"%d" % n
                # By connections that were there before, and are made again.
                await gateway.put(item, {"builtin": "dump"}, retry=20)
                await asyncio.to_thread(threads.put, item, {"builtin": "dump"}, retry=20)
                for to in ("asyncio", "sync"):
                    # Not tried again: the gateway waits for a handler, by default two seconds.
                    await gateway.put(item, {"to": to})
                    await asyncio.to_thread(threads.put, item, {"to": to})
        finally:
            await asyncio.to_thread(listening.__exit__, None, None, None)
    expected = [(to, b"%d" % n) for n in range(_RESTARTS or 3) for to in ("asyncio", "sync")]
    assert sorted(taken) == sorted(2 * expected)
    for seen in (states, sync_states):
        assert seen[0] == ListenerState("listening")
        assert seen[-1] == ListenerState("closed")
        again = [state.state for state in seen].count("listening")
        assert again == 1 + (_RESTARTS or 3)
        lost = [state.error for state in seen if state.state == "reconnecting"]
        assert len(lost) >= (_RESTARTS or 3)
        assert all(error.code is grpc.StatusCode.UNAVAILABLE for error in lost)
        assert "was lost" in lost[0].detail


async def _breaks(restarting, give):
    """Breaks a flow after five DATs; returns what its giver and its taker were told."""

    async def handler(offer):
        try:
            async with offer.take(credit=20) as flow:
                async for _ in flow:
                    if flow._side._taken == 5:
                        five.set()
        except FlowError as error:
            told.append(error)
            over.set()

    five, over, told = asyncio.Event(), asyncio.Event(), []
    async with Gateway(restarting.address) as gateway, gateway.handle("broken", handler):
        giving = asyncio.ensure_future(give())
        await five.wait()
        await asyncio.to_thread(restarting.kill)
        told.append(await giving)
        await over.wait()
    return told


@pytest.mark.parametrize("kind", ["asyncio", "sync"])
async def test_a_broken_flow_says_how_far_it_got(restarting, kind):
    async def give():
        async with Gateway(restarting.address) as gateway:
            with pytest.raises(FlowError) as caught:
                async with gateway.give(credit=20) as flow:
                    for _ in range(5):
                        await flow.put(b"x")
                    ids.append(flow.bot.flow_id)
                    while not flow._side.done:
                        await flow._news.wait()
                    await flow.put(b"lost")
            return caught.value

    def give_in_thread():
        with sync.Gateway(restarting.address) as gateway:
            with pytest.raises(FlowError) as caught, gateway.give(credit=20) as flow:
                for _ in range(5):
                    flow.put(b"x")
                ids.append(flow.bot.flow_id)
                flow._until_done()
                flow.put(b"lost")
            return caught.value

    async def in_thread():
        return await asyncio.to_thread(give_in_thread)

    ids = []
    errors = await _breaks(restarting, give if kind == "asyncio" else in_thread)
    for error in errors:
        assert (error.reason, error.code) == (EndReason.UNSPECIFIED, grpc.StatusCode.UNAVAILABLE)
        assert error.detail == f"the connection to the gateway at {restarting.address} was lost"
        assert error.flow_id == ids[0] > 0
    assert {(error.given, error.taken) for error in errors} == {(5, None), (None, 5)}


def _items(asked):
    for n in range(3):
        asked.append(n)
        yield b"%d" % n


@pytest.mark.parametrize("kind", ["asyncio", "sync"])
async def test_opening_is_tried_again_and_nothing_is_given_twice(restarting, kind):
    async def put():
        async with Gateway(address) as gateway:
            return await gateway.put_all(_items(asked), {"builtin": "dump"}, retry=25)

    def put_in_thread():
        with sync.Gateway(address) as gateway:
            return gateway.put_all(_items(asked), {"builtin": "dump"}, retry=25)

    asked, address = [], restarting.address
    restarting.kill()
    putting = asyncio.ensure_future(
        put() if kind == "asyncio" else asyncio.to_thread(put_in_thread)
    )
    async with Gateway(address) as gateway:  # has seen that nobody is there
        with pytest.raises(FlowError, match="nothing listens"):
            await gateway.put(b"x")
    assert asked == []
    await asyncio.to_thread(restarting.start)
    result = await putting
    assert (result.messages, result.bytes, asked) == (3, 3, [0, 1, 2])
    assert result.bot.taken_by.route == "dump"


async def test_what_was_refused_for_good_is_not_tried_again(gateway):
    async def handler(offer):
        offers.append(offer)
        await offer.decline("no")

    offers = []
    async with gateway.handle("refuses", handler, match="attributes.to == 'refuses'"):
        with pytest.raises(FlowError, match="rejected: no"):
            await gateway.put(b"x", {"to": "refuses"}, retry=20)
        with pytest.raises(FlowError, match="rejected: no"):
            async with gateway.take({"to": "refuses"}, retry=20):
                pass
    assert len(offers) == 2


async def test_a_handler_that_comes_late_is_found(restarting):
    async def handler(offer):
        async with offer.take() as flow:
            taken.extend([dat.payload[0] async for dat in flow])

    taken = []
    restarting.kill()
    await asyncio.to_thread(restarting.start, "--handler-wait=100ms")
    async with Gateway(restarting.address) as gateway:
        giving = asyncio.ensure_future(gateway.put(b"x", {"to": "late"}, retry=25))
        with pytest.raises(FlowError, match="no_handler"):
            await gateway.put(b"y", {"to": "late"})
        async with gateway.handle("late", handler, match="attributes.to == 'late'"):
            await giving
    assert taken == [b"x"]


@pytest.mark.parametrize("retry", [-1, float("inf"), float("nan")])
async def test_retry_is_a_number_of_seconds(gateway, retry):
    with pytest.raises(ValueError, match="retry"):
        gateway.give(retry=retry)


def test_pauses_grow_and_differ():
    pauses = [Pauses() for _ in range(50)]
    rounds = [[p.next() for p in pauses] for _ in range(8)]
    for seconds, expected in zip(rounds, (0.05, 0.1, 0.2, 0.4, 0.5, 0.5), strict=False):
        assert 0.75 * expected <= min(seconds) < max(seconds) <= 1.25 * expected
    pauses[0].reset()
    assert pauses[0].next() <= 0.0625


def _failure(code, **more):
    return FlowError(EndReason.UNSPECIFIED, "x", code=code, **more)


def test_what_would_fail_again_is_given_up():
    states = []
    registration = Registration(reconnect=True, on_state=states.append)
    error = _failure(grpc.StatusCode.UNAVAILABLE)
    assert registration.lost(error) > 0
    for code in ("INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED"):
        assert registration.lost(_failure(grpc.StatusCode[code])) is None
    assert [state.state for state in states] == ["reconnecting"] + ["closed"] * 4
    assert Registration(reconnect=False, on_state=None).lost(error) is None


def test_the_gateways_own_suggestion_is_followed():
    assert Attempts(30).failed(_failure(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after=3)) == 3
    assert Attempts(2).failed(_failure(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after=3)) is None
    assert Attempts(30).failed(_failure(grpc.StatusCode.RESOURCE_EXHAUSTED)) is None
    assert Attempts(30).failed(_failure(grpc.StatusCode.UNAVAILABLE)) <= 0.0625
    assert Attempts(0).failed(_failure(grpc.StatusCode.UNAVAILABLE)) is None


def test_what_on_state_raises_is_logged(caplog):
    def on_state(state):
        raise KeyError("mine")

    Registration(reconnect=True, on_state=on_state).listening()
    assert [record.message for record in caplog.records] == ["on_state failed"]
