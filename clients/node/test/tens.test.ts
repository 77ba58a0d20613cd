import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Gateway, type Dat, type TensorInput } from "../src/index.js";
import { tensorsOf, writeTensors } from "../src/tens.js";
import { Served } from "./serve.js";

let served: Served;
let gateway: Gateway;

before(async () => {
  served = await Served.start();
  gateway = new Gateway(served.address);
});

after(async () => {
  gateway.close();
  await served.kill();
});

const inputs: TensorInput[] = [
  { data: new Float32Array([1.5, -0, NaN, 4]), shape: [2, 2] },
  { data: new Float64Array([Math.PI]), shape: [] },
  { data: new Int8Array([-1, 2]) },
  { data: new Int16Array([-1, 2]), shape: [1, 2, 1] },
  { data: new Int32Array(0), shape: [0, 3] },
  { data: new BigInt64Array([-(2n ** 63n)]) },
  { data: new Uint8Array([1, 2, 3]), metadata: { unit: "mV" } },
  { data: new Uint16Array([0x3c00]), dtype: "f" },
  { data: new Uint32Array([2 ** 32 - 1]) },
  { data: new BigUint64Array([2n ** 64n - 1n]) },
  { data: new Uint8Array([0, 1]), dtype: "b" },
  { data: new Float32Array([1, -2, 3, 4]), dtype: "c", shape: [2] },
  { data: new Float64Array(12), dtype: "c", shape: [1, 2, 1, 3, 1], order: [4, 3, 2, 1, 0] },
];

test("arrays cross bit by bit, through a handler and back", async () => {
  const taken: Dat[] = [];
  const listener = await gateway.handle("arrays", async (offer) => {
    for await (const dat of await offer.take()) taken.push(dat);
  });
  const flow = await gateway.give({ stream: "arrays" });
  await flow.putTensors(inputs, { metadata: { run: 7 }, label: { note: "x" } });
  await flow.putTensors(new Float32Array(1_250_000));
  await flow.end();
  await listener.close();
  const got = taken[0]!.tensors()!;
  assert.equal(taken[0]!.attributes["note"], "x");
  assert.deepEqual(got.metadata, { run: 7 });
  assert.equal(got.tensors.length, inputs.length);
  got.tensors.forEach((tensor, i) => {
    const want = inputs[i]!;
    assert.deepEqual(tensor.data, want.data, `tensor ${i}`);
    assert.deepEqual(tensor.shape, want.shape ?? [want.data.length]);
    assert.deepEqual(tensor.order, want.order);
    assert.deepEqual(tensor.metadata, want.metadata);
  });
  assert.equal(got.tensors[7]!.dtype, "f");
  assert.equal(got.tensors[11]!.word, 8);
  assert.equal(taken[1]!.tensors()!.tensors[0]!.data.length, 1_250_000);
});

test("what cannot be sent is told", () => {
  const wrong: [TensorInput, RegExp][] = [
    [{ data: new Float32Array(3), shape: [2, 2] }, /tensor 0: shape \[2,2\] of 4 bytes an element needs 16 bytes, there are 12/],
    [{ data: new Int32Array(1), dtype: "b" }, /there is no dtype "b" of 4 bytes/],
    [{ data: new Int32Array(1), shape: [-1] }, /its shape is \[-1\]/],
    [{ data: [1] as unknown as Int8Array }, /data is no typed array/],
    [{ data: new Int8Array(1), shape: new Array<number>(65).fill(1) }, /it has 65 dimensions/],
  ];
  for (const [input, words] of wrong) assert.throws(() => writeTensors([input]), words);
});

test("what comes is checked against its bytes", () => {
  const of = (tens: unknown, ...payload: Uint8Array[]) => () => tensorsOf({ TENS: tens }, payload);
  const eight = new Uint8Array(8);
  const one = (t: object) => ({ tensors: [{ shape: [2], dtype: "f", word: 4, ...t }] });
  assert.equal(tensorsOf({}, []), undefined);
  assert.equal(of(one({}), eight)()!.tensors[0]!.data.length, 2);
  assert.throws(of(3), /no list of tensors/);
  assert.throws(of({ tensors: [3] }), /tensor 0: it is no object/);
  assert.throws(of(one({ shape: [2 ** 53] }), eight), /its shape is/);
  assert.throws(of(one({ shape: [2 ** 30, 2 ** 30] }), eight), /needs \d+ bytes, there are 8/);
  assert.throws(of(one({ shape: "2" }), eight), /it has no shape/);
  assert.throws(of(one({ part: 1 }), eight), /its part is 1, there are 1/);
  assert.throws(of(one({ part: "0" }), eight), /its part is "0"/);
  assert.throws(of(one({ dtype: "constructor", word: "" }), eight), /there is no dtype/);
  assert.throws(of(one({ order: [1] }), eight), /its order is \[1\]/);
  assert.throws(of(one({ ascend: [false] }), eight), /does not ascend/);
  assert.throws(of(one({ packing: "sparse" }), eight), /packing "sparse"/);
  assert.throws(of(one({ pointer: 5 }), eight), /a pointer/);
});
