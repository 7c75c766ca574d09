"""Operations about one connection's held batches: look at them, and decide."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.errors import NotFound
from app.flows.deps import Deps
from app.flows.holds import holds
from app.flows.holds.holds import HoldView
from app.web.api.operation import SYNC, Operation
from app.web.api.params import Moment, Params
from app.web.api.spelling import camel

HoldId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="a hold's number")]


class OfHold(Params, frozen=True, kw_only=True):
    """One hold."""

    id: HoldId


class Release(Params, frozen=True, kw_only=True):
    """Until when similar batches are believed; without it only this one."""

    believe_until: Moment | UnsetType = UNSET


class Holds(msgspec.Struct, frozen=True):
    """The holds that wait, oldest first."""

    holds: list[dict[str, Any]]


def list_holds(deps: Deps, connection: str, params: Params) -> Holds:
    """The batches that wait for a person."""
    return Holds([_camel(hold) for hold in holds.list_(deps, connection)])


def show_hold(deps: Deps, connection: str, params: OfHold) -> dict[str, Any]:
    """The rules that held it, and some of its rows, before and after."""
    return _camel(_of(deps, connection, params))


def release_hold(deps: Deps, connection: str, path_params: OfHold, params: Release) -> dict[str, Any]:
    """Write exactly the rows of the hold."""
    _of(deps, connection, path_params)
    until = None if params.believe_until is UNSET else params.believe_until
    return _camel(holds.release(deps, path_params.id, believed_until=until))


def dismiss_hold(deps: Deps, connection: str, params: OfHold) -> dict[str, Any]:
    """Keep our rows."""
    _of(deps, connection, params)
    return _camel(holds.dismiss(deps, params.id))


def _of(deps: Deps, connection: str, params: OfHold) -> HoldView:
    """The hold; raises ``NotFound`` when the connection has no hold of this number."""
    hold = holds.show(deps, params.id)
    if hold.connection != connection:
        raise NotFound(f"{connection} has no hold {params.id}", "hold")
    return hold


def _camel(hold: msgspec.Struct) -> dict[str, Any]:
    spelled: dict[str, Any] = camel(msgspec.to_builtins(hold))
    return spelled


HOLD = SYNC + "/holds/{id}"

OPERATIONS = (
    Operation(
        "GET", SYNC + "/holds", list_holds, "Batches that wait for a person", "each with the rules that held it"
    ),
    Operation("GET", HOLD, show_hold, "Show a held batch", "rules, figures and sample rows"),
    Operation(
        "POST",
        HOLD + "/release",
        release_hold,
        "Write the rows of a held batch",
        "exactly its rows are written, except those for which something newer was written since",
        errors=(409,),
    ),
    Operation(
        "POST",
        HOLD + "/dismiss",
        dismiss_hold,
        "Dismiss a held batch",
        "our rows stay; a later implausible read is held again",
        errors=(409, 422),
    ),
)
