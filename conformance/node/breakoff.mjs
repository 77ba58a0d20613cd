// A gRPC peer that breaks off, with @grpc/grpc-js. Each line of its standard input is a
// job: to take part in a flow, one message after another, up to the point at which it
// is to break off. It says "ready" there, waits for a line, breaks off in the way that
// the job says, and prints how the call ended. breakoff.py is the same with grpcio.

import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const root = fileURLToPath(new URL("../..", import.meta.url));
const definition = loader.loadSync("zio/gateway/v1/flow.proto", {
  includeDirs: [`${root}/proto`, `${root}/third_party`], longs: String, keepCase: true,
});
const { FlowService } = grpc.loadPackageDefinition(definition).zio.gateway.v1;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => (await lines.next()).value;

// begin opens the call; ready is called when the job has come to its point.
function begin(client, job, ready, ended) {
  const options = job.deadline_ms ? { deadline: Date.now() + job.deadline_ms } : {};
  const metadata = new grpc.Metadata();
  const dat = { dat: { payload: [Buffer.alloc(job.size)] } };
  const give = (call) => {
    for (let n = 0; n < job.dats; n++) call.write(dat);
    ready();
  };
  const bot = { credit: job.credit, cid: job.cid ?? 0, label: JSON.stringify(job.attributes) };
  if (job.call === "put") {
    const call = client.Put(metadata, options, (error) => ended(error?.code ?? 0));
    call.write({ bot });
    give(call);
    return call;
  }
  const gives = job.call !== "take";
  const call = client.Open(metadata, options);
  call.on("error", () => {}); // the status says the same
  call.on("status", (status) => ended(status.code));
  let taken = 0;
  call.on("data", (message) => {
    if (message.bot && !gives) {
      call.write({ pay: { credit: job.credit } });
      call.end();
    }
    if (message.pay) give(call);
    if (message.dat && ++taken === job.dats) ready();
  });
  call.write({ bot: { ...bot, direction: gives ? "DIRECTION_EXTRACT" : "DIRECTION_INJECT" } });
  return call;
}

for (let line = await next(); line; line = await next()) {
  const job = JSON.parse(line);
  const client = new FlowService(job.address, grpc.credentials.createInsecure());
  let ended;
  const end = new Promise((resolve) => { ended = resolve; });
  let call;
  const ready = new Promise((resolve) => { call = begin(client, job, resolve, ended); });
  await Promise.race([ready, end]); // its deadline may be sooner
  console.log("ready");
  await next();
  if (job.end === "cancel") call.cancel();
  if (job.end === "close") { // grpc-js lets calls go on
    client.close();
    call.cancel();
  }
  console.log(await end);
  client.close();
}
