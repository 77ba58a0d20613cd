"""The factory and the dumper of ZIO's tutorial, on ZeroMQ: a DEALER socket for each flow.

    python dumper_native.py [GRPC [ROUTER]]

The addresses are the gateway's: for gRPC, by which the factory is asked, and for DEALER
sockets, by which its handlers come. A stock pyzmq is enough; ZIO is not needed.
"""

import sys
import threading

import zmq

from zioflow.zio import Broker, Message


class Factory:
    """Starts a dumper for every flow that is given, and refuses all others."""

    def __init__(self, address: str) -> None:
        self.address = address  # broker
        self.over = threading.Event()
        self.handlers: list[threading.Thread] = []

    def __call__(self, bot: Message) -> bool:
        if bot.label_object["direction"] == "extract":  # my direction
            return False  # only handle inject
        handler = threading.Thread(target=dumper, args=(bot, self.address, self.over))
        handler.start()
        self.handlers = [h for h in self.handlers if h.is_alive()] + [handler]
        return True

    def stop(self) -> None:
        self.over.set()
        for handler in self.handlers:
            handler.join()


class Peer:
    """One side of a flow: numbers what it sends."""

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        self.socket = socket
        self.seqno = 0

    def send(self, message: Message) -> None:
        message.seqno, self.seqno = self.seqno, self.seqno + 1
        self.socket.send_multipart([b"", *message.toparts()])

    def say(self, flow: str, **label: int) -> None:
        message = Message()
        message.label_object = {"flow": flow, **label}
        self.send(message)

    def receive(self, over: threading.Event) -> Message:
        """The next message; an EOT if the factory is stopped."""
        while not self.socket.poll(100):  # ms
            if over.is_set():
                return Message(label='{"flow":"EOT"}')
        _, *parts = self.socket.recv_multipart()
        return Message.of(parts)


def dumper(bot: Message, address: str, over: threading.Event) -> None:
    """Takes one flow, and prints it."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 1000  # ms, for the EOT to leave
        socket.connect(address)
        peer = Peer(socket)
        peer.send(bot)  # with its cid, by which the gateway knows whose handler this is
        answer = peer.receive(over).label_object
        if answer["flow"] == "EOT":
            print("too late:", answer, flush=True)
            return
        peer.say("PAY", credit=answer["credit"])  # flush_pay()
        while (dat := peer.receive(over)).label_object["flow"] == "DAT":
            print(dat.seqno, dat.label, dat.payload, flush=True)
            peer.say("PAY", credit=1)
        peer.say("EOT")
        print("EOT", flush=True)


def main(grpc: str = "127.0.0.1:7575", router: str = "tcp://127.0.0.1:5556") -> None:
    with Broker(grpc, Factory(router)) as broker:  # whose stop() stops the factory
        print("dumper listens", flush=True)
        while True:
            try:
                broker.poll(1000)  # ms
            except TimeoutError:
                pass  # nobody has opened a flow
            except RuntimeError as error:
                print(error, flush=True)


main(*sys.argv[1:])
