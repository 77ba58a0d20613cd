// A native ZIO peer that takes part in one flow and says what it saw:
//   node peer.mjs '{"socket":"client","address":"tcp://…","direction":"extract",…}'
// `socket` is client or dealer, `direction` this peer's own, `credit` its offer,
// `cid` that of an offer if it is the handler, `attributes` more of the BOT's,
// `count` how many DATs, `ends` whether it is the first to say EOT. `pattern` is
// the data's: "mixed" or "generate", with `size`.
// Prints one JSON object; any fault is an error on standard error, and exit 1.
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import * as zmq from 'zeromq'
import draft from 'zeromq/draft.js'
import { multi, single } from './zio.mjs'

const ORIGIN = 0xfedcba9876543210n
const config = JSON.parse(process.argv[2])
const options = { linger: 2000, sendHighWaterMark: 0, receiveHighWaterMark: 0, receiveTimeout: 20000 }
const native = config.socket === 'client'
const socket = native ? new draft.Client(options) : new zmq.Dealer(options)
const codec = native ? single : multi

const hash = createHash('sha256')
const result = { bot: null, credit: 0, messages: 0, bytes: 0, sha256: '', eot: null }
let sent = 0n
let received = 0n
let held = 0 // a giver's credit to spend, a taker's to pay

async function send (label, payload = []) {
  await socket.send(codec.encode({
    level: 2, label, origin: ORIGIN, granule: BigInt(Date.now()) * 1000n, seqno: sent++, payload
  }))
}

async function receive () {
  const m = codec.decode(await socket.receive())
  if (m.seqno !== received++) throw new Error(`seqno is ${m.seqno}, want ${received - 1n}: ${m.label}`)
  if (m.form !== 'FLOW') throw new Error(`form is ${m.form}`)
  return { ...m, object: JSON.parse(m.label) }
}

// expect fails on anything but these types of message.
function expect (m, ...types) {
  if (!types.includes(m.object.flow) || m.object.error) throw new Error(`received ${m.label}, want ${types}`)
  return m
}

// The sizes at which the encodings change, and one of a tensor; the last part
// of a message may be empty, and the payload too.
const SIZES = [0, 1, 254, 255, 70000, 5_000_000]

function mixed (n) {
  if (n % 100 === 99) return [bytes(n, SIZES[5]), bytes(n + 1, 3)]
  return Array.from({ length: Math.floor(n / 5) % 4 }, (_, i) => bytes(n + i, SIZES[(n + i) % 5]))
}

function bytes (seed, size) {
  const b = Buffer.allocUnsafe(size)
  for (let i = 0; i < size; i++) b[i] = seed * 7 + i * 13 + (i >> 8)
  return b
}

function generated (n) {
  return [Buffer.from(Uint8Array.from({ length: config.size }, (_, i) => (n + i) % 251))]
}

const labelOf = n => config.pattern === 'generate'
  ? '{"flow":"DAT"}'
  : `{ "flow":"DAT","n":${n},"big":18446744073709551615,"wort":"Größe \\u00e9" }`
const payloadOf = n => config.pattern === 'generate' ? generated(n) : mixed(n)

function count (label, payload) {
  result.messages++
  hash.update(label)
  for (const part of payload) {
    result.bytes += part.length
    hash.update(`/${part.length}/`).update(part)
  }
}

async function give () {
  for (let n = 0; n < config.count; n++) {
    while (held === 0) held += expect(await receive(), 'PAY').object.credit
    held--
    const payload = payloadOf(n)
    count(labelOf(n), payload)
    await send(labelOf(n), payload)
  }
}

async function take () {
  for (let n = 0; n < config.count; n++) {
    if (held > 0) {
      await send(`{"flow":"PAY","credit":${held}}`)
      held = 0
    }
    const m = expect(await receive(), 'DAT')
    held++
    const want = payloadOf(n)
    if (m.label !== labelOf(n)) throw new Error(`label of DAT ${n} is ${m.label}, want ${labelOf(n)}`)
    if (config.pattern === 'mixed' && (m.origin !== ORIGIN || m.level !== 2)) {
      throw new Error(`DAT ${n} has origin ${m.origin}, level ${m.level}`)
    }
    if (m.payload.length !== want.length || !m.payload.every((part, i) => part.equals(want[i]))) {
      throw new Error(`payload of DAT ${n} has sizes ${m.payload.map(p => p.length)}, want ${want.map(p => p.length)}, or differs`)
    }
    count(m.label, m.payload)
  }
}

async function end () {
  if (config.ends) await send('{"flow":"EOT"}')
  for (;;) {
    const m = expect(await receive(), 'EOT', 'PAY', 'DAT')
    if (m.object.flow !== 'EOT') continue // under way when the EOT was sent
    result.eot = m.object
    break
  }
  if (!config.ends) await send('{"flow":"EOT"}')
}

socket.connect(config.address)
const bot = { flow: 'BOT', direction: config.direction, credit: config.credit, ...config.attributes }
if (config.cid) bot.cid = config.cid
await send(JSON.stringify(bot), [Buffer.from('hello'), Buffer.alloc(300, 0x2a)])
const answer = expect(await receive(), 'BOT')
result.bot = answer.object
result.botPayload = answer.payload.map(part => part.length)
result.credit = answer.object.credit
if (config.direction === 'inject') held = result.credit
await (config.direction === 'inject' ? take : give)()
await end()
socket.close()
result.sha256 = hash.digest('hex')
console.log(JSON.stringify(result))
