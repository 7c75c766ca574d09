"""The objects of the simulated catalog."""

from dataclasses import dataclass, field


@dataclass
class Variation:
    """One ware on sale."""

    ware: int
    id: str
    name: str
    sku: str
    price: int
    cost: int
    supplier: int
    threshold: int
    version: int
    deleted: bool = False


@dataclass
class Item:
    """A group of variations."""

    index: int
    id: str
    name: str
    category: int
    version: int
    archived: bool
    present: str  # everywhere, somewhere, nowhere
    variations: list[Variation] = field(default_factory=list)
    deleted: bool = False

    def live(self) -> list[Variation]:
        """The variations that are left."""
        return [] if self.deleted else [one for one in self.variations if not one.deleted]


@dataclass
class CategoryState:
    """One category; ``parent`` is its place among the categories."""

    id: str
    name: str
    version: int
    parent: int | None = None
    deleted: bool = False


@dataclass
class CatalogChanges:
    """The difference of a catalog from its opening; ``owners`` has the item of each later ware."""

    items: int
    wares: int
    deleted_items: int
    latest: int
    changed: list[Item]
    owners: dict[int, int]
    categories: list[CategoryState]
    things: dict[str, tuple[str, int]] = field(default_factory=dict)  # name and version by id
