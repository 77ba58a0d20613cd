"""A gRPC peer that breaks off, with grpcio: see node/breakoff.mjs."""

import contextlib
import json
import queue
import sys
import time

import grpc
from zioflow._gen.zio.gateway.v1 import flow_pb2, flow_pb2_grpc


def begin(stub, job):
    """Opens the call and takes part up to the point at which it is to break off."""
    timeout = job["deadline_ms"] / 1000 if job.get("deadline_ms") else None
    bot = flow_pb2.Bot(
        credit=job["credit"], cid=job.get("cid", 0), label=json.dumps(job["attributes"])
    )
    dat = flow_pb2.Dat(payload=[bytes(job["size"])])
    outbox = queue.Queue()
    requests = iter(outbox.get, None)
    if job["call"] == "put":
        call = stub.Put.future(requests, timeout=timeout)
        outbox.put(flow_pb2.PutRequest(bot=bot))
        for _ in range(job["dats"]):
            outbox.put(flow_pb2.PutRequest(dat=dat))
        while outbox.qsize():
            time.sleep(0.001)
        return call, outbox
    gives = job["call"] != "take"
    bot.direction = flow_pb2.DIRECTION_EXTRACT if gives else flow_pb2.DIRECTION_INJECT
    call = stub.Open(requests, timeout=timeout)
    outbox.put(flow_pb2.OpenRequest(bot=bot))
    with contextlib.suppress(grpc.RpcError):  # its deadline may be sooner
        take_part(call, job, outbox, gives)
    return call, outbox


def take_part(call, job, outbox, gives):
    dat = flow_pb2.Dat(payload=[bytes(job["size"])])
    taken = 0
    for response in call:
        kind = response.WhichOneof("message")
        if kind == "bot" and not gives:
            outbox.put(flow_pb2.OpenRequest(pay=flow_pb2.Pay(credit=job["credit"])))
            outbox.put(None)
        elif kind == "pay":
            for _ in range(job["dats"]):
                outbox.put(flow_pb2.OpenRequest(dat=dat))
            break
        elif kind == "dat":
            taken += 1
            if taken == job["dats"]:
                break


def main():
    for line in iter(sys.stdin.readline, ""):
        job = json.loads(line)
        channel = grpc.insecure_channel(job["address"], options=[("grpc.use_local_subchannel_pool", 1)])
        call, outbox = begin(flow_pb2_grpc.FlowServiceStub(channel), job)
        print("ready", flush=True)
        sys.stdin.readline()
        if job["end"] == "cancel":
            call.cancel()
        elif job["end"] == "close":
            channel.close()
        print(call.code().value[0], flush=True)
        outbox.put(None)  # frees grpcio's thread that asks for more
        channel.close()


if __name__ == "__main__":
    main()
