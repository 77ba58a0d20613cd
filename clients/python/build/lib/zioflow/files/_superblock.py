"""The marks by which a file of HDF5 says that somebody writes it.

A file in the format of HDF5 1.10 and later (h5py's libver="latest") has marks in its first
bytes, which a program sets that writes the file, and which nobody opens the file against.
One that was killed leaves them there. What h5clear does about it is done here: they are
taken away by whoever knows, by the locks, that nobody writes the file.
"""

from __future__ import annotations

import struct

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_VERSION, _OFFSETS, _LENGTHS, _MARKS = 8, 9, 10, 11
_SIZE = 44  # before the checksum, with addresses of eight bytes
#: Somebody writes the file; somebody does so in SWMR mode, which holds no lock.
WRITING, SWMR = 1, 4


def marks(page: bytes | bytearray) -> int:
    """The marks in a file's first bytes: 0 if there are none, or it is no such file."""
    whole = len(page) >= _SIZE + 4 and page[:8] == _SIGNATURE
    if not whole or page[_VERSION] != 3 or page[_OFFSETS] != 8:
        return 0
    return int(page[_MARKS])


def without_marks(page: bytes | bytearray) -> bytes:
    """The first bytes of the same file that nobody writes."""
    if not marks(page):
        return bytes(page)
    head = bytes(page[:_MARKS]) + b"\0" + bytes(page[_MARKS + 1 : _SIZE])
    return head + struct.pack("<I", lookup3(head)) + bytes(page[_SIZE + 4 :])


def _rotated(x: int, k: int) -> int:
    return ((x << k) | (x >> (32 - k))) & 0xFFFFFFFF


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hash lookup3, "hashlittle", from 0: the checksum of HDF5's metadata."""
    mask = 0xFFFFFFFF
    a = b = c = (0xDEADBEEF + len(data)) & mask
    while len(data) > 12:
        x, y, z = struct.unpack_from("<3I", data)
        data = data[12:]
        a, b, c = (a + x) & mask, (b + y) & mask, (c + z) & mask
        for k in (4, 6, 8, 16, 19, 4):
            a = ((a - c) & mask) ^ _rotated(c, k)
            c = (c + b) & mask
            a, b, c = b, c, a
    if data:
        x, y, z = struct.unpack("<3I", data.ljust(12, b"\0"))
        a, b, c = (a + x) & mask, (b + y) & mask, (c + z) & mask
        for k in (14, 11, 25, 16, 4, 14, 24):
            c = ((c ^ b) - _rotated(b, k)) & mask
            a, b, c = b, c, a
        # Seven turns: what is c by its name in the original is b here.
        a, b, c = c, a, b
    return c
