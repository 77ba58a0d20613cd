"""The memory of large messages: that it is used again."""

from __future__ import annotations

#: From so many bytes on a message's memory is, at first, the system's, and goes back to it.
_LARGE = 128 << 10

#: The largest piece that has an effect on what glibc keeps: it ends 64 KiB below.
_MOST = (32 << 20) - (64 << 10)

_kept = False


def keep_for(size: int) -> None:
    """Has free memory kept for the next message, once one of so many bytes is large.

    A large message is copied some times by gRPC, each time into memory of its own. What is
    free at the heap's end goes back to the system, page by page, and is fetched again for
    the next message, which took half of all processor time for messages of 1 MiB.
    glibc learns from the largest piece that was freed to keep twice its size, at most 64
    MiB: this shows it such a piece, of which no page is ever touched. Other systems'
    allocators take no notice, nor does glibc where MALLOC_TRIM_THRESHOLD_ says how much
    is kept. May be called by any thread.
    """
    global _kept
    if size >= _LARGE and not _kept:
        _kept = True
        bytes(_MOST)
