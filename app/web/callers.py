"""Who sends a request, and whether they may do what it asks."""

from starlette.requests import Request

from app.domain import Principal, Role
from app.web.problems import Problem

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tallyhook"'}


def principal_of(request: Request) -> Principal | None:
    """The caller that was recognised; ``None`` for an unknown one."""
    principal: Principal | None = request.scope.get("principal")
    return principal


def require_role(request: Request, role: Role) -> Principal:
    """The caller, if it has the role; raises ``Problem`` 401 (unknown) or 403 (known, without the role)."""
    principal = principal_of(request)
    if principal is None:
        raise unauthenticated()
    if not principal.role.includes(role):
        raise Problem(403, "forbidden", f"this needs the role {role}; {principal.name} is {principal.role}")
    return principal


def unauthenticated() -> Problem:
    """The answer to an unknown caller."""
    message = "sign in, or send Authorization: Bearer <token>; `tallyhook tokens create` makes one"
    return Problem(401, "unauthenticated", message, headers=CHALLENGE)
