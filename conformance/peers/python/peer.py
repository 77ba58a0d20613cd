"""A ZeroMQ peer on pyzmq: see ../README.md."""

import os
import struct
import sys

import zmq


def take(size):
    """Reads so many bytes; nothing if the input is at its end."""
    data = bytearray()
    while len(data) < size:
        chunk = os.read(0, min(size - len(data), 1 << 16))
        if not chunk:
            if data:
                raise EOFError("the input ends in the middle of a message")
            return None
        data += chunk
    return bytes(data)


def take_message():
    head = take(4)
    if head is None:
        return None
    (count,) = struct.unpack(">I", head)
    return [take(*struct.unpack(">I", take(4))) for _ in range(count)]


def give_message(parts):
    out = sys.stdout.buffer
    out.write(struct.pack(">I", len(parts)))
    for part in parts:
        out.write(struct.pack(">I", len(part)))
        out.write(part)
    out.flush()


def connect(context, config):
    socket = context.socket({"dealer": zmq.DEALER}[config["socket"]])
    socket.linger = 2000
    socket.sndhwm = socket.rcvhwm = 0
    if "identity" in config:
        socket.routing_id = config["identity"].encode()
    if "heartbeat" in config:
        interval = int(config["heartbeat"])
        socket.heartbeat_ivl = interval
        socket.heartbeat_timeout = socket.heartbeat_ttl = 5 * interval
    if "server" in config:
        socket.curve_serverkey = config["server"].encode()
        socket.curve_publickey = config["public"].encode()
        socket.curve_secretkey = config["secret"].encode()
    socket.connect(config["address"])
    return socket


def main():
    context = zmq.Context()
    socket = connect(context, dict(word.split("=", 1) for word in sys.argv[1:]))
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(0, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if socket in ready:
            give_message(socket.recv_multipart())
        if 0 in ready:
            parts = take_message()
            if parts is None:
                break
            socket.send_multipart(parts)
    socket.close()
    context.term()


main()
