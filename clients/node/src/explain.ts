// What has gone wrong with a connection, in words for its user, and not grpc-js's.
import { status } from "@grpc/grpc-js";

/** What was to be reached, and how. */
export interface Where {
  readonly address: string;
  readonly encrypted: boolean;
}

/** The first that is found in grpc-js's words, and what it means; for "plain" only without TLS. */
const CAUSES: readonly (readonly [RegExp, (at: string, found: RegExpExecArray) => string, "plain"?])[] = [
  [/ENOENT/, (at) => `there is no socket at ${at}: is the gateway running, with this --grpc?`],
  [/EACCES/, (at) => `this user may not connect to ${at}: the socket is for its owner and group`],
  [/ECONNREFUSED/, (at) => `nothing listens at ${at}: is the gateway running, with this --grpc?`],
  [/ENOTFOUND|EAI_AGAIN|Name resolution failed/, (at) => `there is no host of the name in ${at}`],
  [/Protocol error/, (at) => `what listens at ${at} does not speak gRPC: is it a port for ZeroMQ or HTTP, and not --grpc?`],
  [/wrong version number|packet length too long/, (at) => `the gateway at ${at} does not use TLS: leave tls out`],
  [/Hostname\/IP does not match/, (at) => `the certificate of the gateway at ${at} is for another name`],
  [
    /Error: ((?:self.signed|unable to (?:get|verify)|certificate)[^.\n]*)/,
    (at, found) => `the certificate of the gateway at ${at} is not trusted: ${found[1]}`,
  ],
  [/alert|SSL routines/, (at) => `the gateway at ${at} refuses this program's certificate, or asks for one`],
  [/Failed to connect/, (at) => `what listens at ${at} closed the connection: if the gateway uses TLS, give tls`, "plain"],
  [
    /ECONNRESET|EPIPE|Connection dropped|Connection closed|GOAWAY|[Kk]eepalive|Stream refused|The session has been destroyed|No connection established/,
    (at) => `the connection to the gateway at ${at} was lost`,
  ],
];

const TOO_LARGE = /(grpc: )?[Rr]eceived message larger than max \((\d+) vs\.? (\d+)\)/;

/** Whether this is how gRPC refuses a message for its size. */
export function isTooLarge(code: status, text: string): boolean {
  return code === status.RESOURCE_EXHAUSTED && TOO_LARGE.test(text);
}

/** One line for the text of a status that has no reason of the gateway's. */
export function explain(code: status, text: string, { address, encrypted }: Where): string {
  const told = text.replace(/\s+/g, " ").trim();
  if (code === status.UNAVAILABLE) {
    for (const [pattern, means, only] of CAUSES) {
      const found = only === "plain" && encrypted ? null : pattern.exec(text);
      if (found) return means(address, found);
    }
  }
  if (code === status.UNAUTHENTICATED) return `the gateway at ${address} does not let this program in: ${told}`;
  if (code === status.PERMISSION_DENIED) return `the gateway at ${address} does not allow this: ${told}`;
  const size = TOO_LARGE.exec(told);
  if (code === status.RESOURCE_EXHAUSTED && size) {
    if (!size[1]) return `a message of ${size[2]} bytes has come, more than ${size[3]}: see maxMessage`;
    return `the message has ${size[2]} bytes, the gateway takes ${size[3]}: see its --max-message`;
  }
  return told ? `${status[code]}: ${told}` : "";
}
