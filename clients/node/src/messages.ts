// The messages of a flow, as applications see them.
import { create } from "@bufbuild/protobuf";
import {
  BotSchema, DatSchema, Direction as WireDirection,
  type Bot as WireBot, type Dat as WireDat, type Eot as WireEot,
} from "./gen/zio/gateway/v1/flow_pb.js";
import { reasonOf, type EndReason } from "./errors.js";
import { tensorsOf, type Tensors } from "./tens.js";

/** What the sender of a BOT will do: `"extract"` gives DATs, `"inject"` takes them. */
export type Direction = "extract" | "inject";

/** A label: a JSON object as text, which crosses byte for byte, or an object to be written as one. */
export type Label = string | Readonly<Record<string, unknown>>;

/** One part of a payload. A string is its UTF-8 bytes. */
export type Part = Uint8Array | ArrayBuffer | string;

/** Keys of a BOT's label that are fields of their own. */
const BOT_FIELDS = ["flow", "direction", "credit", "cid"];

/** The attribute of a taker's EOT that says how many DATs it has used. */
const TAKEN = "taken";

/** What all messages have. */
interface Envelope {
  /** Opaque parts, as the sender made them. They share memory with what was received. */
  readonly payload: Uint8Array[];
  /** The label's JSON text. */
  readonly label: string;
  /** Who sent it, by the application's own numbering. */
  readonly origin: bigint;
  /** Microseconds since the epoch, by convention. */
  readonly granule: bigint;
  /** The sender's message count, from 0 for its BOT. */
  readonly seqno: bigint;
  /** ZIO's message level, 0 to 8. */
  readonly level: number;
  /** The label as an object, without ZIO's own keys. Numbers are doubles: the text has all digits. */
  readonly attributes: Record<string, unknown>;
}

/** A DAT: data. */
export interface Dat extends Envelope {
  /** The payload as arrays, if the label has ZIO's TENS; throws a TypeError where it does not fit the payload. */
  tensors(): Tensors | undefined;
}

/** What took a flow. */
export interface TakenBy {
  readonly route: string;
  readonly transport: string;
  readonly address: string;
  readonly identity: string;
  readonly name: string;
}

/** A BOT: the beginning of one side of a flow. */
export interface Bot extends Envelope {
  /** What the sender does; undefined where nothing is known. */
  readonly direction: Direction | undefined;
  /** How many DATs may be under way; in an offer what the client proposes, 0 for whatever the handler likes. */
  readonly credit: number;
  /** The flow's id, by which operators know it; 0n in an offer. */
  readonly flowId: bigint;
  /** Who handles the flow; only in the answer to its client. */
  readonly takenBy: TakenBy | undefined;
  /** What an offer does not show of its BOT, as it is too large: bytes of payload and label. */
  readonly leftOut: { readonly payloadBytes: bigint; readonly labelBytes: bigint } | undefined;
}

/** An EOT: the end of one side of a flow. */
export interface Eot extends Envelope {
  /** Why the flow ended; `"unspecified"` while it waits for an answer. */
  readonly reason: EndReason;
  readonly detail: string;
}

type WireEnvelope = Pick<WireDat, "payload" | "label" | "origin" | "granule" | "seqno" | "level">;

class Message {
  readonly payload: Uint8Array[];
  readonly label: string;
  readonly origin: bigint;
  readonly granule: bigint;
  readonly seqno: bigint;
  readonly level: number;
  readonly #own: readonly string[];
  #attributes: Record<string, unknown> | undefined;

  constructor(wire: WireEnvelope, own: readonly string[]) {
    ({ payload: this.payload, label: this.label, origin: this.origin, granule: this.granule } = wire);
    ({ seqno: this.seqno, level: this.level } = wire);
    this.#own = own;
  }

