// The side of a flow that takes.
import { create } from "@bufbuild/protobuf";
import { PaySchema, type Dat as WireDat, type OpenResponse } from "./gen/zio/gateway/v1/flow_pb.js";
import { Flow } from "./flow.js";
import { readDat, takenLabel, type Bot, type Dat } from "./messages.js";

/**
 * A side that takes: iterate over it, in one place at a time.
 *
 * It pays by itself: for everything at the beginning, then, whenever half of the credit has
 * been used, for what was used; and one by one when the giver has said EOT. A DAT counts as
 * used when the next one is asked for.
 *
 * The iteration ends when the giver has said EOT, everything was used, and the flow has
 * completed. If the flow fails it still yields what came before, and then throws a FlowError.
 * Leaving the loop early, by `break` or by an exception, ends the flow in good order; the
 * giver is told how many DATs were used. `abort`, called before that, breaks it off.
 */
export class Taker extends Flow implements AsyncIterable<Dat> {
  readonly #came: WireDat[] = [];
  #taken = 0;
  #owed = 0;
  #left = false;

  async *[Symbol.asyncIterator](): AsyncGenerator<Dat, void, undefined> {
    let whole = false;
    try {
      for (let dat = await this.#next(); dat; dat = await this.#next()) yield dat;
      whole = true;
    } finally {
      if (!whole && !this.done) await this.end();
    }
  }

  /** How many DATs have been used. */
  get taken(): number {
    return this.#taken;
  }

  /** The next DAT; undefined when the flow has completed. */
  async #next(): Promise<Dat | undefined> {
    this.#payBack();
    while (this.#came.length === 0) {
      if (this.done || this.#left) {
        if (this.done) this.conclude();
        return undefined;
      }
      if (this.eot && !this.eotFailed) this.sayEot();
      await this.news();
    }
    this.#taken++;
    this.#owed++; // from the next call on
    return readDat(this.#came.shift() as WireDat);
  }

  #payBack(): void {
    const enough = this.eot ? 1 : Math.max(1, Math.floor(this.bot.credit / 2));
    if (this.#owed < enough || this.saidEot || this.eotFailed || this.done) return;
    const owed = this.#owed;
    this.#owed = 0;
    this.#pay(owed);
  }

  #pay(credit: number): void {
    void this.send(this.connection.encode({ case: "pay", value: create(PaySchema, { credit: BigInt(credit) }) }));
  }

  protected override begin(bot: Bot): void {
    this.#pay(bot.credit);
  }

  protected override leave(): void {
    this.#left = true;
    this.#came.length = 0;
    this.tell();
  }

  protected override takeIn({ message }: OpenResponse): void {
    if (message.case === "dat" && !this.#left) this.#came.push(message.value);
  }

  protected override eotLabel(): string {
    return takenLabel(this.#taken);
  }
}
