"""A gateway that does nothing by itself: each test plays its part."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from zioflow._gen.zio.gateway.v1 import (
    flow_pb2,
    flow_pb2_grpc,
    handler_pb2,
    handler_pb2_grpc,
)


class Stream:
    """One call, seen from the gateway. What comes is read at once."""

    def __init__(self, context, response=None) -> None:
        self.inbox = asyncio.Queue()
        self.cancelled = asyncio.Event()
        self._context = context
        self._response = response
        self._end = asyncio.get_running_loop().create_future()

    async def serve(self, *, reads: bool = True) -> None:
        """The call's servicer, until finish or fail."""
        pump = asyncio.ensure_future(self._pump()) if reads else None
        try:
            failure = await self._end
            if failure is not None:
                await self._context.abort(*failure)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        finally:
            if pump is not None:
                pump.cancel()
                await asyncio.wait({pump})

    async def _pump(self) -> None:
        while (request := await self._context.read()) is not grpc.aio.EOF:
            self.inbox.put_nowait(request)
        self.inbox.put_nowait(None)

    async def expect(self, kind: str):
        """The next message, which has to be of this kind."""
        request = await self.inbox.get()
        assert request is not None, f"the sending half was closed, not {kind} sent"
        assert request.WhichOneof("message") == kind, request
        return getattr(request, kind)

    def messages(self) -> list:
        """What has come and nobody has expected yet."""
        came = []
        while not self.inbox.empty():
            came.append(self.inbox.get_nowait())
        return [request for request in came if request is not None]

    async def send(self, **message) -> None:
        await self._context.write(self._response(**message))

    async def answer(self, *, credit: int = 10, pay: int = 0, flow_id: int = 7):
        """Takes the BOT and answers it; and pays, if asked to."""
        bot = await self.expect("bot")
        await self.send(bot=flow_pb2.Bot(credit=credit, flow_id=flow_id, label='{"flow":"BOT"}'))
        if pay:
            await self.send(pay=flow_pb2.Pay(credit=pay))
        return bot

    async def give(self, *payloads: bytes) -> None:
        for payload in payloads:
            await self.send(dat=flow_pb2.Dat(label='{"flow":"DAT"}', payload=[payload]))

    async def say_eot(self, label: str = '{"flow":"EOT"}', *, reason: int = 0, detail: str = ""):
        await self.send(eot=flow_pb2.Eot(label=label, reason=reason, detail=detail))

    async def complete(self):
        """Takes the EOT, answers it, and ends the call."""
        eot = await self.expect("eot")
        await self.say_eot(reason=flow_pb2.END_REASON_COMPLETED)
        self.finish()
        return eot

    def finish(self) -> None:
        """Ends the call well."""
        self._end.set_result(None)

    def fail(self, code, text: str, *, info: str = "", retry: int = 0, flow_id: int = 0) -> None:
        """Ends the call with a status, with ErrorInfo and RetryInfo if given."""
        self._end.set_result((code, text, details(code, text, info, retry, flow_id)))


def details(code, text: str, info: str, retry: int, flow_id: int):
    """The trailing metadata that a gateway adds to a status."""
    status = status_pb2.Status(code=code.value[0], message=text)

    def add(message) -> None:
        packed = any_pb2.Any()
        packed.Pack(message)
        status.details.append(packed)

    if info:
        metadata = {"flow_id": str(flow_id)} if flow_id else {}
        add(error_details_pb2.ErrorInfo(domain="gateway.zioflow", reason=info, metadata=metadata))
    if retry:
        add(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=retry)))
    return (("grpc-status-details-bin", status.SerializeToString()),) if status.details else ()


class _Flows(flow_pb2_grpc.FlowServiceServicer):
    def __init__(self, fake) -> None:
        self._fake = fake

    async def Open(self, requests, context):
        stream = Stream(context, flow_pb2.OpenResponse)
        self._fake.calls.put_nowait(stream)
        await stream.serve()

    async def Put(self, requests, context):
        stream = Stream(context)
        stream.summary = flow_pb2.PutResponse()
        self._fake.calls.put_nowait(stream)
        await stream.serve()
        return stream.summary

    async def Get(self, request, context):
        stream = Stream(context, flow_pb2.GetResponse)
        stream.request = request
        self._fake.calls.put_nowait(stream)
        await stream.serve(reads=False)


class _Handlers(handler_pb2_grpc.HandlerServiceServicer):
    def __init__(self, fake) -> None:
        self._fake = fake

    async def Listen(self, request, context):
        stream = Stream(context, handler_pb2.ListenResponse)
        stream.request = request
        self._fake.calls.put_nowait(stream)
        await stream.serve(reads=False)

    async def Decline(self, request, context):
        self._fake.declined.put_nowait((request.cid, request.detail))
        if self._fake.offers_gone:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no offer has this cid")
        return handler_pb2.DeclineResponse()


class FakeGateway:
    """A gRPC server on a port of its own."""

    async def __aenter__(self) -> FakeGateway:
        self.calls = asyncio.Queue()  # streams, as they are opened
        self.declined = asyncio.Queue()  # (cid, detail)
        self.offers_gone = False
        self._server = grpc.aio.server()
        flow_pb2_grpc.add_FlowServiceServicer_to_server(_Flows(self), self._server)
        handler_pb2_grpc.add_HandlerServiceServicer_to_server(_Handlers(self), self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *_) -> None:
        await self._server.stop(None)

    async def called(self) -> Stream:
        """The next call that is opened."""
        return await self.calls.get()

    async def listening(self) -> Stream:
        """The next Listen, confirmed."""
        stream = await self.called()
        await stream.send(listening=handler_pb2.Listening(listener_id=1))
        return stream


@contextlib.asynccontextmanager
async def running(coroutine):
    """A task for the length of a block, which awaits it at the end."""
    task = asyncio.ensure_future(coroutine)
    try:
        yield task
        await task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def settle(gateway) -> None:
    """Returns when what is under way on the connection has arrived.

    A call and its answer, on the same connection: what the client sends without
    waiting for the gateway is at the fake one before the answer is back.
    """
    await gateway._connection.handlers.Decline(handler_pb2.DeclineRequest(cid=1 << 52))
