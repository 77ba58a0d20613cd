// The gateway, from which everything starts.
import { create } from "@bufbuild/protobuf";
import { Connection, type GatewayOptions } from "./connection.js";
import { BotSchema, Direction as WireDirection } from "./gen/zio/gateway/v1/flow_pb.js";
import { OfferSchema } from "./gen/zio/gateway/v1/handler_pb.js";
import { Giver } from "./giver.js";
import { Listener, Offer, type HandleOptions, type Handler } from "./listener.js";
import { writeBot, type BotOptions, type Dat, type Direction, type Part } from "./messages.js";
import { Taker } from "./taker.js";

type Attributes = Readonly<Record<string, unknown>>;

/** What became of a put. */
export interface PutResult {
  readonly flowId: bigint;
  /** DATs that were given, all of which the taker has used. */
  readonly messages: number;
}

/**
 * A connection to a ZIO flow gateway. Making one does not wait for the network: a gateway
 * that cannot be reached shows in the first call. Any number of flows share one.
 */
export class Gateway implements Disposable {
  readonly #connection: Connection;

  /** A gateway at HOST:PORT. Throws a TypeError if a token would leave this machine in clear text. */
  constructor(address = "127.0.0.1:7575", options: GatewayOptions = {}) {
    this.#connection = new Connection(address, options);
  }

  /** Ends the connection; flows that still use it are broken off. */
  close(): void {
    this.#connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Opens a flow as a client that gives. The attributes are by what a handler is found. */
  give(attributes: Attributes = {}, options: BotOptions = {}): Promise<Giver> {
    return new Giver(this.#connection, writeBot("extract", attributes, options)).opened();
  }

  /** Opens a flow as a client that takes. */
  take(attributes: Attributes = {}, options: BotOptions = {}): Promise<Taker> {
    return new Taker(this.#connection, writeBot("inject", attributes, options)).opened();
  }

  /** Gives everything that can be iterated over, and resolves when the taker has used it. */
  async put(
    items: Iterable<Part | readonly Part[]> | AsyncIterable<Part | readonly Part[]>,
    attributes: Attributes = {}, options: BotOptions = {},
  ): Promise<PutResult> {
    const flow = await this.give(attributes, options);
    try {
      await flow.putAll(items);
      await flow.end();
    } finally {
      flow.abort(); // unless it has ended
    }
    return { flowId: flow.bot.flowId, messages: flow.sent };
  }

  /** Takes everything that a flow gives: `for await (const dat of gateway.get({...}))`. */
  async *get(attributes: Attributes = {}, options: BotOptions = {}): AsyncGenerator<Dat, void, undefined> {
    yield* await this.take(attributes, options);
  }

  /**
   * Handles flows that clients open. Every offer runs the handler; if it throws before it has
   * accepted, the offer is declined with the error's text. Resolves when the gateway has
   * registered it: flows that are opened from then on can reach it.
   */
  async handle(name: string, handler: Handler, options: HandleOptions = {}): Promise<Listener> {
    const listener = new Listener(this.#connection, name, handler, options);
    await listener.listening;
    return listener;
  }

  /**
   * The offer with a cid that this program was told by other means: a route has started it,
   * with the cid in its environment as ZIO_GATEWAY_CID and the direction on standard input.
   */
  offer(cid: bigint, direction: Direction): Offer {
    const wire = direction === "extract" ? WireDirection.EXTRACT : WireDirection.INJECT;
    return new Offer(this.#connection, create(OfferSchema, { cid, bot: create(BotSchema, { direction: wire }) }));
  }
}
