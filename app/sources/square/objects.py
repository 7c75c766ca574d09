"""Tells what a catalog object is before it is read: a live item, or something else."""

from __future__ import annotations

from typing import Any, TypeGuard

from app.sources.square.wire import Json


def is_live_item(thing: Any) -> TypeGuard[Json]:
    """Whether it is an ITEM object that does not say it is deleted."""
    return isinstance(thing, dict) and thing.get("type") == "ITEM" and not says_deleted(thing)


def is_other(thing: Any) -> bool:
    """Whether it is a catalog object that is no live item: one of another type, or one that says it is deleted. What has
    the parts of an item is one, whatever its type is spelled like: left out, it would seem to be gone."""
    if not isinstance(thing, dict) or not isinstance(thing.get("type"), str):
        return False
    return says_deleted(thing) or not (thing["type"] == "ITEM" or "item_data" in thing)


def says_deleted(thing: Json) -> bool:
    """Whether an object says it is deleted. Anything that is no truth value says nothing."""
    return str(thing.get("is_deleted")).lower() in ("true", "1")
