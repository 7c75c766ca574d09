"""Square's locations and vendors as our records; pure."""

import msgspec

from app.domain import Location, Vendor, to_json
from app.sources.square.catalog_wire import Id, Json, rest, typed
from app.sources.square.times import last_change, version_of


class Place(msgspec.Struct):
    """The fields of a location that we map."""

    id: Id
    name: str | None = None
    status: str | None = None
    currency: str | None = None
    timezone: str | None = None


class Contact(msgspec.Struct):
    """A person at a vendor; ``removed`` ones can still be listed."""

    email_address: str | None = None
    phone_number: str | None = None
    ordinal: int = 0
    removed: bool = False


class Supplier(msgspec.Struct):
    """The fields of a vendor that we map."""

    id: Id
    name: str | None = None
    status: str | None = None
    account_number: str | None = None
    contacts: list[Contact] | None = None
    created_at: str | None = None
    updated_at: str | None = None


_PLACE = frozenset({"id", "name", "status", "currency", "timezone"})
_SUPPLIER = frozenset({"id", "name", "status", "account_number", "updated_at"})


def location(data: Json, read_began: int) -> Location:
    """A location; Square gives it neither version nor time of change, so ``read_began`` (micros) is its version."""
    place = typed(data, Place)
    return Location(
        external_id=place.id,
        name=place.name,
        active=place.status != "INACTIVE",
        currency=place.currency,
        timezone=place.timezone,
        extra=to_json({**rest(data, _PLACE), **_unknown(place.status)}),
        version=read_began,
    )


def vendor(data: Json) -> Vendor:
    """A vendor; mail and telephone are those of the first contact that has one, all contacts are in ``extra``."""
    supplier = typed(data, Supplier)
    contacts = sorted(
        (contact for contact in supplier.contacts or [] if not contact.removed), key=lambda one: one.ordinal
    )
    return Vendor(
        external_id=supplier.id,
        name=supplier.name,
        active=supplier.status != "INACTIVE",
        account_number=supplier.account_number or None,
        email=next((contact.email_address for contact in contacts if contact.email_address), None),
        phone=next((contact.phone_number for contact in contacts if contact.phone_number), None),
        extra=to_json({**rest(data, _SUPPLIER), **_unknown(supplier.status)}),
        version=version_of(supplier.updated_at, supplier.created_at),
        modified_at=last_change(supplier.updated_at, supplier.created_at),
    )


def _unknown(status: str | None) -> Json:
    """A status that ``active`` does not say stays visible."""
    return {} if status in (None, "", "ACTIVE", "INACTIVE") else {"status": status}
