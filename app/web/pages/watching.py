"""Pages about the inbox, gaps, alerts; and for admins the audit log and access."""

from starlette.requests import Request
from starlette.routing import Route

from app.domain import Role
from app.flows.access import accounts, audit
from app.flows.deps import Deps
from app.flows.inbox import inbox, outages
from app.flows.upkeep import alerts
from app.web.heavy import HeavyReads
from app.web.pages.shared import PAGE, Shown, acting, before_of, filter_of, id_of, older, showing

INBOX = "/inbox"


def watching_routes(deps: Deps, heavy: HeavyReads) -> list[Route]:
    """The routes of these pages."""
    return [
        Route(INBOX, showing(deps, _inbox, heavy=heavy), methods=["GET"]),
        Route(INBOX + "/{id:int}", showing(deps, _event, heavy=heavy), methods=["GET"]),
        Route(INBOX + "/{id:int}/replay", acting(deps, _replay), methods=["POST"]),
        Route("/gaps", showing(deps, _gaps), methods=["GET"]),
        Route("/alerts", showing(deps, _alerts), methods=["GET"]),
        Route("/audit", showing(deps, _audit, Role.ADMIN, heavy=heavy), methods=["GET"]),
        Route("/access", showing(deps, _access, Role.ADMIN), methods=["GET"]),
    ]


def _inbox(deps: Deps, request: Request) -> Shown:
    text = filter_of(request)
    rows = inbox.find(deps, text, limit=PAGE, before_id=before_of(request))
    return Shown("inbox.html", filter=text, rows=rows, older=older(INBOX, rows, text))


def _event(deps: Deps, request: Request) -> Shown:
    return Shown("event.html", event=inbox.show(deps, id_of(request)))


def _replay(deps: Deps, request: Request, form: dict[str, str]) -> str:
    return f"/replays/{inbox.replay_event(deps, id_of(request))}"


def _gaps(deps: Deps, request: Request) -> Shown:
    rows = outages.list_outages(deps, limit=PAGE, before_id=before_of(request))
    return Shown("gaps.html", rows=rows, older=older("/gaps", rows))


def _alerts(deps: Deps, request: Request) -> Shown:
    rows = alerts.list_alerts(deps, limit=PAGE, before_id=before_of(request))
    return Shown("alerts.html", rows=rows, older=older("/alerts", rows))


def _audit(deps: Deps, request: Request) -> Shown:
    rows = audit.list_entries(deps, limit=PAGE, before_number=before_of(request))
    return Shown("audit.html", rows=rows, older=older("/audit", rows, by="number"))


def _access(deps: Deps, request: Request) -> Shown:
    return Shown("access.html", tokens=accounts.list_tokens(deps), users=accounts.list_users(deps))
