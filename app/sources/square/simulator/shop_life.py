"""The events of the simulated shop's life: sales, receipts, edits, deletions. Each sends the webhooks that Square
sends."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from app.sources.simulating.account import Changed
from app.sources.square.simulator.edits import Edits
from app.sources.square.simulator.trade import Touched, Trade
from app.sources.square.simulator.world import World


class Happening(NamedTuple):
    """A kind of change: its weight (0: only when it is named), and the kinds of record that it touches."""

    name: str
    weight: int
    kinds: tuple[str, ...]


HAPPENINGS = (
    Happening("pos_sale", 40, ("order", "stock")),
    Happening("pos_return", 5, ("order", "stock")),
    Happening("api_order", 12, ("order", "stock")),
    Happening("order_completed", 6, ("order", "stock")),
    Happening("quiet_edit", 0, ()),
    Happening("receipt", 10, ("stock",)),
    Happening("purchase", 4, ("stock",)),
    Happening("transfer", 6, ("stock",)),
    Happening("recount", 2, ("stock",)),
    Happening("price_edit", 8, ("product",)),
    Happening("rename_item", 3, ("product",)),
    Happening("archive_item", 1, ("product",)),
    Happening("new_item", 3, ("product",)),
    Happening("new_variation", 2, ("product",)),
    Happening("delete_variation", 1, ("product",)),
    Happening("delete_item", 1, ("product",)),
    Happening("related_edit", 1, ("product",)),
    Happening("vendor_edit", 1, ("vendor",)),
    Happening("new_vendor", 1, ("vendor",)),
    Happening("category_edit", 1, ("category",)),
    Happening("new_category", 1, ("category",)),
    Happening("delete_category", 1, ("category",)),
    Happening("location_edit", 1, ("location",)),
    Happening("foreign_event", 1, ()),
)


class ShopLife:
    """Makes changes in a world, one at a time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.edits = Edits(world)
        self._crafts = (Trade(world), self.edits)

    def happen(self, count: int, kinds: Sequence[str] = ()) -> list[Changed]:
        """Make some changes of the given kinds of record or names; returns what they touched.

        Raises ``ValueError`` for an unknown kind, or in a shop without products or locations.
        """
        usual = [one for one in HAPPENINGS if one.weight and (not kinds or set(one.kinds) & set(kinds))]
        fitting = usual + [one for one in HAPPENINGS if one.name in kinds and one not in usual]
        if not fitting:
            raise ValueError(
                f"no such kinds of change: {list(kinds)}; use one of: {[one.name for one in HAPPENINGS]}"
            )
        if not self._world.catalog.items or not self._world.location_ids:
            raise ValueError("nothing can happen in a shop without products or locations")
        weights = [one.weight or 1 for one in fitting]
        chosen = self._world.dice.choices(fitting, weights, k=count)
        return [touched for one in chosen for touched in self._one(one.name)]

    def _one(self, name: str) -> list[Changed]:
        action: Callable[[], Touched] = next(getattr(craft, name) for craft in self._crafts if hasattr(craft, name))
        touched = action()
        self._world.on_change()
        return [Changed(kind, external_id, name) for kind, external_id in touched]
