"""Runs a factory of ZIO's flow broker behind the gateway.

A factory is what `zio.flow.Broker` calls with each client's BOT: it starts a handler
and returns true, or refuses. Here the gateway is the broker, and the factory stays as
it is. `serve` runs it in threads; a `Broker` is polled, as ZIO's own. Neither needs
ZIO, ZeroMQ or asyncio: only the factory's handlers need what they need.
"""

from ._message import Message
from ._program import GatewayExited
from .broker import Broker
from .server import Server, serve

__all__ = ["Broker", "GatewayExited", "Message", "Server", "serve"]
