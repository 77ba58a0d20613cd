"""Bounding what goes into a message for others to read."""

from __future__ import annotations

#: As many bytes of words that say why as the gateway passes on.
MAX_DETAIL = 1024

_ELLIPSIS = "…".encode()


def cut(words: str, limit: int = MAX_DETAIL) -> str:
    """The words, or their beginning and an ellipsis in `limit` bytes of UTF-8.

    What UTF-8 cannot hold, a lone surrogate, becomes a question mark: no message
    could be sent with it.
    """
    # A character is a byte at least: more than that many are cut in any case.
    encoded = words[: limit + 1].encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return (encoded[: limit - len(_ELLIPSIS)]).decode("utf-8", "ignore") + _ELLIPSIS.decode()
