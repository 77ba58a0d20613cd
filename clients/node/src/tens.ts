// ZIO's TENS: arrays in a message's payload, described by its label.

/** The arrays that JavaScript has. */
export type TypedArray =
  | Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Uint32Array
  | BigInt64Array | BigUint64Array | Float32Array | Float64Array;

/** What an element is: float, signed or unsigned integer, boolean (a byte), complex. */
export type Dtype = "f" | "i" | "u" | "b" | "c";

/** One array. */
export interface Tensor {
  /** The number of elements in each dimension; [] for a single one. */
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  /** The bytes of an element. */
  readonly word: number;
  /**
   * The elements in the order in which they lie: the last dimension runs fastest, unless
   * `order` says otherwise. A complex element is two, real and imaginary. A float of 2
   * bytes, for which JavaScript has no array, is a Uint16Array of its bits.
   */
  readonly data: TypedArray;
  /** The dimensions from the fastest to the slowest, as ZIO has it; left out where the last one runs fastest. */
  readonly order?: readonly number[];
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** The arrays of a message. */
export interface Tensors {
  readonly tensors: Tensor[];
  readonly metadata: Record<string, unknown>;
}

/** An array that is to be sent. Without dtype it is what `data` holds; `"b"` and `"c"` must be said. */
export interface TensorInput {
  readonly data: TypedArray;
  /** [data.length] if it is left out. */
  readonly shape?: readonly number[];
  readonly dtype?: Dtype;
  readonly order?: readonly number[];
  readonly metadata?: Readonly<Record<string, unknown>>;
}

type Constructor = { new (buffer: ArrayBufferLike, offset: number, length: number): TypedArray; readonly BYTES_PER_ELEMENT: number };

/** By dtype and word, the array that holds the elements. */
const arrays: ReadonlyMap<string, Constructor> = new Map<string, Constructor>([
  ["f2", Uint16Array], ["f4", Float32Array], ["f8", Float64Array], ["c8", Float32Array], ["c16", Float64Array], ["b1", Uint8Array],
  ["i1", Int8Array], ["i2", Int16Array], ["i4", Int32Array], ["i8", BigInt64Array],
  ["u1", Uint8Array], ["u2", Uint16Array], ["u4", Uint32Array], ["u8", BigUint64Array],
]);

/** How many dimensions a tensor may have. */
const MAX_DIMENSIONS = 64;

function dtypeOf(data: TypedArray): Dtype {
  if (data instanceof Float32Array || data instanceof Float64Array) return "f";
  return data instanceof Int8Array || data instanceof Int16Array || data instanceof Int32Array || data instanceof BigInt64Array ? "i" : "u";
}

/** The label's TENS and the parts for some arrays. The parts share the arrays' memory. */
export function writeTensors(inputs: readonly (TensorInput | TypedArray)[], metadata: Readonly<Record<string, unknown>> = {}) {
  const parts: Uint8Array[] = [];
  const tensors = inputs.map((input, part) => {
    const t: TensorInput = ArrayBuffer.isView(input) ? { data: input as TypedArray } : (input as TensorInput);
    if (!ArrayBuffer.isView(t.data) || t.data instanceof DataView) {
      throw new TypeError(`tensor ${part}: data is no typed array`);
    }
    const dtype = t.dtype ?? dtypeOf(t.data);
    const word = t.data.BYTES_PER_ELEMENT * (dtype === "c" ? 2 : 1);
    if (!arrays.has(dtype + word)) throw new TypeError(`tensor ${part}: there is no dtype "${dtype}" of ${word} bytes`);
    const shape = t.shape ?? [t.data.byteLength / word];
    const problem = shapeProblem(shape, word, t.data.byteLength);
    if (problem) throw new TypeError(`tensor ${part}: ${problem}`);
    parts.push(new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength));
    const { order, metadata } = t;
    return { shape: [...shape], word, dtype, part, ...(order && { order }), ...(metadata && { metadata }) };
  });
  return { tens: { tensors, metadata }, parts };
}

function shapeProblem(shape: readonly number[], word: number, bytes: number): string | undefined {
  if (shape.length > MAX_DIMENSIONS) return `it has ${shape.length} dimensions, at most ${MAX_DIMENSIONS} are read`;
  let elements = 1;
  for (const n of shape) {
    if (!Number.isSafeInteger(n) || n < 0) return `its shape is [${shape}]`;
    elements *= n;
  }
  if (elements * word !== bytes) return `shape [${shape}] of ${word} bytes an element needs ${elements * word} bytes, there are ${bytes}`;
  return undefined;
}

/** The arrays that the attributes describe; undefined if they describe none. */
export function tensorsOf(attributes: Record<string, unknown>, payload: readonly Uint8Array[]): Tensors | undefined {
  const tens = attributes["TENS"];
  if (tens === undefined) return undefined;
  if (!isObject(tens) || !Array.isArray(tens["tensors"])) throw new TypeError("TENS has no list of tensors");
  const tensors = tens["tensors"].map((entry: unknown, i) => readTensor(entry, i, payload));
  return { tensors, metadata: isObject(tens["metadata"]) ? tens["metadata"] : {} };
}

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);

function readTensor(entry: unknown, index: number, payload: readonly Uint8Array[]): Tensor {
  const fail = (problem: string): never => {
    throw new TypeError(`tensor ${index}: ${problem}`);
  };
  if (!isObject(entry)) return fail("it is no object");
  const { shape, dtype, word, part = index, order, metadata } = entry;
  // These change how the data is to be read.
  if (Array.isArray(entry["ascend"]) && entry["ascend"].includes(false)) return fail("it has a dimension that does not ascend, which is not known here");
  if ((entry["packing"] ?? "dense") !== "dense") return fail(`it has packing ${JSON.stringify(entry["packing"])}, which is not known here`);
  if (entry["pointer"] !== undefined) return fail("it has a pointer, into another process's memory");
  const array = arrays.get(`${String(dtype)}${String(word)}`);
  if (!array) return fail(`there is no dtype ${JSON.stringify(dtype)} of ${JSON.stringify(word)} bytes`);
  if (!Array.isArray(shape) || !shape.every((n) => typeof n === "number")) return fail("it has no shape");
  const bytes = typeof part === "number" ? payload[part] : undefined;
  if (!bytes) return fail(`its part is ${JSON.stringify(part)}, there are ${payload.length}`);
  const problem = shapeProblem(shape, word as number, bytes.byteLength);
  if (problem) return fail(problem);
  if (order !== undefined && !isOrder(order, shape.length)) return fail(`its order is ${JSON.stringify(order)}`);
  return {
    shape, dtype: dtype as Dtype, word: word as number, data: view(array, bytes),
    ...(order !== undefined && { order: order as number[] }), ...(isObject(metadata) && { metadata }),
  };
}

function isOrder(order: unknown, dimensions: number): boolean {
  return Array.isArray(order) && order.length === dimensions && [...order].sort((a, b) => a - b).every((n, i) => n === i);
}

/** The bytes as an array: without a copy where their place in memory allows it. */
function view(array: Constructor, bytes: Uint8Array): TypedArray {
  const aligned = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes); // a Buffer's slice shares
  return new array(aligned.buffer, aligned.byteOffset, aligned.byteLength / array.BYTES_PER_ELEMENT);
}
