"""The dumper of ZIO's tutorial, on asyncio: takes every flow that is given, and prints it.

    python dumper.py [ADDRESS]

The address is the gateway's for gRPC, 127.0.0.1:7575 by default.
"""

import asyncio
import sys

from zioflow import Gateway, Offer


async def dumper(offer: Offer) -> None:
    async with offer.take() as flow:
        async for dat in flow:  # and pays for them
            print(f"flow {flow.bot.flow_id}:", dat.seqno, dat.label, dat.payload, flush=True)
        print(f"flow {flow.bot.flow_id}: EOT", flush=True)


async def main(address: str = "127.0.0.1:7575") -> None:
    async with Gateway(address) as gateway:
        # The factory: what it refuses to handle, its match leaves to others.
        async with gateway.handle("dumper", dumper, match="direction == 'inject'") as listener:
            print("dumper listens", flush=True)
            await listener.wait()


asyncio.run(main(*sys.argv[1:]))
