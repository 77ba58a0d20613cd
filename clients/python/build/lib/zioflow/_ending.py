"""What a call ended with, where grpc does not say it reliably."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc

#: For how long the gateway's own status may still be on its way.
_GRACE = 1.0


class Ending:
    """The status with which the gateway ended a call.

    A write that fails because the call has ended replaces the status, in
    grpc.aio, by an "Internal error from Core" (https://github.com/grpc/grpc/issues/36066).
    Then the flow's end reason would be lost, so this notes the status when it
    comes. It has to be made together with the call.
    """

    def __init__(self, call: Any) -> None:
        self._status: grpc.aio.AioRpcError | None = None
        self._known = asyncio.Event()
        call.add_done_callback(self._note)

    async def of(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError | None:
        """The gateway's status, where grpc has raised this error; None for OK."""
        if not _is_of_write(error):
            return error
        try:
            await asyncio.wait_for(self._known.wait(), _GRACE)
        except asyncio.TimeoutError:
            return error
        status = self._status
        return None if status is not None and status.code() is grpc.StatusCode.OK else status

    def _note(self, call: Any) -> None:
        if self._known.is_set():
            return
        status = grpc.aio.AioRpcError(
            code=_at_once(call.code()),
            initial_metadata=grpc.aio.Metadata(),
            trailing_metadata=_at_once(call.trailing_metadata()),
            details=_at_once(call.details()),
        )
        if not _is_of_write(status):
            self._status = status
            self._known.set()


def _is_of_write(status: grpc.aio.AioRpcError) -> bool:
    internal = status.code() is grpc.StatusCode.INTERNAL
    return internal and status.details() == "Internal error from Core"


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine answers that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("a call that is done has a status")
