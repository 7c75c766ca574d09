"""The simulated catalog: items and variations made on the fly from the seed, changes kept on top of them."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from app.sources.simulating.answers import Json
from app.sources.simulating.merchandise import CATEGORIES, ware
from app.sources.square.simulator.catalog_json import CatalogJson
from app.sources.square.simulator.catalog_related import SIZES, Thing, Things
from app.sources.square.simulator.catalog_things import CatalogChanges, CategoryState, Item, Variation
from app.sources.square.simulator.clock import GENESIS_MS, Clock

PATTERN = (0, 2, 3, 4, 7, 8, 9)  # of six items in a row the first has two variations, the fourth three, the rest one
BASE_STEP_MS = 7


class Position(NamedTuple):
    """Where a walk stands: the type asked for, the object's place in order of creation, and the part at this place."""

    type: int = 0
    place: int = 0
    part: int = 0


class Catalog:
    """All objects of one account, in order of creation; ``version`` is ``updated_at`` in milliseconds."""

    def __init__(self, seed: int, items: int, location_ids: Sequence[str], vendor_ids: Sequence[str], clock: Clock):
        self._seed = seed
        self._tag = blake2b(f"square-{seed}".encode(), digest_size=6).hexdigest().upper()
        self._locations = location_ids
        self._vendors = vendor_ids
        self._clock = clock
        self._changed: dict[int, Item] = {}
        self._owners: dict[int, int] = {}
        self._base = items
        self.items = items
        self.deleted_items = 0
        self.base_wares = first_ware(items)
        self.wares = self.base_wares
        self.categories = [self._category(index, name) for index, name in enumerate(CATEGORIES)]
        self.things = Things(self._tag)
        self.json = CatalogJson(self.categories, self.things, location_ids, vendor_ids)
        self.latest = self._base_version(max(items - 1, 0)) if items else GENESIS_MS

    def _category(self, index: int, name: str) -> CategoryState:
        parent = 1 if name == "Bath" else None
        return CategoryState(f"CAT{self._tag}{index:09d}", name, GENESIS_MS - 1000 + index, parent)

    def _base_version(self, index: int) -> int:
        return GENESIS_MS + index * BASE_STEP_MS

    def item_id(self, index: int) -> str:
        """The id of the item with this place."""
        return f"ITM{self._tag}{index:09d}"

    def variation_id(self, number: int) -> str:
        """The id of the variation that sells this ware."""
        return f"VAR{self._tag}{number:09d}"

    def place_of(self, object_id: str, prefix: str) -> int | None:
        """The reverse of the ids."""
        known = object_id.startswith(prefix + self._tag) and object_id[-9:].isdigit()
        return int(object_id[-9:]) if known and len(object_id) == 24 else None

    def item(self, index: int) -> Item:
        """The item in its present state; not to be changed (see ``touch``)."""
        return self._changed.get(index) or self._base_item(index)

    def touch(self, index: int) -> Item:
        """The item, kept from now on, to be changed."""
        return self._changed.setdefault(index, self.item(index))

    def _base_item(self, index: int) -> Item:
        first, end = first_ware(index), first_ware(index + 1)
        version = self._base_version(index)
        wares = [ware(self._seed, number) for number in range(first, end)]
        names = ["Regular"] if len(wares) == 1 else SIZES
        return Item(
            index=index,
            id=self.item_id(index),
            name=wares[0].name,
            category=wares[0].category,
            version=version,
            archived=index % 97 == 5,
            present=self._presence(index),
            variations=[
                self._variation(made.number, name, version) for made, name in zip(wares, names, strict=False)
            ],
        )

    def _presence(self, index: int) -> str:
        """In a shop without locations nothing can be limited to some of them."""
        if not self._locations:
            return "everywhere"
        return "nowhere" if index % 211 == 7 else "somewhere" if index % 89 == 3 else "everywhere"

    def _variation(self, number: int, name: str, version: int) -> Variation:
        made = ware(self._seed, number)
        return Variation(
            ware=number,
            id=self.variation_id(number),
            name=name,
            sku=made.sku,
            price=made.price_minor,
            cost=made.cost_minor,
            supplier=made.supplier % max(1, len(self._vendors)),
            threshold=made.reorder_point,
            version=version,
        )

    def owner(self, number: int) -> int:
        """The place of the item whose variation sells this ware."""
        if number in self._owners:
            return self._owners[number]
        block, left = divmod(number, PATTERN[-1])
        return block * 6 + max(place for place in range(6) if PATTERN[place] <= left)

    def variation(self, number: int) -> Variation:
        """The variation that sells this ware."""
        return next(one for one in self.item(self.owner(number)).variations if one.ware == number)

    def add_variation(self, item: Item, name: str, version: int) -> Variation:
        """A new variation of an item that has been touched."""
        made = self._variation(self.wares, name, version)
        self._owners[self.wares] = item.index
        self.wares += 1
        item.variations.append(made)
        return made

    def add_item(self, version: int) -> Item:
        """A new item with one variation."""
        made = ware(self._seed, self.wares)
        item = Item(self.items, self.item_id(self.items), made.name, made.category, version, False, "everywhere")
        self._changed[item.index] = item
        self.items += 1
        self.add_variation(item, "Regular", version)
        return item

    def add_category(self) -> CategoryState:
        """A new category at the top."""
        made = self._category(len(self.categories), f"Collection {len(self.categories)}")
        made.version = self.edited()
        self.categories.append(made)
        return made

    def rename_thing(self, thing: Thing) -> None:
        """Change one of the objects that items mention; no item changes with it."""
        thing.version = self.edited()
        thing.name = f"{thing.name.split(' (')[0]} ({thing.version % 1000})"

    def edited(self) -> int:
        """A new version; the catalog as a whole has it too."""
        self.latest = self._clock.tick_ms()
        return self.latest

    def changes(self) -> CatalogChanges:
        """The difference from the catalog of the opening."""
        return CatalogChanges(
            items=self.items,
            wares=self.wares,
            deleted_items=self.deleted_items,
            latest=self.latest,
            changed=list(self._changed.values()),
            owners=self._owners,
            categories=self.categories,
            things={one.id: (one.name, one.version) for one in self.things.all},
        )

    def restore(self, kept: CatalogChanges) -> None:
        """Apply what ``changes`` returned."""
        self.items, self.wares, self.deleted_items = kept.items, kept.wares, kept.deleted_items
        self.latest = kept.latest
        self._changed = {item.index: item for item in kept.changed}
        self._owners = kept.owners
        self.categories[:] = kept.categories  # the very list that is shown
        for thing in self.things.all:
            thing.name, thing.version = kept.things.get(thing.id, (thing.name, thing.version))

    def object_json(self, object_id: str) -> Json | None:
        """The object with this id, deleted or not, as the API shows it."""
        index = self.place_of(object_id, "ITM")
        if index is not None and index < self.items:
            return self.json.item_json(self.item(index))
        number = self.place_of(object_id, "VAR")
        if number is not None and number < self.wares:
            return self.json.variation_json(self.item(self.owner(number)), self.variation(number))
        category = next((one for one in self.categories if one.id == object_id), None)
        return self.things.json_of(object_id) if category is None else self.json.category_json(category)

    def walk(
        self, types: Sequence[str], begin: int, deleted: bool, start: Position
    ) -> Iterator[tuple[Position, Json]]:
        """Objects changed after ``begin`` (ms), grouped by type, in order of creation, from a position on."""
        for type_ in range(start.type, len(types)):
            origin = start if type_ == start.type else Position(type_)
            for place in self._places(types[type_], origin.place, begin):
                first = origin.part if place == origin.place else 0
                for part, row in enumerate(self._rows(types[type_], place)):
                    if part >= first and row["version"] > begin and (deleted or not row["is_deleted"]):
                        yield Position(type_, place, part), row

    def _places(self, type_: str, start: int, begin: int) -> Iterable[int]:
        """The places from ``start`` on where objects of a type can have changed after ``begin``."""
        if type_ in ("ITEM", "ITEM_VARIATION"):
            if begin >= self._base_version(self._base - 1):
                return sorted(index for index in self._changed if index >= start)
            return range(start, self.items)
        return range(start, len(self.categories if type_ == "CATEGORY" else self.things.all))

    def _rows(self, type_: str, place: int) -> list[Json]:
        """The objects of a type at a place, deleted ones too: an item has several variations."""
        if type_ == "ITEM":
            return [self.json.item_json(self.item(place))]
        if type_ == "ITEM_VARIATION":
            item = self.item(place)
            return [self.json.variation_json(item, one) for one in item.variations]
        if type_ == "CATEGORY":
            return [self.json.category_json(self.categories[place])]
        return self.things.rows(type_, place)


def first_ware(index: int) -> int:
    """The number of the first ware that the item with this place sells: items share the wares out in order."""
    block, left = divmod(index, 6)
    return block * PATTERN[-1] + PATTERN[left]
