"""The matrix's peer for zioflow on asyncio, by gRPC or natively. See ../README.md.

    python peer.py NAME GRPC ROUTER SET handler | client HANDLER...

NAME is python or python-native.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tensors import digest, read_set

from zioflow import Direction, Gateway, Giver, Offer, Taker

CREDIT = 4


class Peer:
    """One program of the matrix."""

    def __init__(self, name: str, role: str, file: str) -> None:
        self.name = name
        self.role = role
        self.set = read_set(file)

    async def give(self, flow: Giver, other: str) -> None:
        async with flow:
            for arrays in self.set:
                await flow.put_arrays(*arrays, order="K")
        self._report(other, "extract", [digest(a) for arrays in self.set for a in arrays])

    async def take(self, flow: Taker, other: str) -> None:
        digests = []
        async with flow:
            async for dat in flow:
                digests += [digest(array) for array in dat.arrays()]
        self._report(other, "inject", digests)

    async def open(self, gateway: Gateway, handlers: list[str]) -> None:
        for handler in handlers:
            attributes = {"handler": handler, "client": self.name}
            await self.give(gateway.give(attributes, credit=CREDIT), handler)
            await self.take(gateway.take(attributes, credit=CREDIT), handler)

    async def handle(self, listening: Gateway, flows: Gateway) -> None:
        """Handles until standard input ends. What listens is not what has the flows, if
        these are native: they learn of a flow by its cid."""

        async def handler(offer: Offer) -> None:
            other = offer.attributes["client"]
            if flows is not listening:
                offer = flows.offer(offer.delegate(), offer.direction)
            if offer.direction is Direction.INJECT:
                await self.take(offer.take(credit=CREDIT), other)
            else:
                await self.give(offer.give(credit=CREDIT), other)

        match = f"attributes.handler == '{self.name}'"
        async with listening.handle(self.name, handler, match=match):
            print(json.dumps({"listening": self.name}), flush=True)
            await asyncio.to_thread(sys.stdin.read)

    def _report(self, other: str, direction: str, digests: list[str]) -> None:
        line: dict[str, Any] = {"peer": self.name, "role": self.role, "other": other}
        print(json.dumps({**line, "direction": direction, "digests": digests}), flush=True)


async def main(name: str, grpc: str, router: str, file: str, role: str, *handlers: str) -> None:
    peer = Peer(name, role, file)
    async with Gateway(grpc) as listening:
        if name == "python-native":
            async with Gateway(router) as flows:
                await _run(peer, listening, flows, handlers)
        else:
            await _run(peer, listening, listening, handlers)


async def _run(peer: Peer, listening: Gateway, flows: Gateway, handlers: tuple[str, ...]) -> None:
    if peer.role == "handler":
        await peer.handle(listening, flows)
    else:
        await peer.open(flows, list(handlers))


asyncio.run(main(*sys.argv[1:]))
