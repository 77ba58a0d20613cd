"""What has gone wrong with a connection, in words for its user, and not gRPC's."""

from __future__ import annotations

import re

import grpc

#: How gRPC says that no connection could be made, whatever the cause.
_CONNECTING = "failed to connect to all addresses"

#: How it says that one was lost.
_LOST = re.compile(
    r"Stream removed|Socket closed|recvmsg|sendmsg|GOAWAY|[Kk]eepalive|ping timeout|"
    r"Connection reset|Broken pipe|Transport closed|End of TCP stream"
)

_TOO_LARGE = re.compile(r"(CLIENT: )?[Rr]eceived message larger than max \((\d+) vs\. (\d+)\)")

_CERTIFICATE = re.compile(r"CERTIFICATE_VERIFY_FAILED: (?:SSL_[A-Z_]+: )?([^:]*)")

#: The first that is found in gRPC's words on a connection that could not be made; a
#: pattern, and what it means.
_CAUSES = (
    (r"Connection refused", "nothing listens at {at}: is the gateway running, with this --grpc?"),
    (
        r"No such file or directory",
        "there is no socket at {at}: is the gateway running, with this --grpc?",
    ),
    (
        r"Permission denied",
        "this user may not connect to {at}: the socket is for its owner and group",
    ),
    (
        r"http1\.x server",
        "{at} speaks HTTP, and not gRPC: is it the gateway's --http and not its --grpc?",
    ),
    (
        r"Expected SETTINGS frame",
        "what listens at {at} does not speak gRPC: is it a port for ZeroMQ, and not --grpc?",
    ),
    (
        r"WRONG_VERSION_NUMBER|HTTP_REQUEST|UNEXPECTED_MESSAGE",
        "the gateway at {at} does not use TLS: leave credentials out",
    ),
    (
        r"[Hh]ostname [Vv]erification|Peer name .* is not in peer certificate",
        "the certificate of the gateway at {at} is for another name",
    ),
    (r"CERTIFICATE_VERIFY_FAILED", "the certificate of the gateway at {at} is not trusted{why}"),
    (
        r"CERTIFICATE_REQUIRED|BAD_CERTIFICATE|ALERT",
        "the gateway at {at} refuses this program's certificate, or asks for one",
    ),
)

_PLAIN = (
    r"Socket closed|recvmsg|Connection reset|End of TCP",
    "what listens at {at} closed the connection: if the gateway uses TLS, give credentials",
)


def explain(code: grpc.StatusCode, text: str, address: str, *, encrypted: bool) -> str:
    """The text of a status without a reason of the gateway's, or better words for it."""
    text = " ".join(text.split())
    if code is grpc.StatusCode.UNAVAILABLE:
        return _unavailable(text, address, encrypted)
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return f"the gateway at {address} does not let this program in: {text}"
    if code is grpc.StatusCode.CANCELLED:
        return "the flow was broken off on this side"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"what listens at {address} is no gateway, or an older one: {text}"
    size = _TOO_LARGE.search(text)
    if size is None:
        return text
    if size[1]:
        return f"a message of {size[2]} bytes has come, more than {size[3]}: see max_message"
    return f"the message has {size[2]} bytes, the gateway takes {size[3]}: see its --max-message"


def is_too_large(text: str) -> bool:
    """Whether this is how gRPC refuses a message for its size."""
    return _TOO_LARGE.search(text) is not None


def _unavailable(text: str, address: str, encrypted: bool) -> str:
    if "lookup" in text or "resolving" in text:
        return f"there is no host of the name in {address}"
    if _CONNECTING not in text:
        lost = f"the connection to the gateway at {address} was lost"
        return lost if _LOST.search(text) else text
    for pattern, meaning in (*_CAUSES, *(() if encrypted else (_PLAIN,))):
        if re.search(pattern, text):
            found = _CERTIFICATE.search(text)
            why = f": {found[1].strip()}" if found else ""
            return str(meaning).format(at=address, why=why)
    last = text.rpartition(f"{address}: ")[2]
    return f"there is no connection to {address}: {last}"
