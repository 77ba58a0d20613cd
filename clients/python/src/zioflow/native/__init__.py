"""ZIO over ZeroMQ: the same classes, at the gateway's address for DEALER sockets.

`zioflow.Gateway` and `zioflow.sync.Gateway` make those of here by the address.

It needs pyzmq: `pip install 'zioflow[native]'`.
"""

try:
    import zmq  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"ZIO over ZeroMQ needs pyzmq: pip install 'zioflow[native]' ({error})"
    ) from None

from .._curve import Curve
from ._gateway import Gateway, SyncGateway

__all__ = ["Curve", "Gateway", "SyncGateway"]
