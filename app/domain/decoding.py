"""Reads plain values and JSON as typed values, safely in many threads.

msgspec works out what a type consists of when it first meets it, without a lock: two threads that meet a type at the same
time can crash the process (seen with msgspec 0.22). So that is done by one thread at a time here, or when a module is
imported, by a decoder that it makes.
"""

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_lock = threading.Lock()
_prepared: set[Any] = set()


def prepare(shape: Any) -> None:
    """Let msgspec work out a type, unless that is done."""
    if shape not in _prepared:
        with _lock:
            msgspec.json.Decoder(shape)
            _prepared.add(shape)


def convert(value: Any, shape: type[T], *, strict: bool = True, from_attributes: bool = False) -> T:
    """Plain values (dicts, lists, texts, numbers) as this type; raises ``msgspec.ValidationError``."""
    prepare(shape)
    return msgspec.convert(value, shape, strict=strict, from_attributes=from_attributes)


def decode(text: str | bytes, shape: type[T]) -> T:
    """JSON as this type; raises ``msgspec.DecodeError``."""
    prepare(shape)
    return msgspec.json.decode(text, type=shape)


def unpack(packed: bytes, shape: type[T]) -> T:
    """MessagePack as this type; raises ``msgspec.DecodeError``."""
    prepare(shape)
    return msgspec.msgpack.decode(packed, type=shape)
