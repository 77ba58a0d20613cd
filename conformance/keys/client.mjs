// Comes to a gateway with the files of `gateway keygen`, taken whole:
//     node client.mjs FOLDER GRPC DEALERS
// by certificate and by token with clients/node, by CURVE with zeromq.js. Prints one line
// for each. ZIOFLOW is the client's index.js.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const { Gateway } = await import(pathToFileURL(process.env.ZIOFLOW).href);
const zmq = createRequire(path.resolve("node", "package.json"))("zeromq");
const [folder, address, dealers] = process.argv.slice(2);
const whole = (name) => readFileSync(path.join(folder, name));

async function take(what, options) {
  const gateway = new Gateway(address, options);
  const flow = await gateway.get({ builtin: "generate", count: 3 });
  let n = 0;
  for await (const _ of flow) n++;
  console.log(what, n);
  await gateway.close();
}

const ca = whole("ca.pem");
await take("certificate", { tls: { ca, cert: whole("alice.pem"), key: whole("alice.key") } });
await take("token", { tls: { ca }, token: whole("alice.token").toString() });

const socket = new zmq.Dealer({
  linger: 0, curveServerKey: whole("server.curve.pub").toString(),
  curvePublicKey: whole("alice.curve.pub").toString(), curveSecretKey: whole("alice.curve").toString(),
});
const { events } = socket;
const shaken = new Promise((resolve) => {
  for (const event of ["handshake", "handshake:error:auth"]) events.on(event, () => resolve(event));
});
socket.connect(dealers);
console.log("zeromq", await shaken);
socket.close();
