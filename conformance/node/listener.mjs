// A listener beside hostile BOTs, with @grpc/grpc-js: takes the honest flows and declines
// the others.
//   node listener.mjs ADDRESS NAME
// It takes part in the flows whose attribute `to` is its name. It says "listening" when
// the gateway has registered it, and what it has seen when its standard input ends. It
// fails where its registration ends before that. soak/listener.py is the same with the
// Python client.

import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const root = fileURLToPath(new URL("../..", import.meta.url));
const definition = loader.loadSync("zio/gateway/v1/handler.proto", {
  includeDirs: [`${root}/proto`, `${root}/third_party`], longs: String, keepCase: true,
});
const flows = loader.loadSync("zio/gateway/v1/flow.proto", {
  includeDirs: [`${root}/proto`, `${root}/third_party`], longs: String, keepCase: true,
});
const { HandlerService } = grpc.loadPackageDefinition(definition).zio.gateway.v1;
const { FlowService } = grpc.loadPackageDefinition(flows).zio.gateway.v1;

const [address, name] = process.argv.slice(2);
const insecure = grpc.credentials.createInsecure();
const handlers = new HandlerService(address, insecure);
const client = new FlowService(address, insecure);
const seen = { honest: 0, declined: 0, messages: 0 };

function fail(error) {
  console.error(error);
  process.exit(1);
}

// A Struct's value has one kind.
const value = (attributes, key) => attributes?.fields?.[key];

function honest(attributes) {
  return value(attributes, "honest")?.boolValue === true && value(attributes, "word")?.stringValue === "Größe" &&
    value(attributes, "number")?.numberValue === 4611686018427387904;
}

function handle(offer) {
  if (!honest(offer.bot.attributes)) {
    seen.declined++;
    handlers.Decline({ cid: offer.cid, detail: "hostile" }, (error) => {
      if (error && error.code !== grpc.status.NOT_FOUND) fail(error); // it may be gone
    });
    return;
  }
  const call = client.Open();
  let taken = 0;
  call.on("error", (error) => fail(error));
  call.on("data", (message) => {
    if (message.dat) {
      seen.messages++;
      taken++;
      call.write({ pay: { credit: 1 } });
    }
    if (message.eot) {
      call.write({ eot: {} });
      call.end();
      seen.honest++;
    }
  });
  call.write({ bot: { direction: "DIRECTION_INJECT", credit: 3, cid: offer.cid } });
  call.write({ pay: { credit: 3 } });
}

let done = false;
const listening = handlers.Listen({ name, match: `attributes.to == '${name}'` });
listening.on("error", (error) => { if (!done) fail(error); });
listening.on("end", () => { if (!done) fail("the registration has ended"); });
listening.on("data", (event) => {
  if (event.listening) console.log("listening");
  if (event.offer) handle(event.offer);
});
process.stdin.resume();
process.stdin.on("end", () => {
  done = true;
  listening.cancel();
  console.log(JSON.stringify(seen));
  handlers.close();
  client.close();
});
