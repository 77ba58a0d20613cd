// The side of a flow that gives.
import type { OpenResponse } from "./gen/zio/gateway/v1/flow_pb.js";
import { FlowEnded } from "./errors.js";
import { Flow } from "./flow.js";
import { takenBy, writeDat, writeLabel, type Bot, type DatOptions, type Part } from "./messages.js";
import { writeTensors, type TensorInput, type TypedArray } from "./tens.js";

/**
 * A side that gives: put DATs into it, then end it.
 *
 * `end` rejects with FlowEnded if the taker had ended the flow before, and used less than
 * was put or did not say how much it used.
 */
export class Giver extends Flow {
  #credit = 0;
  #sent = 0;
  #left = false;
  #turn: Promise<unknown> = Promise.resolve();

  /**
   * Gives one DAT of one part, or of a list of parts, once the taker has paid for it.
   *
   * It rejects with FlowEnded if the taker has ended the flow, with a FlowError if the flow
   * failed: in both cases the taker does not use this DAT. A TypeError or RangeError says
   * that no DAT can be made of it, or that it is too large: the flow goes on. Calls that are
   * made at once give in their order.
   */
  put(payload: Part | readonly Part[], options: DatOptions = {}): Promise<void> {
    const parts = Array.isArray(payload) ? (payload as readonly Part[]) : [payload as Part];
    const given = this.#turn.then(() => this.#put(parts, options));
    this.#turn = given.catch(() => {});
    return given;
  }

  /** Gives one DAT of these arrays, in ZIO's TENS form. */
  putTensors(
    tensors: TypedArray | TensorInput | readonly (TypedArray | TensorInput)[],
    options: DatOptions & { metadata?: Readonly<Record<string, unknown>> } = {},
  ): Promise<void> {
    const list = Array.isArray(tensors) ? (tensors as readonly TensorInput[]) : [tensors as TensorInput];
    const { tens, parts } = writeTensors(list, options.metadata);
    const base = typeof options.label === "string" ? (JSON.parse(options.label || "{}") as object) : options.label;
    return this.put(parts, { ...options, label: writeLabel({ ...base, TENS: tens }) });
  }

  /** Gives everything that can be iterated over, each as `put` does. */
  async putAll(items: Iterable<Part | readonly Part[]> | AsyncIterable<Part | readonly Part[]>): Promise<void> {
    for await (const item of items) await this.put(item);
  }

  /** How many DATs have been put. */
  get sent(): number {
    return this.#sent;
  }

  async #put(parts: readonly Part[], options: DatOptions): Promise<void> {
    const dat = writeDat(parts, options, this.origin);
    const message = this.connection.encode({ case: "dat", value: dat });
    await this.#earn();
    this.#credit--;
    this.#sent++;
    if (await this.send(message)) return;
    while (!this.done) await this.news();
    throw this.error ? this.failure() : this.#endedEarly();
  }

  /** Waits for credit. */
  async #earn(): Promise<void> {
    while (this.#credit < 1 && !this.eot && !this.done && !this.#left) await this.news();
    if (this.eot && !this.eotFailed) throw this.#endedEarly();
    if (this.eot || this.done) {
      while (!this.done) await this.news();
      throw this.failure();
    }
    if (this.#left) throw new Error("the flow has been ended on this side");
  }

  protected override begin(_bot: Bot): void {}

  protected override leave(): void {
    this.#left = true;
    this.tell();
  }

  protected override takeIn({ message }: OpenResponse): void {
    if (message.case === "pay") this.#credit += Number(message.value.credit);
    else if (message.case === "eot" && !this.eotFailed) this.sayEot(); // nothing more will be taken
  }

  protected override eotLabel(): string {
    return "";
  }

  #endedEarly(): FlowEnded {
    const taken = this.eot && takenBy(this.eot.label);
    return new FlowEnded(`the taker ended the flow after using ${taken ?? "an unknown number"} of ${this.#sent} DATs`, taken, this.flowId);
  }

  protected override conclude(): void {
    super.conclude();
    const taken = this.eot && takenBy(this.eot.label);
    // An EOT that does not answer ours may have come before it all was used.
    const lost = taken !== undefined ? taken < this.#sent : this.#sent > 0 && this.eot?.reason !== "completed";
    if (lost) throw this.#endedEarly();
  }
}
