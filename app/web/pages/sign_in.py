"""Coming in and going out: ``/login`` and ``/logout``."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from app.flows import sign_in
from app.flows.access import PREFIX
from app.flows.deps import Deps
from app.flows.sign_in import LONGEST_SESSION, SignedIn
from app.web.gate import Doors, address_of
from app.web.render import render

FIRST = "/dead-letters"
"""Where one comes in."""

REFUSED = (
    "That did not open the door: the name or the password is wrong, or the token is. After five wrong passwords a name"
    " has to wait, a minute first, then longer."
)


def sign_in_routes(deps: Deps, doors: Doors | None) -> list[Route]:
    """Both; without ``doors`` everybody is in already."""

    async def form(request: Request) -> Response:
        return render(request, "sign_in.html", next=_local(request.query_params.get("next", "")), refused=None)

    async def enter(request: Request) -> Response:
        given = request.scope.get("form", {})
        back = _local(given.get("next", ""))
        session = await run_in_threadpool(_sign_in, deps, given, address_of(request.scope))
        if session is None:
            return render(request, "sign_in.html", 401, next=back, refused=REFUSED)
        response = RedirectResponse(back or FIRST, 303)
        if doors is not None:
            response.set_cookie(
                doors.cookie,
                session.cookie,
                max_age=int(LONGEST_SESSION.total_seconds()),
                path="/",
                secure=doors.https,
                httponly=True,
                samesite="strict",
            )
        return response

    async def leave(request: Request) -> Response:
        cookie = request.scope.get("cookie")
        response = RedirectResponse("/login", 303)
        if cookie and doors is not None:
            await run_in_threadpool(sign_in.sign_out, deps, cookie)
            response.delete_cookie(doors.cookie, path="/", secure=doors.https, httponly=True, samesite="strict")
        return response

    return [
        Route("/login", form, methods=["GET"]),
        Route("/login", enter, methods=["POST"]),
        Route("/logout", leave, methods=["POST"]),
    ]


def _sign_in(deps: Deps, given: dict[str, str], origin: str) -> SignedIn | None:
    """By password; a token may stand in its place, with or without a name."""
    secret = given.get("password", "")
    if secret.startswith(PREFIX):
        return sign_in.with_token(deps, secret.strip(), origin)
    return sign_in.with_password(deps, given.get("name", ""), secret, origin)


def _local(path: str) -> str:
    """A path of this host, or nothing: nobody is sent elsewhere after signing in."""
    local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if local else ""
