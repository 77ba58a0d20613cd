"""How a flow can end, and the errors that say so."""

from __future__ import annotations

import enum
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from ._gen.zio.gateway.v1 import flow_pb2

_DOMAIN = "gateway.zioflow"
_DETAILS = "grpc-status-details-bin"
_PREFIX = "END_REASON_"


class EndReason(str, enum.Enum):
    """Why a flow ended. A reason equals its text: `reason == "no_handler"`."""

    #: The gateway did not say: the connection failed, the call was refused
    #: before it became a flow, or the gateway knows reasons that this does not.
    UNSPECIFIED = "unspecified"
    #: Both sides said EOT.
    COMPLETED = "completed"
    #: The handler, or what was to find one, refused the flow.
    REJECTED = "rejected"
    #: No route matched.
    NO_HANDLER = "no_handler"
    #: A handler was found but did not open its side in time.
    HANDLER_TIMEOUT = "handler_timeout"
    #: A peer left before both sides had said EOT.
    PEER_GONE = "peer_gone"
    #: A DAT without credit, or a PAY beyond the agreed total.
    CREDIT_VIOLATION = "credit_violation"
    #: A message that is malformed, or that the flow's state does not allow.
    PROTOCOL_ERROR = "protocol_error"
    #: A message larger than the gateway takes.
    MESSAGE_TOO_LARGE = "message_too_large"
    #: A peer did not read what it had asked for.
    OVERRUN = "overrun"
    #: No message for longer than the gateway allows.
    IDLE_TIMEOUT = "idle_timeout"
    #: One side said EOT and the other did not answer in time.
    EOT_TIMEOUT = "eot_timeout"
    #: An operator ended the flow.
    ENDED_BY_ADMIN = "ended_by_admin"
    #: A peer began another flow on the same connection.
    RESTARTED = "restarted"
    #: The gateway is shutting down; another attempt may succeed.
    DRAINING = "draining"
    #: The gateway, or every handler, is at its limit; try again later.
    OVERLOADED = "overloaded"

    def __str__(self) -> str:
        return self.value


def reason_from_proto(number: int) -> EndReason:
    """The reason for a number of the contract's enum."""
    try:
        name = flow_pb2.EndReason.Name(number)
    except ValueError:
        return EndReason.UNSPECIFIED
    return _reason(name.removeprefix(_PREFIX))


def _reason(name: str) -> EndReason:
    try:
        return EndReason(name.lower())
    except ValueError:
        return EndReason.UNSPECIFIED


class FlowError(Exception):
    """A flow did not complete, or a call about flows failed.

    Data that was taken before the error is a gap-free prefix of what was given.
    """

    #: Why, in the contract's words.
    reason: EndReason
    #: The cause in words; may be empty.
    detail: str
    #: The status of the call; None where no call failed.
    code: grpc.StatusCode | None
    #: The flow's id, by which operators know it; 0 if there was none yet.
    flow_id: int
    #: After how many seconds the same may be tried again; None if the gateway
    #: does not suggest that.
    retry_after: float | None
    #: How many DATs this side had given when its flow failed; None where it gave none.
    given: int | None = None
    #: How many DATs this side had taken when its flow failed, that in use included; None
    #: where it took none.
    taken: int | None = None

    def __init__(
        self,
        reason: EndReason,
        detail: str = "",
        *,
        code: grpc.StatusCode | None = None,
        flow_id: int = 0,
        retry_after: float | None = None,
    ) -> None:
        said = detail and reason is EndReason.UNSPECIFIED
        words = detail if said else f"{reason}: {detail}" if detail else str(reason)
        super().__init__(f"flow {flow_id}: {words}" if flow_id else words)
        self.reason = reason
        self.detail = detail
        self.code = code
        self.flow_id = flow_id
        self.retry_after = retry_after

    def _again(self) -> FlowError:
        """Another one like it.

        An exception that is raised refers to those it passed: who keeps it, and
        raises another, is not kept alive by it, nor is the connection.
        """
        return self._with(reason=self.reason, detail=self.detail, flow_id=self.flow_id)

    def _with(self, *, reason: EndReason, detail: str, flow_id: int) -> FlowError:
        """Another one that differs in this."""
        error = FlowError(
            reason, detail, code=self.code, flow_id=flow_id, retry_after=self.retry_after
        )
        error.given, error.taken = self.given, self.taken
        return error


class FlowEnded(FlowError):
    """The taker ended the flow, in good order, before the giver was done.

    The flow itself completed, so `reason` is COMPLETED; but the taker has not
    used everything that the giver put, or has not said how much it used.
    """

    #: How many DATs the taker has used, counted from the first; None if it did
    #: not say. Of those that were `given`.
    taken: int | None

    def __init__(self, detail: str, *, flow_id: int = 0, taken: int | None = None) -> None:
        super().__init__(EndReason.COMPLETED, detail, flow_id=flow_id)
        self.taken = taken


def words_of(error: BaseException) -> str:
    """What an exception says of itself; empty if it says nothing, or fails to."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - somebody else's __str__
        return ""


def error_from_rpc(error: Any) -> FlowError:
    """The error that a call's status tells of, with the gateway's details.

    It has the status as grpc.Call and grpc.aio.AioRpcError do.
    """
    reason, retry_after, flow_id, whole = EndReason.UNSPECIFIED, None, 0, ""
    for detail in _details(error):
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info) and info.domain == _DOMAIN:
            reason = _reason(info.reason)
            flow_id = int(info.metadata.get("flow_id", 0))
            whole = info.metadata.get("detail", "")
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    text = error.details() or ""
    if text == reason.value or text.startswith(f"{reason}: "):
        text = text[len(reason.value) :].removeprefix(": ")
    text = whole or text
    return FlowError(reason, text, code=error.code(), flow_id=flow_id, retry_after=retry_after)


def _details(error: Any) -> list[Any]:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS:
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                break
    return []
