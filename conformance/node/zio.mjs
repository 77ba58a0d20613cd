// ZIO messages in both their forms, written from the specification alone: the
// gateway's own codec has no part in it.
import { Buffer } from 'node:buffer'

// Message: {level, form, label, origin, granule, seqno, payload}, the label a
// string, the coord three BigInts, the payload an array of Buffers.

function head (m) {
  const prefix = Buffer.from(`ZIO${m.level ?? 0}${m.form ?? 'FLOW'}${m.label}`)
  const coord = Buffer.alloc(24)
  coord.writeBigUInt64LE(m.origin ?? 0n, 0)
  coord.writeBigUInt64LE(m.granule ?? 0n, 8)
  coord.writeBigUInt64LE(m.seqno ?? 0n, 16)
  return [prefix, coord]
}

function parse ([prefix, coord, ...payload]) {
  if (!prefix || prefix.length < 8 || prefix.toString('latin1', 0, 3) !== 'ZIO') {
    throw new Error(`no ZIO prefix: ${prefix}`)
  }
  if (!coord || coord.length !== 24) {
    throw new Error(`coord has ${coord?.length} bytes`)
  }
  return {
    level: prefix[3] - 0x30,
    form: prefix.toString('latin1', 4, 8),
    label: prefix.toString('utf8', 8),
    origin: coord.readBigUInt64LE(0),
    granule: coord.readBigUInt64LE(8),
    seqno: coord.readBigUInt64LE(16),
    payload
  }
}

// The single-part form, for CLIENT and SERVER.
export const single = {
  encode (m) {
    const parts = []
    for (const part of [...head(m), ...m.payload]) {
      const size = part.length < 255 ? Buffer.from([part.length]) : Buffer.alloc(5, 0xff)
      if (size.length > 1) size.writeUInt32BE(part.length, 1)
      parts.push(size, part)
    }
    return Buffer.concat(parts)
  },
  decode ([message]) {
    const parts = []
    for (let at = 0; at < message.length;) {
      let size = message[at++]
      if (size === 255) {
        size = message.readUInt32BE(at)
        at += 4
      }
      if (at + size > message.length) throw new Error(`part ${parts.length} is cut off`)
      parts.push(message.subarray(at, at + size))
      at += size
    }
    return parse(parts)
  }
}

// The multi-part form as DEALER and ROUTER have it, behind an empty part.
export const multi = {
  encode: m => [Buffer.alloc(0), ...head(m), ...m.payload],
  decode ([delimiter, ...parts]) {
    if (delimiter.length !== 0) throw new Error(`delimiter has ${delimiter.length} bytes`)
    return parse(parts)
  }
}
