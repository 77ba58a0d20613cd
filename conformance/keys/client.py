"""Comes to a gateway with the files of `gateway keygen`, taken whole:
    python client.py FOLDER GRPC DEALERS
By certificate and by token with the client, by token with plain grpcio, and by CURVE with
the client and with plain pyzmq. Prints one line for each."""

import asyncio
import pathlib
import sys

import grpc
import zioflow
import zioflow.native
import zmq
from zmq.utils.monitor import recv_monitor_message

folder, address, dealers = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]


async def take(what, gateway):
    async with gateway:
        print(what, len([message async for message in gateway.get({"builtin": "generate", "count": 3})]))


async def main():
    ca, token = folder / "ca.pem", (folder / "alice.token").read_text()
    mine = zioflow.tls(ca, cert=folder / "alice.pem", key=folder / "alice.key")
    await take("certificate", zioflow.Gateway(address, credentials=mine))
    await take("token", zioflow.Gateway(address, credentials=zioflow.tls(ca), token=token))
    curve = zioflow.native.Curve((folder / "server.curve.pub").read_text(), (folder / "alice.curve").read_text())
    await take("curve", zioflow.native.Gateway(dealers, credentials=curve))


def plain_grpcio():
    credentials = grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes())
    with grpc.secure_channel(address, credentials) as channel:
        method = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        call = channel.stream_stream(method, request_serializer=bytes, response_deserializer=bytes)
        metadata = [("authorization", "Bearer " + (folder / "alice.token").read_text())]
        for answer in call(iter([b"\x3a\x01*"]), metadata=metadata, timeout=60):  # list_services
            print("grpcio", b"zio.gateway.v1.FlowService" in answer)


def plain_pyzmq():
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.curve_serverkey = (folder / "server.curve.pub").read_bytes()
        socket.curve_publickey = (folder / "alice.curve.pub").read_bytes()
        socket.curve_secretkey = (folder / "alice.curve").read_bytes()
        with socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH) as monitor:
            socket.connect(dealers)
            if not monitor.poll(60_000):
                raise TimeoutError("no handshake")
            print("pyzmq", recv_monitor_message(monitor)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED)
            socket.disable_monitor()


asyncio.run(main())
plain_grpcio()
plain_pyzmq()
