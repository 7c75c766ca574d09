"""Classifies a catalog object before it is read: a live item, or something else."""

from typing import Any, TypeGuard

from app.sources.square.wire import Json


def is_live_item(thing: Any) -> TypeGuard[Json]:
    """Whether it is an ITEM object that does not say it is deleted."""
    return isinstance(thing, dict) and thing.get("type") == "ITEM" and not says_deleted(thing)


def is_other(thing: Any) -> bool:
    """Whether it is a catalog object but no live item: another type, or a deleted one.

    An object with the parts of an item counts as an item, whatever its type says: left out, it would seem to be gone.
    """
    if not isinstance(thing, dict) or not isinstance(thing.get("type"), str):
        return False
    return says_deleted(thing) or not (thing["type"] == "ITEM" or "item_data" in thing)


def says_deleted(thing: Json) -> bool:
    """Whether an object says that it is deleted. A value that is not a boolean says nothing."""
    return str(thing.get("is_deleted")).lower() in ("true", "1")
