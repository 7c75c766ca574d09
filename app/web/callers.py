"""Who sends a request, and whether they may do what it asks."""

from __future__ import annotations

from starlette.requests import Request

from app.domain import Role, Who
from app.web.problems import Problem

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tallyhook"'}


def principal_of(request: Request) -> Who | None:
    """The caller that was recognised; ``None`` for an unknown one."""
    who: Who | None = request.scope.get("who")
    return who


def require_role(request: Request, role: Role) -> Who:
    """The caller, if it has the role; raises ``Problem`` 401 (unknown) or 403 (known, without the role)."""
    who = principal_of(request)
    if who is None:
        message = "sign in, or send Authorization: Bearer <token>; `tallyhook tokens create` makes one"
        raise Problem(401, "unauthenticated", message, headers=CHALLENGE)
    if not who.role.includes(role):
        raise Problem(403, "forbidden", f"this needs the role {role}; {who.name} is {who.role}")
    return who
