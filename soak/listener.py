"""A listener beside hostile BOTs: takes the honest flows and declines the others.

    python listener.py ADDRESS NAME

It takes part in the flows whose attribute `to` is its name. It says "listening" when the
gateway has registered it, and what it has seen when its standard input ends. It fails
where its registration ends before that. conformance/node/listener.mjs is the same with
@grpc/grpc-js.
"""

import asyncio
import json
import sys

from zioflow import Gateway

HONEST = {"honest": True, "word": "Größe", "number": 4611686018427387904}


async def main(address: str, name: str) -> None:
    seen = {"honest": 0, "declined": 0, "messages": 0}

    async def handle(offer):
        attributes = offer.attributes
        if any(attributes.get(key) != value for key, value in HONEST.items()):
            seen["declined"] += 1
            await offer.decline("hostile")
            return
        async with offer.accept(credit=3) as flow:
            async for _ in flow:
                seen["messages"] += 1
        seen["honest"] += 1

    async with Gateway(address) as gateway:
        async with gateway.handle(name, handle, match=f"attributes.to == '{name}'") as listener:
            print("listening", flush=True)
            told = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            ended = asyncio.ensure_future(listener.wait())
            await asyncio.wait({told, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
                raise SystemExit("the registration has ended")
            ended.cancel()
    print(json.dumps(seen), flush=True)


asyncio.run(main(*sys.argv[1:]))
