"""The pages for people, rendered on the server; every change is a form that leads back to a page."""

from starlette.routing import Route

from app.flows.deps import Deps
from app.web.auth import AuthSettings
from app.web.heavy import HeavyReads
from app.web.pages.holds import hold_routes
from app.web.pages.letters import letter_routes
from app.web.pages.sign_in import sign_in_routes
from app.web.pages.watching import watching_routes


def page_routes(deps: Deps, auth: AuthSettings | None, heavy: HeavyReads) -> list[Route]:
    """Every page."""
    return [
        *sign_in_routes(deps, auth),
        *letter_routes(deps, heavy),
        *hold_routes(deps),
        *watching_routes(deps, heavy),
    ]
