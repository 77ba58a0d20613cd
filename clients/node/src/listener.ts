// Handling flows that clients open.
import { create } from "@bufbuild/protobuf";
import { status, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import type { Connection, ListenCall } from "./connection.js";
import { ListenRequestSchema, type ListenResponse, type ListenRequest, type Offer as WireOffer } from "./gen/zio/gateway/v1/handler_pb.js";
import { FlowError } from "./errors.js";
import { Giver } from "./giver.js";
import { readBot, writeBot, type Bot, type BotOptions, type Direction } from "./messages.js";
import { Taker } from "./taker.js";

/** What is attached to the gateway on one side of a flow. */
export interface Peer {
  readonly transport: string;
  readonly address: string;
  readonly identity: string;
  /** Who it has proved to be; empty where nobody was asked. */
  readonly name: string;
}

/** A client's BOT that waits for a handler: accept it or decline it, once. */
export class Offer {
  /** The client's BOT; its direction is the handler's, its credit the client's proposal. */
  readonly bot: Bot;
  /** When the offer lapses; undefined where it was made by other means. */
  readonly deadline: Date | undefined;
  /** Who the client is; undefined likewise. */
  readonly peer: Peer | undefined;
  /** The token that accepts it, for a handler in another process. */
  readonly cid: bigint;
  /** Aborted when the offer can no longer be accepted. */
  readonly signal: AbortSignal;
  readonly #connection: Connection;
  readonly #withdrawn = new AbortController();
  #state: "open" | "accepting" | "accepted" | "declined" = "open";

  /** Not for programs: Gateway makes offers. */
  constructor(connection: Connection, offer: WireOffer) {
    this.#connection = connection;
    this.bot = readBot(offer.bot ?? ({} as never));
    this.deadline = offer.deadline && new Date(Number(offer.deadline.seconds) * 1000 + offer.deadline.nanos / 1e6);
    this.peer = offer.peer && { transport: offer.peer.transport, address: offer.peer.address, identity: offer.peer.identity, name: offer.peer.name };
    this.cid = offer.cid;
    this.signal = this.#withdrawn.signal;
  }

  /** The attributes of the client's BOT. */
  get attributes(): Record<string, unknown> {
    return this.bot.attributes;
  }

  /** What the handler has to do: `"extract"` to give, `"inject"` to take. */
  get direction(): Direction {
    if (!this.bot.direction) throw new TypeError("the offer names no direction");
    return this.bot.direction;
  }

  /**
   * Accepts: the handler's side of the flow, a Giver or a Taker by the direction. A FlowError
   * with the reason `rejected` says that the offer was gone.
   */
  async accept(attributes: Readonly<Record<string, unknown>> = {}, options: BotOptions = {}): Promise<Giver | Taker> {
    if (this.#state !== "open") throw new Error("an offer can be accepted or declined only once");
    const bot = writeBot(this.direction, attributes, options, this.cid);
    this.#state = "accepting";
    const flow = await (this.direction === "extract" ? new Giver(this.#connection, bot) : new Taker(this.#connection, bot)).opened();
    this.#state = "accepted";
    return flow;
  }

  /** Accepts an offer whose handler has to take. */
  async take(attributes: Readonly<Record<string, unknown>> = {}, options: BotOptions = {}): Promise<Taker> {
    return (await this.#as("inject", attributes, options)) as Taker;
  }

  /** Accepts an offer whose handler has to give. */
  async give(attributes: Readonly<Record<string, unknown>> = {}, options: BotOptions = {}): Promise<Giver> {
    return (await this.#as("extract", attributes, options)) as Giver;
  }

  async #as(want: Direction, attributes: Readonly<Record<string, unknown>>, options: BotOptions): Promise<Giver | Taker> {
    if (this.direction !== want) throw new FlowError("rejected", `this handler can only ${want}, it is to ${this.direction}`);
    return this.accept(attributes, options);
  }

  /** Refuses: the client sees `rejected` and the detail, cut to 1,024 bytes. */
  async decline(detail = ""): Promise<void> {
    if (this.#state === "accepted" || this.#state === "declined") throw new Error("an offer can be accepted or declined only once");
    this.#state = "declined";
    await this.#connection.decline(this.cid, detail);
  }

  /** @internal */
  get pending(): boolean {
    return this.#state === "open" || this.#state === "accepting";
  }

  /** @internal */
  withdraw(): void {
    if (this.pending) this.#withdrawn.abort(new FlowError("rejected", "the offer was withdrawn"));
  }
}

/** What handles one flow. */
export type Handler = (offer: Offer) => Promise<void> | void;

/** What has become of a registration. */
export interface ListenerState {
  /** `"listening"`, `"reconnecting"` after a loss, `"closed"` for good. */
  readonly state: "listening" | "reconnecting" | "closed";
  /** Why it is not listening. */
  readonly error?: FlowError;
}

/** How to listen. */
export interface HandleOptions {
  /** A CEL expression that says which flows; all if it is left out. */
  match?: string;
  /** How many flows at once; 0 for any number. What is left of a registration that was lost does not count for the next one. */
  maxFlows?: number;
  /** Whether to register again after the connection was lost; true by default. */
  reconnect?: boolean;
  /** Told what becomes of the registration. What it throws goes to `console.error`. */
  onState?: (state: ListenerState) => void;
  /** Told what a handler has thrown; `console.error` by default. What it throws goes there. */
  onError?: (error: unknown, offer: Offer) => void;
}

/** The first and the longest time between two attempts, in ms. */
const FIRST_RETRY = 50;
const LAST_RETRY = 500;

/** After these a second attempt would end like the first. */
const FINAL = new Set([status.INVALID_ARGUMENT, status.UNAUTHENTICATED, status.PERMISSION_DENIED, status.UNIMPLEMENTED, status.ALREADY_EXISTS]);

/** A registration for flows; made by Gateway.handle. */
export class Listener implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #request: ListenRequest;
  readonly #handler: Handler;
  readonly #options: HandleOptions;
  readonly #handling = new Map<Offer, Promise<void>>();
  readonly #ended: Promise<FlowError | undefined>;
  #first!: (error?: FlowError) => void;
  #call: ListenCall | undefined;
  #closed = false;
  #wake: (() => void) | undefined;
  /** Resolves when it is registered for the first time. @internal */
  readonly listening: Promise<void>;

  /** Not for programs: Gateway makes listeners. */
  constructor(connection: Connection, name: string, handler: Handler, o: HandleOptions) {
    this.#connection = connection;
    this.#handler = handler;
    this.#options = o;
    this.#request = create(ListenRequestSchema, {
      name, match: o.match ?? "", maxFlows: o.maxFlows ?? 0, maxOfferBytes: Math.min(connection.maxMessage, 2 ** 32 - 1),
    });
    this.listening = new Promise((resolve, reject) => {
      this.#first = (error) => (error ? reject(error) : resolve());
    });
    this.#ended = this.#run();
  }

  /** Waits until the registration has ended; rejects if it ended by itself. */
  async wait(): Promise<void> {
    const error = await this.#ended;
    if (error) throw error;
  }

  /** Stops listening, and waits for the flows that are being handled. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#call?.cancel();
    this.#wake?.();
    await this.#ended;
    for (const offer of this.#handling.keys()) offer.withdraw();
    await Promise.all(this.#handling.values());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Registers again and again until it is closed; the error is why it gave up. */
  async #run(): Promise<FlowError | undefined> {
    let registered = false;
    for (let retry = FIRST_RETRY; ; ) {
      const { listened, error } = await this.#listen();
      if (listened) {
        registered = true;
        retry = FIRST_RETRY;
      }
      const again = registered && (this.#options.reconnect ?? true) && !FINAL.has(error.code ?? status.OK);
      if (this.#closed || !again) {
        this.#first(error); // which does nothing once it is registered
        const state: ListenerState = this.#closed ? { state: "closed" } : { state: "closed", error };
        this.#state(state);
        return this.#closed ? undefined : error;
      }
      this.#state({ state: "reconnecting", error });
      await this.#sleep(retry * (0.75 + Math.random() / 2));
      retry = Math.min(2 * retry, LAST_RETRY);
    }
  }

  #sleep(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** One registration, to its end. */
  #listen(): Promise<{ listened: boolean; error: FlowError }> {
    return new Promise((resolve) => {
      let listened = false;
      const call = (this.#call = this.#connection.listen(this.#request));
      call.on("error", () => {}); // `status` says the same
      call.on("data", ({ event }: ListenResponse) => {
        if (event.case === "listening") {
          listened = true;
          this.#first();
          this.#state({ state: "listening" });
        } else if (event.case === "offer") this.#take(new Offer(this.#connection, event.value));
        else if (event.case === "withdrawn") this.#withdraw(event.value.cid);
      });
      call.on("status", (s: StatusObject) => setImmediate(() => {
        for (const offer of this.#handling.keys()) offer.withdraw();
        const ended = s.code === status.OK;
        resolve({
          listened,
          error: ended
            ? new FlowError("unspecified", "the gateway ended the listener")
            : this.#connection.errorOf(Object.assign(new Error(s.details), s) as ServiceError),
        });
      }));
    });
  }

  #withdraw(cid: bigint): void {
    for (const offer of this.#handling.keys()) if (offer.cid === cid) offer.withdraw();
  }

  #take(offer: Offer): void {
    this.#handling.set(offer, this.#handle(offer).finally(() => this.#handling.delete(offer)));
  }

  async #handle(offer: Offer): Promise<void> {
    try {
      await this.#handler(offer);
      if (offer.pending && !offer.signal.aborted) await offer.decline("the handler neither accepted nor declined");
    } catch (error) {
      if (offer.signal.aborted) return;
      void this.#tell(error, offer);
      if (offer.pending) await offer.decline(wordsOf(error)).catch(() => {});
    }
  }

  /** Tells of what a handler has thrown. What goes wrong with that is told, and no more. */
  async #tell(error: unknown, offer: Offer): Promise<void> {
    try {
      if (this.#options.onError) await this.#options.onError(error, offer);
      else console.error("zioflow: a handler failed:", error);
    } catch (failed) {
      console.error("zioflow: onError failed:", wordsOf(failed));
    }
  }

  /** Tells what has become of the registration, which goes on whatever comes of that. */
  #state(state: ListenerState): void {
    try {
      this.#options.onState?.(state);
    } catch (failed) {
      console.error("zioflow: onState failed:", wordsOf(failed));
    }
  }
}

/** What was thrown, in words; it may be any value. */
function wordsOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? String(thrown.message || thrown.name) : String(thrown);
  } catch {
    return "a value without text was thrown";
  }
}
