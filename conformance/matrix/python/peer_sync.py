"""The matrix's peer for zioflow.sync. See ../README.md.

    python peer_sync.py NAME GRPC ROUTER SET handler | client HANDLER...
"""

from __future__ import annotations

import json
import sys
import threading

from tensors import digest, read_set

from zioflow.sync import Direction, Gateway, Giver, Offer, Taker

CREDIT = 4


class Peer:
    """One program of the matrix."""

    def __init__(self, name: str, role: str, file: str) -> None:
        self.name = name
        self.role = role
        self.set = read_set(file)
        self._printing = threading.Lock()

    def give(self, flow: Giver, other: str) -> None:
        with flow:
            for arrays in self.set:
                flow.put_arrays(*arrays, order="K")
        self._report(other, "extract", [digest(a) for arrays in self.set for a in arrays])

    def take(self, flow: Taker, other: str) -> None:
        digests = []
        with flow:
            for dat in flow:
                digests += [digest(array) for array in dat.arrays()]
        self._report(other, "inject", digests)

    def open(self, gateway: Gateway, handlers: tuple[str, ...]) -> None:
        for handler in handlers:
            attributes = {"handler": handler, "client": self.name}
            self.give(gateway.give(attributes, credit=CREDIT), handler)
            self.take(gateway.take(attributes, credit=CREDIT), handler)

    def handle(self, gateway: Gateway) -> None:
        """Handles until standard input ends."""

        def handler(offer: Offer) -> None:
            other = offer.attributes["client"]
            if offer.direction is Direction.INJECT:
                self.take(offer.take(credit=CREDIT), other)
            else:
                self.give(offer.give(credit=CREDIT), other)

        match = f"attributes.handler == '{self.name}'"
        with gateway.handle(self.name, handler, match=match):
            self._print({"listening": self.name})
            sys.stdin.read()

    def _report(self, other: str, direction: str, digests: list[str]) -> None:
        line = {"peer": self.name, "role": self.role, "other": other, "direction": direction}
        self._print({**line, "digests": digests})

    def _print(self, line: dict[str, object]) -> None:
        with self._printing:
            print(json.dumps(line), flush=True)


def main(name: str, grpc: str, _router: str, file: str, role: str, *handlers: str) -> None:
    peer = Peer(name, role, file)
    with Gateway(grpc) as gateway:
        if role == "handler":
            peer.handle(gateway)
        else:
            peer.open(gateway, handlers)


main(*sys.argv[1:])
