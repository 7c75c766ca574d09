"""Operations for admins: tokens, users, the audit log."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict

from app.domain import Role
from app.flows.access import accounts, audit
from app.flows.deps import Deps
from app.web.api.operation import Operation
from app.web.api.pages import one_more, page
from app.web.api.params import Most, Params, RowId, Text
from app.web.api.responses import Row, Rows
from app.web.api.spelling import camel

Label = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@+-]*$")]
Scope = Annotated[list[Text], Meta(description="only these connections; null means all", max_length=100)]


class NewToken(Params, frozen=True, kw_only=True):
    """A new token; ``days`` until it expires, null for never."""

    name: Label
    role: Role = Role.VIEWER
    connections: Scope | None = None
    days: Annotated[int, Meta(ge=1, le=3650)] | None = accounts.DAYS


class OfToken(Params, frozen=True, kw_only=True):
    """One token."""

    id: Annotated[int, Meta(ge=1, le=2**63 - 1, description="a token's number")]


class AuditPage(Params, frozen=True, kw_only=True):
    """A page of entries; ``action`` is an action, or how several begin."""

    action: Text | UnsetType = UNSET
    limit: Most = 50
    before_number: RowId | UnsetType = UNSET


class Issued(msgspec.Struct, frozen=True):
    """A new token; its secret is shown only here."""

    id: int
    token: str


class Listed(msgspec.Struct, frozen=True):
    """Everything there is."""

    rows: list[Row]


def create_token(deps: Deps, params: NewToken) -> Issued:
    """Create a token; only this answer shows its secret."""
    made = accounts.create_token(deps, params.name, params.role, connections=params.connections, days=params.days)
    return Issued(*made)


def list_tokens(deps: Deps, params: Params) -> Listed:
    """Every token, without its secret."""
    return Listed([camel(asdict(token)) for token in accounts.list_tokens(deps)])


def revoke_token(deps: Deps, params: OfToken) -> Listed:
    """Revoke a token; within seconds it opens nothing any more."""
    accounts.revoke_token(deps, params.id)
    return Listed([camel(asdict(token)) for token in accounts.list_tokens(deps) if token.id == params.id])


def list_users(deps: Deps, params: Params) -> Listed:
    """Every user."""
    return Listed([camel(asdict(user)) for user in accounts.list_users(deps)])


def list_audit(deps: Deps, params: AuditPage) -> Rows:
    """The audit log, newest first."""
    before = None if params.before_number is UNSET else params.before_number
    action = None if params.action is UNSET else params.action
    entries = audit.list_entries(deps, limit=one_more(params.limit), before_number=before, action=action)
    rows, following = page("/api/audit", params, [asdict(entry) for entry in entries], _before_last)
    return Rows(camel(rows), following)


def _before_last(rows: Any) -> dict[str, Any]:
    return {"beforeNumber": rows[-1]["number"]}


TOKENS = "/api/access/tokens"


def _for_admins(
    method: str, path: str, call: Callable[..., Any], summary: str, description: str, **more: Any
) -> Operation:
    return Operation(method, path, call, summary, description, role=Role.ADMIN, **more)


OPERATIONS = (
    _for_admins("GET", TOKENS, list_tokens, "Every token", "without their secrets"),
    _for_admins(
        "POST", TOKENS, create_token, "Create a token", "the token; its secret is shown only here", status=201
    ),
    _for_admins(
        "POST",
        TOKENS + "/{id:int}/revoke",
        revoke_token,
        "Revoke a token",
        "it stops working within two seconds",
        errors=(409, 422),
    ),
    _for_admins("GET", "/api/access/users", list_users, "Every user", "by name"),
    _for_admins("GET", "/api/audit", list_audit, "The audit log", "newest first", heavy=True),
)
