// A ZeroMQ peer on Node's zeromq: see ../peers/README.md.
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import * as zmq from 'zeromq'
import draft from 'zeromq/draft.js'

const config = Object.fromEntries(process.argv.slice(2).map(word => {
  const at = word.indexOf('=')
  return [word.slice(0, at), word.slice(at + 1)]
}))
const options = { linger: 2000, sendHighWaterMark: 0, receiveHighWaterMark: 0 }
if (config.identity) options.routingId = config.identity
if (config.heartbeat) {
  options.heartbeatInterval = Number(config.heartbeat)
  options.heartbeatTimeout = options.heartbeatTimeToLive = 5 * options.heartbeatInterval
}
if (config.server) {
  options.curveServerKey = config.server
  options.curvePublicKey = config.public
  options.curveSecretKey = config.secret
}
const client = config.socket === 'client'
const socket = client ? new draft.Client({ ...options, receiveTimeout: 0 }) : new zmq.Dealer(options)

const number = n => {
  const b = Buffer.alloc(4)
  b.writeUInt32BE(n)
  return b
}

// messages are those of standard input.
async function * messages () {
  const input = process.stdin[Symbol.asyncIterator]()
  let chunks = []
  let size = 0
  // take waits for so many bytes; null if the input is at its end.
  const take = async want => {
    while (size < want) {
      const { value, done } = await input.next()
      if (done) return null
      chunks.push(value)
      size += value.length
    }
    const all = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
    chunks = [all.subarray(want)]
    size -= want
    return all.subarray(0, want)
  }
  for (let head; (head = await take(4)) !== null;) {
    const parts = []
    for (let n = head.readUInt32BE(); n > 0; n--) {
      parts.push(await take((await take(4)).readUInt32BE()))
    }
    yield parts
  }
}

// received are the socket's messages. A CLIENT that waits for one takes half a processor:
// the library looks again and again. So it is asked every few milliseconds instead.
async function * received () {
  if (!client) return yield * socket
  while (!socket.closed) {
    try {
      yield await socket.receive()
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
      await pause(3)
    }
  }
}

async function inwards () {
  for await (const parts of received()) {
    const out = [number(parts.length), ...parts.flatMap(part => [number(part.length), part])]
    if (!process.stdout.write(Buffer.concat(out))) await once(process.stdout, 'drain')
  }
}

socket.connect(config.address)
const reading = inwards()
for await (const parts of messages()) await socket.send(parts)
socket.close()
await reading
