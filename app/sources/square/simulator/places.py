"""The simulated merchant, locations and vendors."""

from dataclasses import dataclass
from hashlib import blake2b

from app.sources.simulating.answers import Json
from app.sources.square.simulator.clock import GENESIS_MS, Clock, order_text

_TOWNS = ("Grant Park", "Midtown", "Harbour", "Old Mill", "Riverside", "Station", "Hillcrest", "Northgate")
_ZONES = ("America/Los_Angeles", "America/New_York", "America/Chicago")
_TRADES = ("Trading", "Imports", "Wares", "Supply", "Makers", "Goods", "Works", "Brothers")
_IN_THE_US = {"country": "US", "language_code": "en-US", "currency": "USD"}


@dataclass
class Location:
    """A shop."""

    id: str
    name: str
    timezone: str
    active: bool = True


@dataclass
class Vendor:
    """A supplier of the merchant; times in milliseconds."""

    id: str
    name: str
    created: int
    updated: int
    version: int = 1
    active: bool = True


class Places:
    """The merchant, its locations and its vendors."""

    def __init__(self, seed: int, locations: int, vendors: int, merchant_id: str, clock: Clock) -> None:
        self._seed = seed
        self._clock = clock
        self._merchant_id = merchant_id
        self.locations = [self._location(index) for index in range(locations)]
        self.vendors = [self._vendor(index) for index in range(vendors)]

    def _tag(self, what: str, size: int) -> str:
        return blake2b(f"{self._seed}/{what}".encode(), digest_size=size).hexdigest().upper()

    def _location(self, index: int) -> Location:
        """A location; one in twelve is closed and still listed."""
        town = _TOWNS[index % len(_TOWNS)] + (f" {index // len(_TOWNS) + 1}" if index >= len(_TOWNS) else "")
        return Location("L" + self._tag(f"location-{index}", 6), town, _ZONES[index % 3], index % 12 != 11)

    def _vendor(self, index: int) -> Vendor:
        made = GENESIS_MS + index * 1000
        return Vendor(
            "INV_V_" + self._tag(f"vendor-{index}", 13), f"{_TRADES[index % 8]} No. {index + 1}", made, made
        )

    def rename_vendor(self, vendor: Vendor, name: str) -> None:
        """Give a vendor another name, version and time."""
        vendor.name, vendor.version = name, vendor.version + 1
        vendor.updated = max(vendor.updated + 1, self._clock.now_ms())

    def add_vendor(self) -> Vendor:
        """A new vendor."""
        vendor = self._vendor(len(self.vendors))
        vendor.created = vendor.updated = self._clock.now_ms()
        self.vendors.append(vendor)
        return vendor

    def merchant_json(self) -> Json:
        """The account."""
        return {
            "id": self._merchant_id,
            "business_name": "Simulated Shop",
            "status": "ACTIVE",
            **_IN_THE_US,
        }

    def location_json(self, location: Location) -> Json:
        """A location, which has neither version nor ``updated_at``."""
        return {
            "id": location.id,
            "name": location.name,
            "address": {"address_line_1": "123 Main St", "locality": location.name, "country": "US"},
            "timezone": location.timezone,
            "status": "ACTIVE" if location.active else "INACTIVE",
            "created_at": "2016-09-19T17:33:12Z",
            "merchant_id": self._merchant_id,
            **_IN_THE_US,
            "type": "PHYSICAL",
        }

    def vendor_json(self, vendor: Vendor) -> Json:
        """A vendor with one contact."""
        contact = {
            "id": "INV_VC_" + vendor.id[-8:],
            "name": "Joe Burrow",
            "email_address": f"orders@{vendor.id[-6:].lower()}.example",
            "phone_number": "1-212-555-4250",
            "ordinal": 0,
        }
        nulls = {"note": None, "address": None} if int(vendor.id[-4:], 16) % 4 == 1 else {}
        return {
            **nulls,
            "id": vendor.id,
            "created_at": order_text(vendor.created),
            "updated_at": order_text(vendor.updated),
            "name": vendor.name,
            "contacts": [contact],
            "account_number": vendor.id[-7:],
            "version": vendor.version,
            "status": "ACTIVE" if vendor.active else "INACTIVE",
        }
