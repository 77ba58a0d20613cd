"""Give, take and handle ZIO flows through the ZIO flow gateway.

Everything starts from a `Gateway`. All objects belong to the event loop in which
they were made, and none may be used from another thread.
"""

from . import _quiet
from ._put import PutResult
from ._settings import NATIVE_CLASSES, tls
from .errors import EndReason, FlowEnded, FlowError
from .flow import Flow
from .gateway import Gateway
from .giver import Giver
from .handler import Listener, ListenerState, Offer, Peer
from .messages import Bot, BotOptions, Dat, Direction, Eot, LeftOut, TakenBy
from .taker import Taker
from .tensors import Tensor

del _quiet


def _native() -> type[Gateway]:
    from . import native  # which needs pyzmq

    return native.Gateway


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
