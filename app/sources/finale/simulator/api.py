"""The account's entry points: credentials, limits and faults before lists, records, GraphQL, reports and the old
login."""

import asyncio
import base64
import hmac
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.finale.simulator import graphql, reports
from app.sources.finale.simulator.account import Account
from app.sources.finale.simulator.answers import json_answer, login_page, not_found, refused, spoiled, wrong_method
from app.sources.finale.simulator.api_rest import COLLECTIONS, PATHS, SESSION, Rest
from app.sources.finale.simulator.strict import (
    BadRequest,
    Illegal,
    NotFound,
    WrongMethod,
    login_in,
    object_in,
    only_methods,
    parameters,
)
from app.sources.simulating.settings import is_due

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_Handler = Callable[[Request], Awaitable[Response]]


class Api:
    """Answers for one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._base = f"/{account.options.account}"

    def routes(self) -> list[Route]:
        """Everything below the account's path; any other path is a 404 in Finale's form."""
        rest = Rest(self._account, self._base)
        answers: dict[str, _Handler] = {
            f"{self._base}/api/auth": self._login,
            f"{self._base}/api/graphql": self._guarded(self._graphql),
            f"{self._base}/doc/report/pivotTable/{{rest:path}}": self._guarded(self._report, login_page),
            f"{self._base}/api/{{rest:path}}": self._guarded(rest.answer),
            "/{rest:path}": self._nowhere,
        }
        return [Route(path, self._explained(answer), methods=_METHODS) for path, answer in answers.items()]

    def _explained(self, handler: _Handler) -> _Handler:
        """A handler whose refusals become Finale's answers."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except BadRequest as error:
                return refused(400, str(error))
            except Illegal as error:
                return refused(403, str(error))
            except NotFound:
                return not_found(request.url.path)
            except WrongMethod as error:
                return wrong_method(error.allowed)

        return answer

    def _guarded(self, handler: _Handler, unknown: Callable[[], Response] | None = None) -> _Handler:
        """An endpoint behind credentials, limits, latency and faults; ``unknown`` answers wrong credentials."""
        explained = self._explained(handler)

        async def answer(request: Request) -> Response:
            options, limits = self._account.options, self._account.limits
            self._account.requests[f"{request.method} {request.url.path}"] += 1
            if options.latency:
                await asyncio.sleep(options.latency)
            if not self._is_known(request):
                return unknown() if unknown else refused(401, "Unauthorized")
            if options.forbidden and request.url.path.startswith(f"{self._base}/api/{PATHS[options.forbidden]}"):
                return refused(403, "You do not have permission to do this")
            headers = limits.take(request.method, is_list=self._is_list(request))
            if headers is None and is_due(options, "next_429"):
                headers = limits.refuse()
            if headers is not None:
                return Response("Too Many Requests", 429, headers)
            answer = await spoiled(await explained(request), options)
            answer.headers.update(limits.usual())
            return answer

        return answer

    def _is_known(self, request: Request) -> bool:
        options = self._account.options
        if options.expired_token:
            return False
        if options.legacy_cookie:
            return request.cookies.get("JSESSIONID") == SESSION
        given = request.headers.get("authorization", "")
        wanted = base64.b64encode(f"{options.api_key}:{options.api_secret}".encode()).decode()
        return hmac.compare_digest(given.encode(), f"Basic {wanted}".encode())

    def _is_list(self, request: Request) -> bool:
        return request.method == "GET" and request.path_params.get("rest", "").rstrip("/") in COLLECTIONS

    async def _nowhere(self, request: Request) -> Response:
        return not_found(request.url.path)

    async def _login(self, request: Request) -> Response:
        """The old login: accepts any name and password, sets a cookie, and returns the addresses of the collections
        in the two spellings of its two documents."""
        only_methods(request, "POST")
        parameters(request)
        if not self._account.options.legacy_cookie:
            return refused(401, "Unauthorized")
        await login_in(request)
        spelled = {f"resource{name.title()}{end}": name for name in COLLECTIONS for end in ("", "Url")}
        answer = json_answer({"name": "test", **{key: f"{self._base}/api/{name}/" for key, name in spelled.items()}})
        answer.set_cookie("JSESSIONID", SESSION)
        return answer

    async def _graphql(self, request: Request) -> Response:
        only_methods(request, "POST")
        parameters(request)
        return json_answer(graphql.answer(self._account.world, self._account.options, await object_in(request)))

    async def _report(self, request: Request) -> Response:
        only_methods(request, "GET")
        if not request.url.path.endswith(".json"):
            raise NotFound
        return json_answer(reports.rows(self._account.world, parameters(request, *reports.PARAMETERS)))
