"""Pages about held batches: the list of those that wait, and one of them with the decision."""

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.routing import Route

from app.errors import InvalidRequest
from app.flows.deps import Deps
from app.flows.holds import holds
from app.web.pages.shared import Shown, acting, acting_on, id_of, showing

HOLDS = "/holds"


def hold_routes(deps: Deps) -> list[Route]:
    """The routes of these pages."""
    return [
        Route(HOLDS, showing(deps, _list), methods=["GET"]),
        Route(HOLDS + "/{id:int}", showing(deps, _show), methods=["GET"]),
        Route(HOLDS + "/{id:int}/release", acting(deps, acting_on(holds.release, HOLDS)), methods=["POST"]),
        Route(HOLDS + "/{id:int}/meant", acting(deps, _meant), methods=["POST"]),
        Route(HOLDS + "/{id:int}/dismiss", acting(deps, acting_on(holds.dismiss, HOLDS)), methods=["POST"]),
    ]


def _list(deps: Deps, request: Request) -> Shown:
    return Shown("holds.html", rows=holds.list_(deps))


def _show(deps: Deps, request: Request) -> Shown:
    tomorrow = (deps.now() + timedelta(days=1)).date()
    return Shown("hold.html", hold=holds.show(deps, id_of(request)), tomorrow=tomorrow.isoformat())


def _meant(deps: Deps, request: Request, form: dict[str, str]) -> str:
    try:
        until = datetime.strptime(form.get("until", ""), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidRequest("the day until which similar batches are believed must be like 2026-11-28") from None
    holds.release(deps, id_of(request), believed_until=until)
    return f"{HOLDS}/{id_of(request)}"
