"""Give, take and handle ZIO flows without asyncio: for scripts, threads and notebooks.

The same names as in `zioflow`, with the same meaning, to be used by `with` and `for`::

    from zioflow.sync import Gateway

    with Gateway() as gateway, gateway.give({"stream": "raw"}) as flow:
        flow.put(b"one", b"two")

It works where an event loop runs as well, as in a notebook, and holds that up meanwhile.
"""

from .._offer import Peer
from .._put import PutResult
from .._retry import ListenerState
from .._settings import NATIVE_CLASSES, tls
from ..errors import EndReason, FlowEnded, FlowError
from ..messages import Bot, BotOptions, Dat, Direction, Eot, LeftOut, TakenBy
from ..tensors import Tensor
from ._flow import Flow, Giver, Taker
from ._gateway import Gateway
from ._handler import Listener, Offer


def _native() -> type[Gateway]:
    from .. import native  # which needs pyzmq

    return native.SyncGateway


NATIVE_CLASSES[Gateway] = _native

__all__ = [
    "Bot",
    "BotOptions",
    "Dat",
    "Direction",
    "EndReason",
    "Eot",
    "Flow",
    "FlowEnded",
    "FlowError",
    "Gateway",
    "Giver",
    "LeftOut",
    "Listener",
    "ListenerState",
    "Offer",
    "Peer",
    "PutResult",
    "TakenBy",
    "Taker",
    "Tensor",
    "tls",
]
