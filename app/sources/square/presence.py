"""Where a listing is sold: the locations at which both item and variation are present, and where it is sold out."""

from collections.abc import Collection, Sequence

from app.sources.square.catalog_wire import CatalogObject, Json, Override


def is_sold_somewhere(item: CatalogObject, variation: CatalogObject, places: Collection[str]) -> bool:
    """Whether there is a location at which both are present; ``places`` are the open ones, empty where they are not
    known: then what is present anywhere is sold."""
    only = [set(one.present_at_location_ids or ()) for one in (item, variation) if not _is_everywhere(one)]
    but = {place for one in (item, variation) if _is_everywhere(one) for place in one.absent_at_location_ids or ()}
    if only:
        left = set.intersection(*only) - but
        return bool(left & set(places) if places else left)
    return not but or not places or bool(set(places) - but)


def _is_everywhere(thing: CatalogObject) -> bool:
    """Present at all locations but those named as absent: the default."""
    return thing.present_at_all_locations is not False


def sold_out(overrides: Sequence[Override]) -> list[Json]:
    """The locations where it is sold out, with the end of that where it has one."""
    return [
        {"location_id": at.location_id, **({"until": at.sold_out_valid_until} if at.sold_out_valid_until else {})}
        for at in overrides
        if at.sold_out
    ]
