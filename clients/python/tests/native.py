"""Native ZIO peers on stock pyzmq: DEALER sockets and nothing else."""

from __future__ import annotations

import threading
import time

import zmq

from zioflow.zio import Message

PATIENCE = 30  # seconds for any one message, also on a busy machine


class Dealer:
    """One native peer; a context manager that closes its socket."""

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 1000
        self._socket.connect(address)
        self._seqno = 0

    def __enter__(self) -> Dealer:
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()
        self._context.term()

    def send(self, message: Message) -> None:
        message.seqno, self._seqno = self._seqno, self._seqno + 1
        self._socket.send_multipart([b"", *message.toparts()])

    def say(self, flow: str, *payload: bytes, **label) -> None:
        message = Message(payload=list(payload))
        message.label_object = {"flow": flow, **label}
        self.send(message)

    def recv(self, patience: float = PATIENCE) -> Message | None:
        """The next message; None when none comes."""
        if not self._socket.poll(patience * 1000):
            return None
        empty, *parts = self._socket.recv_multipart()
        assert empty == b""
        return Message.of(parts)

    def expect(self, flow: str) -> dict:
        """The label of the next message, which has to be of this kind."""
        message = self.recv()
        assert message is not None, f"no {flow} came"
        label = message.label_object
        assert label.pop("flow") == flow, message
        return label

    def opens(self, direction: str, credit: int = 2, **attributes) -> tuple[dict, float]:
        """Says BOT as a client; returns the label that comes back, and after how long."""
        begun = time.monotonic()
        self.say("BOT", direction=direction, credit=credit, **attributes)
        message = self.recv()
        assert message is not None, "the BOT was not answered"
        return message.label_object, time.monotonic() - begun

    def give(self, payloads) -> None:
        """Gives all that, one credit at a time, and ends the flow."""
        credit = 0
        for payload in payloads:
            while credit == 0:
                credit += self.expect("PAY")["credit"]
            self.say("DAT", payload)
            credit -= 1
        self.say("EOT")
        while (message := self.recv()).label_object["flow"] != "EOT":
            assert message.label_object["flow"] == "PAY"

    def take(self, credit: int) -> list[bytes]:
        """Takes all that is given, and ends the flow."""
        taken = []
        self.say("PAY", credit=credit)
        while (message := self.recv()).label_object["flow"] == "DAT":
            taken.append(message.payload[0])
            self.say("PAY", credit=1)
        assert message.label_object == {"flow": "EOT"}
        self.say("EOT")
        return taken


class Handlers:
    """A factory as the tutorial has it: a thread for each BOT, which takes and keeps.

    It refuses to give, and BOTs with the attribute `refuse`.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.bots: list = []
        self.taken: list[bytes] = []
        self.stopped = 0
        self._threads: list[threading.Thread] = []

    def __call__(self, bot) -> bool:
        self.bots.append(bot)
        label = bot.label_object
        if label["direction"] == "extract" or label.get("refuse"):
            return False
        thread = threading.Thread(target=self._handle, args=(bot,))
        thread.start()
        self._threads.append(thread)
        return True

    def _handle(self, bot) -> None:
        with Dealer(self.address) as peer:
            peer.send(bot)
            answer = peer.recv().label_object
            if answer["flow"] == "BOT":
                self.taken += peer.take(answer["credit"])

    def stop(self) -> None:
        self.stopped += 1
        for thread in self._threads:
            thread.join()
