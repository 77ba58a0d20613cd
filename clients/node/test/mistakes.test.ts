// What the README says of each mistake is what its user sees, in one line.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Gateway, type GatewayOptions } from "../src/index.js";
import { Served, program } from "./serve.js";

const run = promisify(execFile);
let folder: string;
let plain: Served, secure: Served, small: Served, impatient: Served;

async function keys(name: string): Promise<string> {
  const made = path.join(folder, name);
  await run(program, ["keygen", "server", made]);
  return made;
}

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "zioflow-mistakes-"));
  const ours = await keys("keys");
  await keys("others");
  const { stdout } = await run(program, ["keygen", "identity", ours, "alice", "--role=client"]);
  await writeFile(path.join(ours, "identities.yaml"), `identities:\n${stdout}`);
  [plain, secure, small, impatient] = await Promise.all([
    Served.start("--http=127.0.0.1:0", "--zmq-router=tcp://127.0.0.1:0"),
    Served.start(`--identities=${ours}/identities.yaml`, `--tls-cert=${ours}/server.pem`, `--tls-key=${ours}/server.key`),
    Served.start("--max-message=100000"),
    Served.start("--handler-wait=100ms"),
  ]);
});

after(async () => {
  await Promise.all([plain, secure, small, impatient].map((served) => served.kill()));
  await rm(folder, { recursive: true });
});

async function using(address: string, options: GatewayOptions, work: (gateway: Gateway) => Promise<unknown>): Promise<void> {
  const gateway = new Gateway(address, options);
  try {
    await work(gateway);
  } finally {
    gateway.close();
  }
}

const put = (address: string, options: GatewayOptions = {}, size = 1): Promise<void> =>
  using(address, options, (gateway) => gateway.put([new Uint8Array(size)], { builtin: "dump" }));

test("the mistakes of the README", { timeout: 60_000 }, async () => {
  const pem = (name: string) => readFile(path.join(folder, name, "ca.pem"));
  const ca = await pem("keys");
  const router = plain.ready.zmq_router![0]!.replace("tcp://", "");
  const make: Record<string, () => Promise<void>> = {
    "the gateway is not running": () => put("127.0.0.1:1"),
    "no host has that name": () => put("gateway.invalid:7575"),
    "a URL for an address": () => put("http://127.0.0.1:7575"),
    "a port for ZeroMQ": () => put(router),
    "the port for HTTP": () => put(plain.ready.http!),
    "TLS where there is none": () => put(plain.address, { tls: { ca } }),
    "no TLS where there is some": () => put(secure.address),
    "another CA": async () => put(secure.address, { tls: { ca: await pem("others") } }),
    "no token": () => put(secure.address, { tls: { ca } }),
    "a wrong token": () => put(secure.address, { tls: { ca }, token: "guess\n" }),
    "the wrong file for a token": () => put(secure.address, { tls: { ca }, token: ca.toString() }),
    "an empty file for a token": () => put(plain.address, { token: "\n" }),
    "a token without TLS": () => put("192.0.2.1:7575", { token: "secret" }),
    "more than `maxMessage`": () => put(plain.address, { maxMessage: 1000 }, 80_000),
    "more than the gateway takes": () => put(small.address, {}, 200_000),
    "more comes than `maxMessage`": () => using(plain.address, { maxMessage: 1000 }, async (gateway) => {
      for await (const _ of gateway.get({ builtin: "generate", count: 1, size: 100_000 }));
    }),
    "no handler": () => using(impatient.address, {}, (gateway) => gateway.give({ to: "nobody" })),
    "the handler refuses": () => using(plain.address, {}, async (gateway) => {
      const listener = await gateway.handle("no", (offer) => offer.decline("not today"), { match: "attributes.to == 'no'" });
      try {
        await gateway.give({ to: "no" });
      } finally {
        await listener.close();
      }
    }),
  };
  const seen: Record<string, string> = {};
  for (const [mistake, wrong] of Object.entries(make)) {
    seen[mistake] = await wrong().then(() => "nothing", (error: Error) => `${error.name}: ${error.message}`);
    for (const address of [plain.address, plain.ready.http!, router, secure.address, small.address, impatient.address, "127.0.0.1:1:"]) {
      seen[mistake] = seen[mistake].replace(address, address.endsWith(":") ? "ADDRESS:" : "ADDRESS");
    }
    seen[mistake] = seen[mistake].replace(/flow \d+:/, "flow 7:");
  }
  const readme = await readFile(fileURLToPath(new URL("../../README.md", import.meta.url)), "utf8");
  const section = readme.slice(readme.indexOf("## Mistakes"));
  const table = Object.fromEntries([...section.matchAll(/^\| ([^|]+) \| `([^`]+)` \|$/gm)].map(([, mistake, line]) => [mistake, line]));
  assert.deepEqual(seen, table);
});
