import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { FlowEnded, FlowError, Gateway, type Dat, type ListenerState } from "../src/index.js";
import { Served } from "./serve.js";

let served: Served;
let gateway: Gateway;
let folder: string;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "zioflow-"));
  served = await Served.start("--handler-wait=10s", `--grpc=unix:${folder}/grpc`);
  gateway = new Gateway(served.address);
});

after(async () => {
  gateway.close();
  await served.kill();
  await rm(folder, { recursive: true });
});

async function all(flow: AsyncIterable<Dat>): Promise<Dat[]> {
  const got: Dat[] = [];
  for await (const dat of flow) got.push(dat);
  return got;
}

const text = (dat: Dat | undefined) => dat?.payload.map((part) => Buffer.from(part).toString());

test("a client gives", async () => {
  const flow = await gateway.give({ builtin: "dump", run: 42 }, { credit: 3 });
  assert.equal(flow.bot.takenBy?.route, "dump");
  assert.equal(flow.bot.credit, 3);
  for (let n = 0; n < 10; n++) await flow.put(["header", new Uint8Array(100)], { label: { n } });
  await flow.end();
  assert.equal(flow.eot?.reason, "completed");
});

test("a client takes", async () => {
  const dats = await all(await gateway.take({ builtin: "generate", count: 30, size: 4 }, { credit: 4 }));
  assert.equal(dats.length, 30);
  assert.deepEqual([...dats[2]!.payload[0]!], [2, 3, 4, 5]);
  assert.equal(dats[2]!.seqno, 3n);
});

test("flows cross a socket of this machine", async () => {
  assert.deepEqual(served.ready.grpc_addresses, [served.address, `unix:${folder}/grpc`]);
  for (const address of [`unix:${folder}/grpc`, `unix://${folder}/grpc`]) {
    const local = new Gateway(address);
    const dats = await all(local.get({ builtin: "generate", count: 3, size: 100_000 }));
    assert.equal(dats.length, 3);
    local.close();
  }
});

test("put and get in one line each", async () => {
  const result = await gateway.put(["one", ["two", "parts"]], { builtin: "dump" });
  assert.equal(result.messages, 2);
  assert.ok(result.flowId > 0n);
  const dats = await all(gateway.get({ builtin: "generate", count: 2, size: 1 }));
  assert.equal(dats.length, 2);
});

test("a handler takes and gives; attributes and labels cross", async () => {
  const taken: Dat[] = [];
  const listener = await gateway.handle("both", async (offer) => {
    assert.equal(offer.peer?.transport, "grpc");
    if (offer.direction === "inject") {
      for await (const dat of await offer.take({ note: "x" })) taken.push(dat);
    } else {
      const flow = await offer.give();
      await flow.put("from the handler", { label: { big: 1, "ключ": [1.5, null] }, granule: 9n, level: 2 });
      await flow.end();
    }
  }, { match: "attributes.stream == 'both'" });
  const flow = await gateway.give({ stream: "both" }, { origin: 7n });
  assert.equal(flow.bot.attributes["note"], "x");
  await flow.put("a");
  await flow.end();
  const got = await all(gateway.get({ stream: "both" }));
  await listener.close();
  assert.deepEqual(text(taken[0]), ["a"]);
  assert.equal(taken[0]!.origin, 7n);
  assert.deepEqual(got[0]!.attributes, { big: 1, "ключ": [1.5, null] });
  assert.equal(got[0]!.granule, 9n);
  assert.equal(got[0]!.level, 2);
});

test("a refusal says why, to the client", async () => {
  const listener = await gateway.handle("sulking", () => {
    throw new Error("not today");
  }, { match: "attributes.stream == 'no'", onError: () => {} });
  await assert.rejects(gateway.give({ stream: "no" }), (error: FlowError) => {
    assert.equal(error.reason, "rejected");
    assert.equal(error.detail, "not today");
    assert.ok(error.flowId > 0n);
    assert.match(error.message, /^flow \d+: rejected: not today$/);
    return true;
  });
  await listener.close();
});

test("whatever a handler throws, and what telling of it throws, refuses its own flow alone", async (t) => {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", note);
  const told = t.mock.method(console, "error", () => {});
  const thrown: Record<string, unknown> = { bare: Object.create(null), text: "mine", error: new Error("wrong") };
  const handler = async (offer: { attributes: Record<string, unknown> }) => {
    throw thrown[offer.attributes.throws as string];
  };
  const fails = (): never => {
    throw Object.create(null);
  };
  const match = (name: string) => ({ match: `attributes.to == "${name}"`, onState: fails });
  const listeners = [
    await gateway.handle("told", handler, match("told")),
    await gateway.handle("throws", handler, { ...match("throws"), onError: fails }),
    await gateway.handle("rejects", handler, { ...match("rejects"), onError: async () => fails() }),
  ];
  const detail = { bare: "a value without text was thrown", text: "mine", error: "wrong" };
  for (const to of ["told", "throws", "rejects"])
    for (const [throws, why] of Object.entries(detail))
      await assert.rejects(gateway.give({ to, throws }), (error: FlowError) => error.reason === "rejected" && error.detail === why);
  for (const listener of listeners) await listener.close();
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", note);
  assert.deepEqual(unhandled, []);
  assert.ok(told.mock.callCount() >= 9 + 3);
});

