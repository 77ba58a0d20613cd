// How a flow can end, and the errors that say so.
import { Buffer } from "node:buffer";
import { fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { status, type ServiceError } from "@grpc/grpc-js";
import { ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";
import { explain, isTooLarge, type Where } from "./explain.js";
import { EndReason as WireReason } from "./gen/zio/gateway/v1/flow_pb.js";

const DOMAIN = "gateway.zioflow";
const DETAILS = "grpc-status-details-bin";

/**
 * Why a flow ended, in the gateway's words. `"unspecified"` stands where the gateway did
 * not say: the connection failed, or the call was refused before it became a flow.
 */
export type EndReason =
  | "unspecified" | "completed" | "rejected" | "no_handler" | "handler_timeout" | "peer_gone"
  | "credit_violation" | "protocol_error" | "message_too_large" | "overrun" | "idle_timeout"
  | "eot_timeout" | "ended_by_admin" | "restarted" | "draining" | "overloaded";

/** The reason for a number of the contract's enum. */
export function reasonOf(wire: WireReason): EndReason {
  const name: string | undefined = WireReason[wire];
  return (name?.toLowerCase() as EndReason | undefined) ?? "unspecified";
}

const reasons = new Set(Object.values(WireReason).filter((v) => typeof v === "string").map((v) => v.toLowerCase()));

function reasonNamed(name: string): EndReason {
  const reason = name.toLowerCase();
  return reasons.has(reason) ? (reason as EndReason) : "unspecified";
}

/** What more is known of a FlowError. */
export interface FlowErrorOptions {
  code?: status | undefined;
  flowId?: bigint;
  retryAfter?: number | undefined;
  cause?: unknown;
}

/**
 * A flow did not complete, or a call about flows failed. Data that was taken before the
 * error is a gap-free prefix of what was given.
 */
export class FlowError extends Error {
  override name = "FlowError";
  /** Why, in the contract's words. */
  readonly reason: EndReason;
  /** The cause in words; may be empty. */
  readonly detail: string;
  /** The status of the call; undefined where no call failed. */
  readonly code: status | undefined;
  /** The flow's id, by which operators know it; 0n if there was none yet. */
  readonly flowId: bigint;
  /** After how many seconds the same may be tried again, where the gateway suggests that. */
  readonly retryAfter: number | undefined;

  constructor(reason: EndReason, detail: string, options: FlowErrorOptions = {}) {
    super(describe(reason, detail, options), options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.detail = detail;
    this.code = options.code;
    this.flowId = options.flowId ?? 0n;
    this.retryAfter = options.retryAfter;
  }
}

function describe(reason: EndReason, detail: string, { code, flowId }: FlowErrorOptions): string {
  const words = reason !== "unspecified" ? [reason, detail] : [detail || (code === undefined ? "failed" : status[code] ?? "failed")];
  return (flowId ? `flow ${flowId}: ` : "") + words.filter(Boolean).join(": ");
}

/**
 * The taker ended the flow, in good order, before the giver was done. The flow itself
 * completed; but the taker has not used everything that was put, or has not said how much.
 */
export class FlowEnded extends FlowError {
  override name = "FlowEnded";
  /** How many DATs the taker has used, from the first; undefined if it did not say. */
  readonly taken: number | undefined;

  constructor(detail: string, taken: number | undefined, flowId: bigint) {
    super("completed", detail, { flowId });
    this.taken = taken;
  }
}

/** The error that a call's status tells of, with the gateway's details. */
export function errorOf(failed: ServiceError, where: Where, flowId = 0n): FlowError {
  let reason: EndReason = "unspecified";
  let retryAfter: number | undefined;
  let whole: string | undefined;
  for (const detail of detailsOf(failed)) {
    const info = as(detail, ErrorInfoSchema);
    if (info?.domain === DOMAIN) {
      reason = reasonNamed(info.reason);
      flowId = BigInt(info.metadata["flow_id"] ?? flowId);
      whole = info.metadata["detail"];
    }
    const delay = as(detail, RetryInfoSchema)?.retryDelay;
    if (delay) retryAfter = Number(delay.seconds) + delay.nanos / 1e9;
  }
  let text = failed.details ?? failed.message;
  if (text === reason) text = "";
  else if (text.startsWith(`${reason}: `)) text = text.slice(reason.length + 2);
  if (reason === "unspecified") {
    if (isTooLarge(failed.code, text)) reason = "message_too_large";
    text = explain(failed.code, text, where);
  }
  return new FlowError(reason, whole ?? text, { code: failed.code, flowId, retryAfter, cause: failed });
}

function detailsOf(failed: ServiceError) {
  const raw = failed.metadata?.get(DETAILS)[0];
  if (!(raw instanceof Uint8Array)) return [];
  try {
    return fromBinary(StatusSchema, raw).details;
  } catch {
    return []; // of a proxy's own making
  }
}

function as<T extends DescMessage>(any: { typeUrl: string; value: Uint8Array }, schema: T): MessageShape<T> | undefined {
  if (any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1) !== schema.typeName) return undefined;
  try {
    return fromBinary(schema, any.value);
  } catch {
    return undefined;
  }
}

/** As many bytes of words that say why as the gateway passes on. */
const MAX_DETAIL = 1024;

/** The words, or their beginning and an ellipsis, in 1,024 bytes of UTF-8. */
export function cut(words: string): string {
  const bytes = Buffer.from(words.slice(0, MAX_DETAIL + 1));
  if (bytes.length <= MAX_DETAIL) return bytes.toString();
  let end = MAX_DETAIL - 3;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--; // not within a character
  return bytes.toString("utf8", 0, end) + "…";
}
