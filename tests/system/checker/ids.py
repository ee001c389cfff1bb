# SPDX-License-Identifier: Apache-2.0
"""The ids that follow from their cause, as src/README.md says they are made."""

import ctypes
import ctypes.util
import hashlib


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash"))
xxhash.XXH3_128bits.restype = Hash128
xxhash.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def as_uuid(value):
    value = bytearray(value)
    value[6] = value[6] & 0x0F | 0x80
    value[8] = value[8] & 0x3F | 0x80
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def derived(cause, index):
    """The id of what a cause makes as its index-th."""
    data = bytes.fromhex(cause.replace("-", "")) + (index & (1 << 64) - 1).to_bytes(8, "little")
    found = xxhash.XXH3_128bits(data, len(data))
    return as_uuid(found.high.to_bytes(8, "big") + found.low.to_bytes(8, "big"))


def of_key(shop, command, aggregate, key):
    """key_id; of an order's first command the order id, and then there is no aggregate yet."""
    digest = hashlib.sha256()
    parts = (shop, command, key) if command == "PlaceOrder" else (shop, command, aggregate, key)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return as_uuid(digest.digest()[:16])
