"""Operations that answer questions about dead letters."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from app.flows.deps import Deps
from app.flows.letters import letters
from app.flows.letters.letters import LetterView, Totals
from app.web.api.operation import Operations
from app.web.api.params import Most, Page, Params
from app.web.api.responses import Answer, Next, Row, given, one_more, page

LETTERS = "/api/dead-letters"
LETTER = LETTERS + "/{id:int}"

Filter = Annotated[
    str,
    Meta(
        max_length=2000,
        description="terms like connection:acme cause:RateLimited item:SKU-1 since:2h state:dead; all must hold",
        examples=["cause:RateLimited since:2h"],
    ),
]
LetterId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="a letter's number")]


class LetterPage(Page, frozen=True):
    """A page of letters; a filter without a state means those that wait for a person."""

    filter: Filter = ""


class LetterGroups(Params, frozen=True, kw_only=True):
    """Groups of letters."""

    by: Annotated[str, Meta(pattern="^(cause|item)$")] = "cause"
    filter: Filter = ""
    limit: Most = 50


class Letters(Answer, frozen=True):
    """A page of letters, the latest dead first."""

    totals: Totals
    rows: Sequence[Row]
    next: Next | None


class Groups(Answer, frozen=True):
    """Groups, the largest first."""

    totals: Totals
    rows: Sequence[Row]


operations = Operations()


@operations.get(LETTERS, "a page, and totals", heavy=True)
def list_letters(deps: Deps, params: LetterPage) -> Letters:
    """Dead letters that a filter matches."""
    before = given(params.before_id)
    matches = letters.find(deps, params.filter, limit=one_more(params.limit), before_id=before)
    rows, following = page(LETTERS, params, matches.rows)
    return Letters(matches.totals, rows, following)


@operations.get(LETTERS + "/groups", "groups, the largest first", heavy=True)
def group_letters(deps: Deps, params: LetterGroups) -> Groups:
    """Dead letters by cause or by item."""
    group = letters.groups_by_cause if params.by == "cause" else letters.groups_by_item
    groups = group(deps, params.filter, limit=params.limit)
    return Groups(groups.totals, groups.rows)


@operations.get(LETTER, "the letter with its attempts, and the outcomes of its item since")
def show_letter(deps: Deps, id: LetterId) -> LetterView:
    """Everything about one dead letter."""
    return letters.show(deps, id)
