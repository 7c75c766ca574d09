"""The simulated calls for locations, vendors and the merchant."""

from functools import partial
from operator import attrgetter

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.simulating.answers import Json, json_response
from app.sources.square.simulator.answers import invalid, not_found, reply
from app.sources.square.simulator.pages import from_place
from app.sources.square.simulator.places import Vendor
from app.sources.square.simulator.request_catalog import Sort
from app.sources.square.simulator.request_orders import VendorBatch, VendorFilter, VendorSearch
from app.sources.square.simulator.strict import parameters, request_body, whole
from app.sources.square.simulator.world import World

VENDOR_ROWS = 100


class PlacesApi:
    """/v2/locations, /v2/vendors and /v2/merchants."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._places = world.places
        self.routes = [
            Route("/v2/locations", self.locations),
            Route("/v2/locations/{location_id}", self.location),
            Route("/v2/vendors/search", self.vendors, methods=["POST"]),
            Route("/v2/vendors/bulk-retrieve", self.bulk_vendors, methods=["POST"]),
            Route("/v2/vendors/{vendor_id}", self.vendor),
            Route("/v2/merchants", self.merchants),
            Route("/v2/merchants/{merchant_id}", self.merchant),
        ]

    async def locations(self, request: Request) -> Response:
        """All locations by name, including inactive ones, without pages."""
        parameters(request)
        ordered = sorted(self._places.locations, key=lambda one: one.name)
        return reply(locations=[self._places.location_json(one) for one in ordered])

    async def location(self, request: Request) -> Response:
        """One location; ``main`` is the first."""
        parameters(request)
        wanted = request.path_params["location_id"]
        for place in self._places.locations:
            if wanted in (place.id, "main"):
                return reply(location=self._places.location_json(place))
        raise not_found(f"Could not find location with id {wanted}")

    async def vendors(self, request: Request) -> Response:
        """Vendors, filtered by name and status only; in order of creation unless sorted by name."""
        body, wanted = await request_body(request, VendorSearch)
        filter_, sort = wanted.filter or VendorFilter(), wanted.sort or Sort()
        key = "name" if sort.field == "NAME" else "created"
        ordered = sorted(self._places.vendors, key=attrgetter(key, "id"), reverse=sort.order == "DESC")
        shown = [self._places.vendor_json(one) for one in ordered if _fits(one, filter_)]
        rows, cursor = self._world.pages.page("vendors", body, partial(from_place, shown), VENDOR_ROWS)
        return reply(vendors=rows, cursor=cursor)

    async def bulk_vendors(self, request: Request) -> Response:
        """An own answer for each id, inside a 200."""
        _, wanted = await request_body(request, VendorBatch)
        return json_response({"responses": {one: self._vendor(one) for one in wanted.vendor_ids or []}})

    async def vendor(self, request: Request) -> Response:
        """One vendor."""
        parameters(request)
        body = self._vendor(request.path_params["vendor_id"])
        return json_response(body, 404 if "errors" in body else 200)

    def _vendor(self, vendor_id: str) -> Json:
        for vendor in self._places.vendors:
            if vendor.id == vendor_id:
                return {"vendor": self._places.vendor_json(vendor)}
        return not_found(f"Vendor with id {vendor_id} not found.").body

    async def merchants(self, request: Request) -> Response:
        """The one merchant of the token, so that no cursor leads further."""
        if whole(parameters(request, "cursor"), "cursor"):
            raise invalid("The cursor is unknown or has expired.", "INVALID_CURSOR", "cursor")
        return reply(merchant=[self._places.merchant_json()])

    async def merchant(self, request: Request) -> Response:
        """The merchant, also as ``me``."""
        parameters(request)
        if request.path_params["merchant_id"] not in ("me", self._world.options.merchant_id):
            raise not_found("Merchant not found.")
        return reply(merchant=self._places.merchant_json())


def _fits(vendor: Vendor, filter_: VendorFilter) -> bool:
    status = "ACTIVE" if vendor.active else "INACTIVE"
    return (not filter_.name or vendor.name in filter_.name) and (not filter_.status or status in filter_.status)
