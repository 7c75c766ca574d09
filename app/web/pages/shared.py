"""What pages share: the caller's parts, forms, and refusals shown where they happened."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.domain import Role
from app.errors import NotFound
from app.flows.deps import Deps
from app.rules.filters import FilterError
from app.web.callers import require_role
from app.web.heavy import HeavyReads
from app.web.problems import problem_of
from app.web.render import render

PAGE = 50
LARGEST_ID = 2**63 - 1


class Shown:
    """A page: its template, and what the template sees."""

    def __init__(self, template: str, **context: Any) -> None:
        self.template = template
        self.context = context


Show = Callable[[Deps, Request], Shown]
Act = Callable[[Deps, Request, dict[str, str]], str]
Endpoint = Callable[[Request], Awaitable[Response]]


def showing(deps: Deps, show: Show, role: Role = Role.VIEWER, *, heavy: HeavyReads | None = None) -> Endpoint:
    """An endpoint that shows a page. A page that may read much waits for a turn of the ``heavy`` ones."""

    async def page(request: Request) -> Response:
        def work(given: Deps) -> Shown:
            return show(given, request)

        try:
            mine = replace(deps, principal=require_role(request, role))
            shown = await (run_in_threadpool(work, mine) if heavy is None else heavy.ask(request, mine, work))
        except Exception as error:  # each has a page
            return _wrong(request, error)
        return render(request, shown.template, **shown.context)

    return page


def acting(deps: Deps, act: Act, role: Role = Role.OPERATOR, *, heavy: HeavyReads | None = None) -> Endpoint:
    """An endpoint that a form is posted to: ``act`` carries it out and returns the next page."""

    async def post(request: Request) -> Response:
        def work(given: Deps) -> str:
            return act(given, request, request.scope.get("form", {}))

        try:
            mine = replace(deps, principal=require_role(request, role))
            onward = await (run_in_threadpool(work, mine) if heavy is None else heavy.change(mine, work))
        except Exception as error:  # each has a page
            return _wrong(request, error)
        return RedirectResponse(onward, 303)

    return post


def acting_on(flow: Callable[[Deps, int], object], page: str) -> Act:
    """An action that needs only the number in the path; the next page is the page of that thing."""

    def act(deps: Deps, request: Request, form: dict[str, str]) -> str:
        flow(deps, id_of(request))
        return f"{page}/{id_of(request)}"

    return act


def filter_of(request: Request) -> str:
    """The filter in the address of a page."""
    return request.query_params.get("filter", "")


def before_of(request: Request) -> int | None:
    """The id after which a page continues; nonsense means the beginning."""
    given = request.query_params.get("before", "")
    return int(given) if given.isascii() and given.isdigit() and 0 < len(given) < 19 else None


def id_of(request: Request) -> int:
    """The number in the path; raises ``NotFound`` for a number that no row can have."""
    number = int(request.path_params["id"])
    if not 0 < number <= LARGEST_ID:
        raise NotFound("there is nothing with this number")
    return number


def older(path: str, rows: Sequence[Any], text: str = "", *, by: str = "id") -> str | None:
    """The address of the next page, if this one is full; it begins after the last row by its field ``by``."""
    if len(rows) < PAGE:
        return None
    return f"{path}?{urlencode({'filter': text, 'before': getattr(rows[-1], by)})}"


def _wrong(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    status = 400 if isinstance(error, FilterError) else problem.status
    response = render(request, "wrong.html", status, message=problem.error.message)
    response.headers.update(problem.headers or {})
    return response