test("a taker that leaves the loop says how many it has used", async () => {
  const listener = await gateway.handle("modest", async (offer) => {
    for await (const _ of await offer.take({}, { credit: 5 })) break;
  }, { match: "attributes.stream == 'one'" });
  const flow = await gateway.give({ stream: "one" });
  await assert.rejects(async () => {
    for (let n = 0; n < 100; n++) await flow.put("data");
    await flow.end();
  }, (error: FlowEnded) => error instanceof FlowEnded && error.taken === 1);
  await listener.close();
});

test("a flow that is broken off is peer_gone to the other side", async () => {
  let ended: unknown;
  const listener = await gateway.handle("left", async (offer) => {
    try {
      await all(await offer.take());
    } catch (error) {
      ended = error;
    }
  }, { match: "attributes.stream == 'left'" });
  {
    await using flow = await gateway.give({ stream: "left" });
    await flow.put("data");
  }
  await listener.close();
  assert.equal((ended as FlowError).reason, "peer_gone");
});

test("mistakes are told, and lose nothing", async () => {
  const flow = await gateway.give({ builtin: "dump" });
  await assert.rejects(flow.put(new Float64Array(3) as unknown as Uint8Array), /part 0 is a Float64Array: .*putTensors/);
  await assert.rejects(flow.put(new Uint8Array(65 << 20)), /the message has \d+ bytes, at most \d+ can be sent/);
  await assert.rejects(flow.put("x", { level: 9 }), /level is 9, want 0 to 8/);
  await assert.rejects(flow.put("x", { label: { x: NaN } }), /attribute x is NaN/);
  await flow.put("x");
  await flow.end();
  await assert.rejects(flow.put("x"), Error);
  assert.throws(() => new Gateway("http://127.0.0.1:7575"), /want HOST:PORT, without a scheme/);
  assert.throws(() => new Gateway("gateway.example:7575", { token: "t" }), /in clear text: give tls/);
  assert.throws(() => gateway.give({ cid: 1 }), /attribute cid is one of ZIO's own/);
  await assert.rejects(new Gateway("127.0.0.1:1").give(), (error: FlowError) => {
    assert.match(error.message, /^nothing listens at 127\.0\.0\.1:1: is the gateway running/);
    return true;
  });
  await assert.rejects(new Gateway("unix:/nowhere/socket").give(), /^\w*: there is no socket at unix:\/nowhere\/socket: is the gateway running/);
});

test("puts at once give in their order, and none beyond the credit", async () => {
  const seen: number[] = [];
  const listener = await gateway.handle("order", async (offer) => {
    for await (const dat of await offer.take({}, { credit: 2 })) seen.push(Number(dat.attributes["n"]));
  }, { match: "attributes.stream == 'order'" });
  const flow = await gateway.give({ stream: "order" });
  await Promise.all(Array.from({ length: 50 }, (_, n) => flow.put("x", { label: { n } })));
  await flow.end();
  await listener.close();
  assert.deepEqual(seen, Array.from({ length: 50 }, (_, n) => n));
});

// The soak restarts the gateway more often, and has a flow wait for its handler no longer
// than a gateway does unless it is told otherwise.
const restarts = Number(process.env["TEST_RESTARTS"] ?? 3);
const handlerWait = process.env["TEST_RESTARTS"] ? "2s" : "20s";

test(`a listener comes back whenever the gateway was killed, ${restarts} times`, { timeout: 300_000 }, async (t) => {
  const own = await Served.start(`--handler-wait=${handlerWait}`);
  const mine = new Gateway(own.address);
  t.after(async () => {
    mine.close();
    await own.kill();
  });
  const states: ListenerState[] = [];
  let told = () => {};
  const taken: string[] = [];
  const listener = await mine.handle("again", async (offer) => {
    for await (const dat of await offer.take()) taken.push(...text(dat)!);
  }, { onState: (s) => (states.push(s), told()) });
  for (let n = 0; n < restarts; n++) {
    const before = states.length;
    await own.kill();
    // It is away for some attempts, each after a longer pause, or for none.
    while (states.length < before + 1 + 3 * (n % 4)) await new Promise<void>((resolve) => (told = resolve));
    await own.restart();
    // As another program's: its connection has no past.
    const late = new Gateway(own.address, { channel: { "grpc.use_local_subchannel_pool": 1 } });
    await late.put([`flow ${n}`], { stream: "again" });
    late.close();
    await soon(() => mine.put([`flow ${n}`], { stream: "again" }));
  }
  await listener.close();
  assert.deepEqual(taken, Array.from({ length: 2 * restarts }, (_, n) => `flow ${Math.floor(n / 2)}`));
  assert.deepEqual(states.map((s) => s.state).filter((state, i, all) => state !== all[i - 1]),
    [...Array.from({ length: restarts }, () => ["listening", "reconnecting"]).flat(), "listening", "closed"]);
  assert.match(states[1]!.error!.message, /^(the connection to the gateway at \S+ was lost|nothing listens at)/);
});

/** Tries until this program's connection, which was lost with the gateway, is there again. */
async function soon<T>(work: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + 20_000; ; ) {
    try {
      return await work();
    } catch (error) {
      if ((error as FlowError).code !== 14 || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
