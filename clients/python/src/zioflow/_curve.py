"""The keys of CURVE, by which ZeroMQ encrypts and each side knows the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import zmq
import zmq.utils.z85


@dataclass(frozen=True)
class Curve:
    """Keys for a gateway that asks for CURVE: texts of 40 characters, as `gateway keygen`
    writes them to files; space around them, such as a newline, does not matter.

    ValueError names the one that is no key.
    """

    #: The gateway's public key: what is connected to is refused if it has another.
    server_key: str
    #: One's own, by which the gateway knows who comes.
    secret_key: str = field(repr=False)
    #: What belongs to the secret key, which says it, so that it may be left out.
    public_key: str = ""

    def __post_init__(self) -> None:
        for name in ("server_key", "secret_key", "public_key"):
            object.__setattr__(self, name, getattr(self, name).strip())
        _check("server_key", self.server_key)
        _check("secret_key", self.secret_key)
        public = zmq.curve_public(self.secret_key.encode()).decode()
        if self.public_key not in ("", public):
            raise ValueError("public_key does not belong to secret_key")
        object.__setattr__(self, "public_key", public)

    def apply(self, socket: zmq.Socket[bytes]) -> None:
        """Has the socket use them."""
        socket.curve_serverkey = self.server_key.encode()
        socket.curve_publickey = self.public_key.encode()
        socket.curve_secretkey = self.secret_key.encode()


def _check(name: str, key: str) -> None:
    try:
        good = len(key) == 40 and len(zmq.utils.z85.decode(key.encode())) == 32
    except (ValueError, KeyError, ArithmeticError, UnicodeError):
        good = False
    if not good:
        raise ValueError(f"{name} is no key of CURVE: want 40 characters of Z85, has {len(key)}")
