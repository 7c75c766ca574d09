"""Operations about one connection's held batches: look at them, and decide."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from app.errors import NotFound
from app.flows.deps import Deps
from app.flows.holds import holds
from app.flows.holds.holds import HoldView
from app.web.api.operation import SYNC, Operations
from app.web.api.params import Moment, Params
from app.web.api.responses import Answer, Row, given

HOLD = SYNC + "/holds/{id}"

HoldId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="a hold's number")]


class Release(Params, frozen=True, kw_only=True):
    """Until when similar batches are accepted; without it only this one."""

    believe_until: Moment | UnsetType = UNSET


class Holds(Answer, frozen=True):
    """The holds that wait, oldest first."""

    holds: Sequence[Row]


operations = Operations()


@operations.get(SYNC + "/holds", "each with the rules that held it")
def list_holds(deps: Deps, connection: str) -> Holds:
    """Batches that wait for a person."""
    return Holds(holds.list_(deps, connection))


@operations.get(HOLD, "rules, figures and sample rows")
def show_hold(deps: Deps, connection: str, id: HoldId) -> HoldView:
    """Show a held batch."""
    return _of(deps, connection, id)


@operations.post(
    HOLD + "/release",
    "exactly its rows are written, except those for which something newer was written since",
    errors=(409,),
)
def release_hold(deps: Deps, connection: str, id: HoldId, params: Release) -> HoldView:
    """Write the rows of a held batch."""
    _of(deps, connection, id)
    return holds.release(deps, id, believed_until=given(params.believe_until))


@operations.post(HOLD + "/dismiss", "our rows stay; a later implausible read is held again", errors=(409, 422))
def dismiss_hold(deps: Deps, connection: str, id: HoldId) -> HoldView:
    """Dismiss a held batch."""
    _of(deps, connection, id)
    return holds.dismiss(deps, id)


def _of(deps: Deps, connection: str, id: int) -> HoldView:
    """The hold; raises ``NotFound`` when the connection has no hold of this number."""
    hold = holds.show(deps, id)
    if hold.connection != connection:
        raise NotFound(f"{connection} has no hold {id}", "hold")
    return hold
