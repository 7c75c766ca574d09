"""Operations about one connection's held batches: look at them, and decide."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.errors import NotFound
from app.flows.deps import Deps
from app.flows.holds import holds
from app.flows.holds.holds import HoldView
from app.web.api.operation import SYNC, Operations
from app.web.api.pages import given
from app.web.api.params import Moment, Params
from app.web.api.spelling import camel, camel_rows

HOLD = SYNC + "/holds/{id}"

HoldId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="a hold's number")]


class OfHold(Params, frozen=True, kw_only=True):
    """One hold."""

    id: HoldId


class Release(Params, frozen=True, kw_only=True):
    """Until when similar batches are accepted; without it only this one."""

    believe_until: Moment | UnsetType = UNSET


class Holds(msgspec.Struct, frozen=True):
    """The holds that wait, oldest first."""

    holds: list[dict[str, Any]]


operations = Operations()


@operations.get(SYNC + "/holds", "each with the rules that held it")
def list_holds(deps: Deps, connection: str, params: Params) -> Holds:
    """Batches that wait for a person."""
    return Holds(camel_rows(holds.list_(deps, connection)))


@operations.get(HOLD, "rules, figures and sample rows")
def show_hold(deps: Deps, connection: str, params: OfHold) -> dict[str, Any]:
    """Show a held batch."""
    return camel(_of(deps, connection, params))


@operations.post(
    HOLD + "/release",
    "exactly its rows are written, except those for which something newer was written since",
    errors=(409,),
)
def release_hold(deps: Deps, connection: str, path_params: OfHold, params: Release) -> dict[str, Any]:
    """Write the rows of a held batch."""
    _of(deps, connection, path_params)
    return camel(holds.release(deps, path_params.id, believed_until=given(params.believe_until)))


@operations.post(HOLD + "/dismiss", "our rows stay; a later implausible read is held again", errors=(409, 422))
def dismiss_hold(deps: Deps, connection: str, params: OfHold) -> dict[str, Any]:
    """Dismiss a held batch."""
    _of(deps, connection, params)
    return camel(holds.dismiss(deps, params.id))


def _of(deps: Deps, connection: str, params: OfHold) -> HoldView:
    """The hold; raises ``NotFound`` when the connection has no hold of this number."""
    hold = holds.show(deps, params.id)
    if hold.connection != connection:
        raise NotFound(f"{connection} has no hold {params.id}", "hold")
    return hold
