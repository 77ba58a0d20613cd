"""The dumper of ZIO's tutorial, as a command that the gateway starts for each flow.

routes:
- {name: dumper, match: direction == 'inject', exec: {command: [python, dumper_exec.py]}}
"""

import asyncio
import os

from zioflow import Direction, Gateway


async def main() -> None:
    async with Gateway(os.environ["ZIO_GATEWAY_GRPC"]) as gateway:
        offer = gateway.offer(int(os.environ["ZIO_GATEWAY_CID"]), Direction.INJECT)
        async with offer.take() as flow:
            async for dat in flow:
                print(dat.seqno, dat.label, dat.payload, flush=True)


asyncio.run(main())