  get attributes(): Record<string, unknown> {
    if (!this.#attributes) {
      this.#attributes = parseLabel(this.label);
      for (const key of this.#own) delete this.#attributes[key];
    }
    return this.#attributes;
  }

  tensors(): Tensors | undefined {
    return tensorsOf(this.attributes, this.payload);
  }
}

function parseLabel(text: string): Record<string, unknown> {
  const found: unknown = text ? JSON.parse(text) : {};
  if (typeof found !== "object" || found === null || Array.isArray(found)) {
    throw new TypeError(`a label must be a JSON object, not ${text.slice(0, 40)}`);
  }
  return found as Record<string, unknown>;
}

/** A label's text. What JSON lacks, NaN and infinities, throws a TypeError. */
export function writeLabel(label: Label): string {
  if (typeof label === "string") return label;
  return JSON.stringify(label, (key, value: unknown) => {
    if (typeof value === "number" && !Number.isFinite(value)) {
      throw new TypeError(`attribute ${key} is ${value}, which JSON does not have`);
    }
    return value;
  });
}

/** Parts as bytes; a TypeError for what is none. */
export function writeParts(parts: readonly Part[]): Uint8Array[] {
  return parts.map((part, i) => {
    if (typeof part === "string") return new TextEncoder().encode(part);
    if (part instanceof ArrayBuffer) return new Uint8Array(part);
    if (part instanceof Uint8Array) return part;
    const is = (part as object | null)?.constructor.name ?? typeof part;
    throw new TypeError(`part ${i} is a ${is}: a part is bytes or text; putTensors gives arrays`);
  });
}

/** What a BOT that is to be sent may have besides its attributes. */
export interface BotOptions {
  /** How many DATs may be under way, 10 by default; 0 leaves it to the other side. */
  credit?: number;
  /** A label with which the attributes are merged. */
  label?: Label;
  payload?: readonly Part[];
  /** Who sends it; every later message of this side has it too. */
  origin?: bigint;
}

export function writeBot(direction: Direction, attributes: Readonly<Record<string, unknown>>, o: BotOptions, cid = 0n): WireBot {
  const credit = o.credit ?? 10;
  if (!Number.isSafeInteger(credit) || credit < 0) throw new RangeError(`credit is ${credit}, want a whole number, 0 or more`);
  for (const key of BOT_FIELDS) {
    if (key in attributes) throw new TypeError(`attribute ${key} is one of ZIO's own`);
  }
  const base = typeof o.label === "string" ? o.label : writeLabel(o.label ?? {});
  const label = Object.keys(attributes).length === 0 ? base : writeLabel({ ...parseLabel(base), ...attributes });
  return create(BotSchema, {
    label, payload: writeParts(o.payload ?? []), origin: o.origin ?? 0n,
    direction: direction === "extract" ? WireDirection.EXTRACT : WireDirection.INJECT, credit: BigInt(credit), cid,
  });
}

/** What a DAT that is to be sent may have besides its payload. */
export interface DatOptions {
  label?: Label;
  /** Instead of the flow's. */
  origin?: bigint;
  /** Microseconds since the epoch; the present if it is left out. */
  granule?: bigint;
  /** 0 to 8. */
  level?: number;
}

export function writeDat(payload: readonly Part[], o: DatOptions, origin: bigint): WireDat {
  const level = o.level ?? 0;
  if (!Number.isInteger(level) || level < 0 || level > 8) throw new RangeError(`level is ${level}, want 0 to 8`);
  return create(DatSchema, {
    label: writeLabel(o.label ?? ""), payload: writeParts(payload), origin: o.origin ?? origin, granule: o.granule ?? 0n, level,
  });
}

export const takenLabel = (taken: number): string => writeLabel({ [TAKEN]: taken });

/** How many DATs a taker has used, by its EOT; undefined if it does not say. */
export function takenBy(label: string): number | undefined {
  try {
    const taken = parseLabel(label)[TAKEN];
    return typeof taken === "number" ? taken : undefined;
  } catch {
    return undefined;
  }
}

export const readDat = (wire: WireDat): Dat => new Message(wire, ["flow"]);

export function readBot(wire: WireBot): Bot {
  const direction = ({ [WireDirection.EXTRACT]: "extract", [WireDirection.INJECT]: "inject" } as const)[wire.direction as 1 | 2];
  const { leftOut: left, takenBy: by } = wire;
  return Object.assign(new Message(wire, BOT_FIELDS), {
    direction, credit: Number(wire.credit), flowId: wire.flowId,
    takenBy: by && { route: by.route, transport: by.transport, address: by.address, identity: by.identity, name: by.name },
    leftOut: left && (left.payloadParts || left.labelBytes) ? { payloadBytes: left.payloadBytes, labelBytes: left.labelBytes } : undefined,
  });
}

export const readEot = (wire: WireEot): Eot =>
  Object.assign(new Message(wire, ["flow"]), { reason: reasonOf(wire.reason), detail: wire.detail });
