"""Operations for admins: tokens, users, the audit log."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from app.domain import Role
from app.flows.access import accounts, audit
from app.flows.deps import Deps
from app.web.api.operation import Operations
from app.web.api.params import Most, Params, RowId, Text
from app.web.api.responses import Answer, Row, Rows, given, one_more, rows_page

TOKENS = "/api/access/tokens"

Label = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@+-]*$")]
TokenId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="a token's number")]
Scope = Annotated[list[Text], Meta(description="only these connections; null means all", max_length=100)]


class NewToken(Params, frozen=True, kw_only=True):
    """A new token; ``days`` until it expires, null for never."""

    name: Label
    role: Role = Role.VIEWER
    connections: Scope | None = None
    days: Annotated[int, Meta(ge=1, le=3650)] | None = accounts.DAYS


class AuditPage(Params, frozen=True, kw_only=True):
    """A page of entries; ``action`` is an action, or how several begin."""

    action: Text | UnsetType = UNSET
    limit: Most = 50
    before_number: RowId | UnsetType = UNSET


class Issued(Answer, frozen=True):
    """A new token; its secret is shown only here."""

    id: int
    token: str


class Listed(Answer, frozen=True):
    """Everything there is."""

    rows: Sequence[Row]


operations = Operations()


@operations.get(TOKENS, "without their secrets", role=Role.ADMIN)
def list_tokens(deps: Deps) -> Listed:
    """Every token."""
    return Listed(accounts.list_tokens(deps))


@operations.post(TOKENS, "the token; its secret is shown only here", role=Role.ADMIN, status=201)
def create_token(deps: Deps, params: NewToken) -> Issued:
    """Create a token; only this answer shows its secret."""
    made = accounts.create_token(deps, params.name, params.role, connections=params.connections, days=params.days)
    return Issued(*made)


@operations.post(
    TOKENS + "/{id:int}/revoke", "it stops working within two seconds", role=Role.ADMIN, errors=(409, 422)
)
def revoke_token(deps: Deps, id: TokenId) -> Listed:
    """Revoke a token; within seconds it opens nothing any more."""
    accounts.revoke_token(deps, id)
    return Listed([token for token in accounts.list_tokens(deps) if token.id == id])


@operations.get("/api/access/users", "by name", role=Role.ADMIN)
def list_users(deps: Deps) -> Listed:
    """Every user."""
    return Listed(accounts.list_users(deps))


@operations.get("/api/audit", "newest first", role=Role.ADMIN, heavy=True)
def list_audit(deps: Deps, params: AuditPage) -> Rows:
    """The audit log."""
    before, action = given(params.before_number), given(params.action)
    entries = audit.list_entries(deps, limit=one_more(params.limit), before_number=before, action=action)
    return rows_page("/api/audit", params, entries, after="beforeNumber", by="number")
