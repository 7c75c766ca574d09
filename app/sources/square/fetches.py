"""Fetches items by their ids, for every kind that needs only the answer to one call."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.domain import SKU_PREFIX, Answer, Kind, Page, Record, Ref, Scope, key_of
from app.errors import BadAnswer, TallyhookError, Unavailable, Unmappable, VendorRefused
from app.sources.shapes import bad_record
from app.sources.square import feeds, isolation, mapping, parties, wire
from app.sources.square.client import Client
from app.sources.square.isolation import ReadRows, id_in, readable
from app.sources.square.objects import says_deleted
from app.sources.square.related import Related
from app.sources.square.times import moment_in


def products(client: Client, refs: Sequence[Ref]) -> Answer:
    """Items by id; a variation's id means its item. An item that is shown, live or deleted, is covered unless it is
    unreadable.

    Square shows deleted objects as well, so one that it does not show is ``not_yet``: nothing says that it is gone.
    """
    by_sku = [ref for ref in refs if ref.external_id.startswith(SKU_PREFIX)]
    by_id = [ref for ref in refs if not ref.external_id.startswith(SKU_PREFIX)]
    objects, nameless = _retrieve(client, [ref.external_id for ref in by_id])
    owners = {ref.external_id: _item_id(ref.external_id, objects.get(ref.external_id)) for ref in by_id}
    if parents := sorted({item for item in owners.values() if item} - owners.keys()):
        more, unnamed = _retrieve(client, parents)
        objects, nameless = objects | more, nameless + unnamed
    items = {item: objects[item] for item in owners.values() if item in objects}
    shown = [*items.values(), *nameless]
    live = isolation.listings(shown, Related(client).to(shown))
    alone = {id_: objects[id_] for id_, item in owners.items() if id_ in objects and item not in items}
    orphans = {id_: thing for id_, thing in alone.items() if says_deleted(thing) or owners[id_] is None}
    tombstones = readable(Kind.PRODUCT, orphans.values(), _tombstone)
    failed = [*live.failed, *tombstones.failed]
    unread = {bad.external_id or bad.item_id for bad in failed}
    covered = [item for item in items if item not in unread]
    unshown = [ref for ref in by_id if owners[ref.external_id] not in items and ref.external_id not in orphans]
    return Answer(
        records=[*live.records, *tombstones.records],
        gone=by_sku,
        not_yet=[] if nameless else unshown,  # else it is shown perhaps, and cannot be read
        covers=[Scope(Kind.PRODUCT, "parent_id", item, changed=_deleted_at(items[item])) for item in covered],
        failed=failed,
    )


def _deleted_at(thing: Any) -> datetime | None:
    """When a deleted object was deleted: its last change."""
    return moment_in(thing, "updated_at") if says_deleted(thing) else None


def _retrieve(client: Client, ids: Sequence[str]) -> tuple[dict[str, Any], list[Any]]:
    """The catalog objects by id, deleted ones too, and those without a readable id."""
    things = client.catalog_retrieve(ids) if ids else []
    return {id_: thing for thing in things if (id_ := id_in(thing))}, [thing for thing in things if not id_in(thing)]


def categories(client: Client, refs: Sequence[Ref]) -> Answer:
    """Categories by id. What is shown as something else is gone; what is not shown is ``not_yet``, as for products."""
    things = client.catalog_retrieve([ref.external_id for ref in refs])
    others = {id_in(thing) for thing in things if _is_of_another_type(thing)}
    result = readable(Kind.CATEGORY, [one for one in things if not _is_of_another_type(one)], mapping.category)
    unshown = not_shown(refs, result)
    gone = [ref for ref in unshown if ref.external_id in others]
    return Answer(result.records, gone, [ref for ref in unshown if ref not in gone], failed=result.failed)


def stock(client: Client, refs: Sequence[Ref]) -> Answer:
    """The counts of listings."""
    body = {"catalog_object_ids": [ref.external_id for ref in refs]}
    result = feeds.counts_of([row for page in client.counts(body) for row in page.counts or []])
    return Answer(result.records, failed=result.failed)


def vendors(client: Client, refs: Sequence[Ref]) -> Answer:
    """An error that Square reports for one vendor inside a 200 concerns that vendor, unless it is about our token or our
    rate. A vendor that Square does not know is an error, too: one that the answer leaves out is asked for again."""
    answers = client.vendors_retrieve([ref.external_id for ref in refs])
    result = readable(Kind.VENDOR, [one.vendor for one in answers.values() if one.vendor], parties.vendor)
    later = [ref for ref in refs if ref.external_id not in answers]
    for vendor_id, answer in answers.items():
        error = _trouble_with(answer)
        if isinstance(error, VendorRefused | Unmappable):
            result.failed.append(bad_record(Kind.VENDOR, vendor_id, error))
        elif isinstance(error, Unavailable | BadAnswer):
            later.append(Ref(Kind.VENDOR, vendor_id))
        elif error is not None:
            raise error
    gone, not_yet = absent([ref for ref in refs if ref not in later], result)
    return Answer(result.records, gone, [*not_yet, *later], failed=result.failed)


def _trouble_with(answer: wire.Reply) -> TallyhookError | None:
    """One vendor's own error inside a 200; ``None`` for an unknown id, which is an answer."""
    problems = [problem for problem in answer.errors or [] if problem.code not in ("NOT_FOUND", "VENDOR_NOT_FOUND")]
    return wire.problem_error(problems, "bulk-retrieve") if problems else None


def _item_id(id_: str, thing: Any) -> str | None:
    """The item an id asks for: itself, unless it is a variation's; ``None`` where that does not name it."""
    if not thing or thing.get("type") != "ITEM_VARIATION":
        return id_
    data = thing.get("item_variation_data")
    return id_in(data, "item_id") or None


def _tombstone(variation: wire.Json) -> Record:
    if not says_deleted(variation):
        raise Unmappable("item_variation_data.item_id is missing, expected an id: it is not deleted")
    return mapping.deleted_listing(variation)


def _is_of_another_type(thing: Any) -> bool:
    """A category whose type cannot be read is still a category."""
    type_ = id_in(thing, "type")
    return bool(type_) and type_ != "CATEGORY"


def absent(refs: Sequence[Ref], result: ReadRows[Any] | Page) -> tuple[list[Ref], list[Ref]]:
    """The refs that were not shown, as ``gone`` and ``not_yet``.

    Where something shown has no readable id it may be any of them, so none counts as gone.
    """
    missing = not_shown(refs, result)
    nameless = any(not bad.external_id for bad in result.failed)
    return ([], missing) if nameless else (missing, [])


def not_shown(refs: Sequence[Ref], result: ReadRows[Any] | Page) -> list[Ref]:
    """The refs that were not shown."""
    shown = {key_of(record)[0] for record in result.records} | {bad.external_id for bad in result.failed}
    return [ref for ref in refs if ref.external_id not in shown]
