"""Names the code that makes a source's records, to tell a new release of Tallyhook from a change at the vendor."""

import hashlib
import inspect
from functools import lru_cache
from pathlib import Path

from app.domain import Kind, records
from app.sources.base import Source


def mapping_of(source: Source, kind: Kind) -> str:
    """The fingerprint of the code that makes records of a kind; a release that changes the code changes it.

    A source may name its own in an attribute ``mapping``.
    """
    named = getattr(source, "mapping", None)
    code = _code(type(source)) if named is None else str(named)
    fields = ",".join(records.RECORDS[kind].__struct_fields__)
    return hashlib.blake2b(f"{code} {fields}".encode(), digest_size=8).hexdigest()


@lru_cache
def _code(source: type) -> str:
    """A digest of the source's folder, or of its file where it has no folder of its own."""
    file = Path(inspect.getfile(source))
    own_folder = source.__module__.startswith("app.sources.")
    files = sorted(file.parent.glob("*.py")) if own_folder else [file]
    return hashlib.blake2b(b"".join(one.read_bytes() for one in files), digest_size=8).hexdigest()
