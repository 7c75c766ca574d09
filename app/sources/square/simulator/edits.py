"""Edits of catalog, vendors and locations in the simulated shop, and their events."""

from app.sources.square.simulator.catalog_things import Item, Variation
from app.sources.square.simulator.clock import catalog_text
from app.sources.square.simulator.places import Vendor
from app.sources.square.simulator.trade import Touched
from app.sources.square.simulator.world import World

OTHER_MERCHANT = "MSIMULATED999"


class Edits:
    """Each method makes one change and returns what it touched."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dice = world.dice

    def price_edit(self) -> Touched:
        """Change a variation's price, without changing its item."""
        variation = self._touched_variation()
        variation.price = max(1, variation.price * self._dice.randrange(90, 115) // 100 + 1)
        variation.version = self._world.catalog.edited()
        return self._edited(variation.id)

    def rename_item(self) -> Touched:
        """Rename an item, without changing its variations."""
        item = self._edited_item()
        item.name = f"{item.name.split(' (')[0]} ({item.version % 1000})"
        return self._edited(item.id)

    def archive_item(self) -> Touched:
        """Archive an item, or restore it."""
        item = self._edited_item()
        item.archived = not item.archived
        return self._edited(item.id)

    def new_item(self) -> Touched:
        """Add an item with one variation that was never counted."""
        item = self._world.catalog.add_item(self._world.catalog.edited())
        return self._edited(item.id)

    def new_variation(self) -> Touched:
        """Add a variation to an item."""
        item = self._edited_item()
        made = self._world.catalog.add_variation(item, f"Edition {len(item.variations) + 1}", item.version)
        return self._edited(made.id)

    def delete_variation(self) -> Touched:
        """Delete a variation without changing the item, which keeps at least one variation."""
        item = self._world.catalog.touch(self._any_item())
        if len(item.live()) < 2:
            return self.new_variation()
        variation = self._dice.choice(item.live())
        variation.deleted = True
        variation.version = self._world.catalog.edited()
        return self._edited(variation.id)

    def delete_item(self) -> Touched:
        """Delete an item and all its variations; in a small shop add one instead, so that it never runs empty."""
        if self._world.catalog.items - self._world.catalog.deleted_items < 5:
            return self.new_item()
        return self.delete(self._any_item())

    def delete(self, index: int) -> Touched:
        """Delete the item at a place."""
        item = self._world.catalog.touch(index)
        version = self._world.catalog.edited()
        for variation in item.live():
            variation.deleted, variation.version = True, version
        self._world.catalog.deleted_items += not item.deleted
        item.deleted, item.version = True, version
        return self._edited(item.id)

    def _edited(self, object_id: str) -> Touched:
        """Publish catalog events, which name nothing: no ids, no operation, in production an empty ``data.id``."""
        payload = {"catalog_version": {"updated_at": catalog_text(self._world.catalog.latest)}}
        for _ in range(self._world.options.catalog_burst):
            self._world.outbox.publish("catalog.version.updated", "catalog_version", "", payload)
        return [("category" if object_id.startswith("CAT") else "product", object_id)]

    def category_edit(self) -> Touched:
        """Rename a category."""
        category = self._dice.choice([one for one in self._world.catalog.categories if not one.deleted])
        category.version = self._world.catalog.edited()
        category.name = f"{category.name.split(' (')[0]} ({category.version % 1000})"
        return self._edited(category.id)

    def related_edit(self) -> Touched:
        """Rename something that items mention (a tax, a unit), or replace a picture: it has no row of its own."""
        thing = self._dice.choice(self._world.catalog.things.all)
        self._world.catalog.rename_thing(thing)
        self._edited(thing.id)
        return []

    def new_category(self) -> Touched:
        """Add a category without items."""
        made = self._world.catalog.add_category()
        return self._edited(made.id)

    def delete_category(self) -> Touched:
        """Delete a category that was added later, so that no item loses its own."""
        later = [one for one in self._world.catalog.categories[6:] if not one.deleted]
        if not later:
            return self.new_category()
        category = self._dice.choice(later)
        category.version = self._world.catalog.edited()
        category.deleted = True
        return self._edited(category.id)

    def vendor_edit(self) -> Touched:
        """Rename a vendor."""
        places = self._world.places
        if not places.vendors:
            return self.new_vendor()
        vendor = self._dice.choice(places.vendors)
        places.rename_vendor(vendor, f"{vendor.name.split(' (')[0]} ({self._dice.randrange(1000)})")
        return self._vendor_event("UPDATED", vendor)

    def new_vendor(self) -> Touched:
        """Add a vendor."""
        return self._vendor_event("CREATED", self._world.places.add_vendor())

    def _vendor_event(self, operation: str, vendor: Vendor) -> Touched:
        payload = {"operation": operation, "vendor": self._world.places.vendor_json(vendor)}
        self._world.outbox.publish(f"vendor.{operation.lower()}", "vendor", self._world.uuid(), payload)
        return [("vendor", vendor.id)]

    def location_edit(self) -> Touched:
        """Rename a location; the event only names it."""
        location = self._dice.choice(self._world.places.locations)
        location.name = f"{location.name.split(' (')[0]} ({self._dice.randrange(1000)})"
        self._world.outbox.publish("location.updated", "location", location.id, location_id=location.id)
        return [("location", location.id)]

    def foreign_event(self) -> Touched:
        """A count at another merchant who uses the same application.

        Not an order: somebody who does not know yet whose account this is would look for it for hours in vain.
        """
        count = {
            "catalog_object_id": f"VAR{self._dice.getrandbits(64):021d}",
            "catalog_object_type": "ITEM_VARIATION",
            "state": "IN_STOCK",
            "location_id": "LOTHER",
            "quantity": "5",
            "calculated_at": catalog_text(self._world.clock.tick_ms()),
        }
        payload = {"inventory_counts": [count]}
        self._world.outbox.publish(
            "inventory.count.updated", "inventory_counts", self._world.uuid(), payload, merchant_id=OTHER_MERCHANT
        )
        return []

    def _edited_item(self) -> Item:
        item = self._world.catalog.touch(self._any_item())
        item.version = self._world.catalog.edited()
        return item

    def _any_item(self) -> int:
        return self._world.catalog.owner(self._world.something().ware)

    def _touched_variation(self) -> Variation:
        number = self._world.something().ware
        self._world.catalog.touch(self._world.catalog.owner(number))
        return self._world.catalog.variation(number)
