// The matrix's peer for clients/node. See ../README.md.
//
//     node peer.mjs NAME GRPC ROUTER SET handler | client HANDLER...
//
// ZIOFLOW is the client's index.js.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { Gateway } = await import(pathToFileURL(process.env.ZIOFLOW).href);

/** JavaScript's arrays by dtype. */
const arrays = {
  b1: Uint8Array, i1: Int8Array, i2: Int16Array, i4: Int32Array, i8: BigInt64Array,
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, u8: BigUint64Array,
  f2: Uint16Array, f4: Float32Array, f8: Float64Array, c8: Float32Array, c16: Float64Array,
};

/** The tensors that a file describes, by message. */
function readSet(name) {
  const messages = [];
  let between = true;
  let k = 0;
  for (const line of readFileSync(name, "utf8").split("\n")) {
    if (line.startsWith("#")) continue;
    if (line === "") {
      between = true;
      continue;
    }
    if (between) messages.push([]);
    between = false;
    messages.at(-1).push(makeTensor(k++, line));
  }
  return messages;
}

function makeTensor(k, line) {
  const [element, shapeText, order] = line.split(" ");
  const dtype = element[0];
  const word = Number(element.slice(1));
  const shape = shapeText === "-" ? [] : shapeText.split("x").map(Number);
  const bytes = new Uint8Array(shape.reduce((size, n) => size * n, word));
  for (let i = 0; i < bytes.length; i++) {
    const b = (Math.imul(i, 2654435761) + Math.imul(k, 40503) + 1) >>> 15;
    bytes[i] = dtype === "b" ? b & 1 : b;
  }
  return { element, dtype, word, shape, bytes, ...(order === "F" && { order: shape.map((_, n) => n) }) };
}

/** The digest of a tensor's line and bytes. */
function digest({ dtype, word, shape, order }, bytes) {
  const sorted = (order ?? []).every((n, i) => n === i);
  const lies = !order?.length ? "C" : sorted ? "F" : String(order);
  const hash = createHash("sha256");
  hash.update(`${dtype}${word} ${shape.join("x") || "-"} ${lies}\n`);
  hash.update(bytes);
  return hash.digest("hex");
}

const bytesOf = (data) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

async function give(flow, other) {
  const digests = [];
  for (const tensors of set) {
    if (tensors.every(({ element }) => arrays[element])) {
      await flow.putTensors(tensors.map(({ element, dtype, shape, order, bytes }) => ({
        data: new arrays[element](bytes.buffer), dtype, shape, ...(order && { order }),
      })));
    } else { // what JavaScript has no array for
      const described = tensors.map(({ dtype, word, shape, order }, part) => ({ dtype, word, shape, part, ...(order && { order }) }));
      const label = { TENS: { tensors: described, metadata: {} } };
      await flow.put(tensors.map(({ bytes }) => bytes), { label });
    }
    digests.push(...tensors.map((tensor) => digest(tensor, tensor.bytes)));
  }
  await flow.end();
  print({ peer: name, role, other, direction: "extract", digests });
}

async function take(flow, other) {
  const digests = [];
  for await (const dat of flow) {
    const described = dat.attributes.TENS.tensors;
    if (described.every(({ dtype, word }) => dtype + word in arrays)) {
      digests.push(...dat.tensors().tensors.map((tensor) => digest(tensor, bytesOf(tensor.data))));
    } else {
      digests.push(...described.map((tensor, n) => digest(tensor, dat.payload[tensor.part ?? n])));
    }
  }
  print({ peer: name, role, other, direction: "inject", digests });
}

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const [name, grpc, , file, role, ...handlers] = process.argv.slice(2);
const set = readSet(file);
const gateway = new Gateway(grpc);
const options = { credit: 4 };

if (role === "handler") {
  const listener = await gateway.handle(name, async (offer) => {
    const other = offer.attributes.client;
    if (offer.direction === "inject") await take(await offer.take({}, options), other);
    else await give(await offer.give({}, options), other);
  }, { match: `attributes.handler == '${name}'` });
  print({ listening: name });
  for await (const _ of process.stdin);
  await listener.close();
} else {
  for (const handler of handlers) {
    const attributes = { handler, client: name };
    await give(await gateway.give(attributes, options), handler);
    await take(await gateway.take(attributes, options), handler);
  }
}
gateway.close();
