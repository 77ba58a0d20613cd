// The connection to a gateway, which everything else shares.
import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { basename } from "node:path";
import { create, fromBinary, toBinary, type DescMessage, type DescMethod, type MessageShape } from "@bufbuild/protobuf";
import {
  Client, Metadata, credentials, type ChannelCredentials, type ChannelOptions,
  type ClientDuplexStream, type ClientReadableStream, type ServiceError,
} from "@grpc/grpc-js";
import { FlowService, OpenRequestSchema, OpenResponseSchema } from "./gen/zio/gateway/v1/flow_pb.js";
import { HandlerService, ListenResponseSchema, type ListenRequest } from "./gen/zio/gateway/v1/handler_pb.js";
import type { OpenRequest, OpenResponse } from "./gen/zio/gateway/v1/flow_pb.js";
import type { ListenResponse } from "./gen/zio/gateway/v1/handler_pb.js";
import { cut, errorOf, type FlowError } from "./errors.js";
import type { Where } from "./explain.js";

/** The largest payload that a gateway takes unless it is set otherwise. */
const MAX_MESSAGE = 64 * 1024 * 1024;
/** How much longer a message may be than its payload: its label and the encoding. */
const HEAD_ROOM = 64 * 1024;

/** How a gateway is reached. */
export interface GatewayOptions {
  /** TLS, and with a pair of its own who this program is; without it the connection is not encrypted. */
  tls?: { ca?: Uint8Array | string; key?: Uint8Array | string; cert?: Uint8Array | string };
  /** Shown with every call; a function where it has to be renewed. White space around it is cut off. */
  token?: string | (() => string);
  /** What operators know this program by, of printable ASCII; it proves nothing. */
  name?: string;
  /** The largest payload in bytes, which should be the gateway's own limit: 64 MiB. */
  maxMessage?: number;
  /** Options of grpc-js, which win over those set here. */
  channel?: ChannelOptions;
}

export type OpenCall = ClientDuplexStream<Buffer, OpenResponse>;
export type ListenCall = ClientReadableStream<ListenResponse>;

export class Connection {
  readonly maxMessage: number;
  readonly #where: Where;
  readonly #client: Client;
  readonly #token: GatewayOptions["token"];
  readonly #limit: number;
  readonly #name: string | undefined;

  constructor(address: string, o: GatewayOptions) {
    if (/^[a-z+]+:\/\//i.test(address) && !address.startsWith("unix://")) {
      throw new TypeError(`the address is ${address}: want HOST:PORT, without a scheme`);
    }
    if (o.token !== undefined && !o.tls && !isLocal(address)) {
      throw new TypeError(`a token for ${address} would cross the network in clear text: give tls`);
    }
    if (typeof o.token === "string") bearer(o.token);
    this.#where = { address, encrypted: o.tls !== undefined };
    this.maxMessage = o.maxMessage ?? MAX_MESSAGE;
    this.#limit = this.maxMessage + HEAD_ROOM;
    this.#token = o.token;
    if (o.name !== undefined && !/^[ -~]+$/.test(o.name)) throw new TypeError(`the name is ${JSON.stringify(o.name)}: want printable ASCII`);
    this.#name = o.name;
    this.#client = new Client(address, secure(o.tls), {
      "grpc.max_send_message_length": this.#limit,
      "grpc.max_receive_message_length": this.#limit,
      "grpc.enable_http_proxy": 0,
      "grpc.primary_user_agent": `${program()} zioflow-node`,
      // A gateway that has vanished without a word is noticed.
      "grpc.keepalive_time_ms": 30_000,
      "grpc.keepalive_timeout_ms": 10_000,
      // A gateway that was started again is found soon, also after it was away for long.
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 500,
      ...o.channel,
    });
  }

  /** A message as it is sent. Throws if it is too large: gRPC would end the call, and with it the flow. */
  encode(message: OpenRequest["message"]): Buffer {
    const bytes = encoder(OpenRequestSchema)(create(OpenRequestSchema, { message }));
    if (bytes.length > this.#limit) throw new RangeError(`the message has ${bytes.length} bytes, at most ${this.#limit} can be sent: see maxMessage`);
    return bytes;
  }

  open(): OpenCall {
    const m = FlowService.method.open;
    return this.#client.makeBidiStreamRequest(pathOf(m), (encoded: Buffer) => encoded, decoder(OpenResponseSchema), this.#metadata());
  }

  listen(request: ListenRequest): ListenCall {
    const m = HandlerService.method.listen;
    return this.#client.makeServerStreamRequest(pathOf(m), encoder(m.input), decoder(ListenResponseSchema), request, this.#metadata());
  }

  /** Refuses an offer; one that is gone needs no refusal. */
  async decline(cid: bigint, detail: string): Promise<void> {
    const m = HandlerService.method.decline;
    const request = { $typeName: m.input.typeName, cid, detail: cut(detail) };
    await new Promise<void>((resolve, reject) => {
      this.#client.makeUnaryRequest(pathOf(m), encoder(m.input), decoder(m.output), request, this.#metadata(), (error: ServiceError | null) => {
        if (error && error.code !== 5 /* NOT_FOUND */) reject(this.errorOf(error));
        else resolve();
      });
    });
  }

  /** The error that a call's status tells of. */
  errorOf(failed: ServiceError, flowId = 0n): FlowError {
    return errorOf(failed, this.#where, flowId);
  }

  close(): void {
    this.#client.close();
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    const token = typeof this.#token === "function" ? this.#token() : this.#token;
    if (token !== undefined) metadata.set("authorization", `Bearer ${bearer(token)}`);
    if (this.#name !== undefined) metadata.set("zio-client-name", this.#name);
    return metadata;
  }
}

const pathOf = (m: DescMethod): string => `/${m.parent.typeName}/${m.name}`;

const encoder = <T extends DescMessage>(schema: T) => (message: MessageShape<T>): Buffer => {
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
};

const decoder = <T extends DescMessage>(schema: T) => (bytes: Buffer): MessageShape<T> => fromBinary(schema, bytes);

/** This program's name, as a user agent can have it. */
const program = (): string => basename(process.argv[1] ?? "").replace(/[^!-~]/g, "_").slice(0, 64) || "node";

/** A token without the white space around it, such as the newline at the end of a file. */
function bearer(token: string): string {
  const trimmed = token.trim();
  if (trimmed === "") throw new TypeError("the token is empty");
  if (!/^[!-~]+$/.test(trimmed)) throw new TypeError("the token is no single line of letters and digits: is it the right file?");
  return trimmed;
}

function secure(tls: GatewayOptions["tls"]): ChannelCredentials {
  if (!tls) return credentials.createInsecure();
  const pem = (text: Uint8Array | string | undefined) => (text === undefined ? null : Buffer.from(text));
  return credentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.cert));
}

/** Whether what is sent to an address stays on this machine. */
export function isLocal(address: string): boolean {
  if (address.startsWith("unix:")) return true;
  const host = (/^\[(.*)\](:\d+)?$/.exec(address)?.[1] ?? (isIP(address) ? address : address.replace(/:\d+$/, ""))).toLowerCase();
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
