// What both sides of a flow have in common: the stream, the BOTs and the EOTs.
import type { Buffer } from "node:buffer";
import { create } from "@bufbuild/protobuf";
import { status, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import type { Connection, OpenCall } from "./connection.js";
import { EotSchema, type Bot as WireBot, type OpenResponse } from "./gen/zio/gateway/v1/flow_pb.js";
import { FlowError } from "./errors.js";
import { readBot, readEot, type Bot, type Eot } from "./messages.js";

/**
 * One side of one flow; made by a Gateway or an Offer. It has to be ended: by `end`, in good
 * order, or by `abort`. `await using` aborts a flow that has not been ended by then.
 */
export abstract class Flow implements AsyncDisposable {
  protected readonly connection: Connection;
  protected readonly origin: bigint;
  protected saidEot = false;
  protected done = false;
  protected error: FlowError | undefined;
  readonly #call: OpenCall;
  readonly #waiting = new Set<() => void>();
  #bot: Bot | undefined;
  #eot: Eot | undefined;

  /** Not for programs: Gateway and Offer make flows. */
  constructor(connection: Connection, bot: WireBot) {
    this.connection = connection;
    this.origin = bot.origin;
    const first = connection.encode({ case: "bot", value: bot });
    this.#call = connection.open();
    this.#call.on("data", (response: OpenResponse) => this.#receive(response));
    this.#call.on("error", () => {}); // `status` says the same
    // What came before the status may still be in the stream's buffer.
    this.#call.on("status", (s: StatusObject) => setImmediate(() => this.#finish(s)));
    this.#call.write(first);
  }

  /** The other side's BOT, with the credit agreed and the flow's id. */
  get bot(): Bot {
    if (!this.#bot) throw new Error("the other side has not answered yet");
    return this.#bot;
  }

  /** The other side's EOT, or the gateway's in its place; undefined before. */
  get eot(): Eot | undefined {
    return this.#eot;
  }

  /** Waits for the other side's BOT. @internal */
  async opened(): Promise<this> {
    while (!this.#bot && !this.done) await this.news();
    if (!this.#bot) throw this.failure();
    this.begin(this.#bot);
    return this;
  }

  /**
   * Ends the flow in good order: resolves when both sides have said EOT, and rejects with a
   * FlowError if the flow ended otherwise.
   */
  async end(): Promise<void> {
    this.leave();
    this.sayEot();
    while (!this.done) await this.news();
    this.conclude();
  }

  /** Breaks the flow off: the other side sees `peer_gone`. Nothing happens if it has ended. */
  abort(): void {
    this.leave();
    if (!this.done) this.#call.cancel();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.abort();
    while (!this.done) await this.news();
  }

  protected abstract begin(bot: Bot): void;
  protected abstract takeIn(response: OpenResponse): void;
  protected abstract eotLabel(): string;
  protected leave(): void {}

  /** Throws unless the flow, which is done, has ended well. */
  protected conclude(): void {
    if (this.error || !this.#eot) throw this.failure();
  }

  /** Why the stream is done, for one that still needed it. */
  protected failure(): FlowError {
    return this.error ?? new FlowError("unspecified", "the gateway ended the stream too early", { flowId: this.flowId });
  }

  protected get flowId(): bigint {
    return this.#bot?.flowId ?? 0n;
  }

  /** Whether the EOT that came says that the flow has failed. */
  protected get eotFailed(): boolean {
    return this.#eot !== undefined && this.#eot.reason !== "unspecified" && this.#eot.reason !== "completed";
  }

  /** Resolves at the next thing that happens. */
  protected news(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  protected tell(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }

  /** Sends an encoded message; resolves when the next one may be sent, to false if the stream has ended. */
  protected send(message: Buffer): Promise<boolean> {
    if (this.done) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#call.write(message, (error: Error | null | undefined) => resolve(!error && !this.done));
      void this.#untilDone().then(() => resolve(false)); // a call that never began calls nobody back
    });
  }

  /** Says EOT unless that has been done, or is too late. */
  protected sayEot(): void {
    if (this.saidEot || this.done) return;
    this.saidEot = true;
    const value = create(EotSchema, { label: this.eotLabel(), origin: this.origin });
    void this.send(this.connection.encode({ case: "eot", value }));
    this.tell();
  }

  #ended: Promise<void> | undefined;

  #untilDone(): Promise<void> {
    this.#ended ??= (async () => {
      while (!this.done) await this.news();
    })();
    return this.#ended;
  }

  #receive(response: OpenResponse): void {
    const { message } = response;
    if (message.case === "bot") this.#bot = readBot(message.value);
    else if (message.case === "eot") this.#eot = readEot(message.value);
    this.takeIn(response);
    this.tell();
  }

  #finish(s: StatusObject): void {
    if (s.code !== status.OK) this.error = this.#asTold(s);
    this.done = true;
    this.tell();
  }

  /** The status as an error; the EOT's reason counts if the status has none. */
  #asTold(s: StatusObject): FlowError {
    const error = this.connection.errorOf(Object.assign(new Error(s.details), s) as ServiceError, this.flowId);
    if (!this.#eot || !this.eotFailed || error.reason !== "unspecified") return error;
    return new FlowError(this.#eot.reason, this.#eot.detail, { code: error.code, flowId: error.flowId });
  }
}
