"""The guard's rules for stock: units do not vanish unless an order, a move or the end of a product explains it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import sqrt

from app.rules.guard.findings import Finding, Trait, first_of, is_many
from app.rules.guard.usual import NOTHING_KNOWN, unusual

ZERO_SHARE, ZERO_CHANCE = 0.20, 0.6
"""Too many rows fall to zero unexplained: more than 0.2 + 0.6/sqrt(N) of N rows; chance is larger in a small shop."""

UNITS_SHARE, UNITS_CHANCE = 0.20, 0.3
"""Too many units fall to zero unexplained: more than 0.2 + 0.3/sqrt(N) of those in N rows."""

FALL_FROM, FALL_SHARE, FALL_CHANCE = 8, 0.10, 0.6
"""Counts of at least 8 do not sell out over night in more than 0.1 + 0.6/sqrt(N) of N rows."""

LEFT_FROM, LEFT_SHARE = 5, 0.01
"""A complete read is short if it leaves out this many units of at least 3 products and a hundredth of the rows. Products
that sell out without an order had mostly only a few units left."""

PLACE_SHARE, PLACE_CHANCE = 0.40, 0.6
"""Too many counts on hand at one place fall to zero unexplained: more than 0.4 + 0.6/sqrt(N) of N counts."""

TENS_SHARE, TENS_OF_ALL = 0.60, 0.05
"""The share of changed counts that moved by an exact power of ten; and their share of all counts."""

STEP_SHARE = 0.85
"""The share of all counts that move by the same number."""

UNKNOWN_SHARE = 0.20
"""The share of counts of unknown products, while ours fall to zero."""

ZEROS_SHOWN = 0.8
"""A source that shows this share of our zeros shows all of them: what it leaves out is not sold out."""


@dataclass
class StockEvidence:
    """What a batch would do to the ``total`` counts above zero with their ``units``. A count that falls to zero is counted
    only if nothing explains it: no units of the product elsewhere, no order, no end of the product or the place.
    Of these counts the read leaves out ``omitted`` with ``omitted_units`` (``omitted_falls`` were full); of
    ``omitted_products`` at least ``LEFT_FROM`` units each. The read has shown ``zeros_shown`` of our ``zeros``. We fetched
    ``strangers_asked`` of the products that we do not hold; ``strangers`` do not exist at the source either."""

    total: int
    units: float = 0.0
    read: int | None = None
    zeros: int = 0
    zeros_shown: int = 0
    omitted: int = 0
    omitted_units: float = 0.0
    omitted_falls: int = 0
    omitted_products: int = 0
    touched: int = 0
    zeroed: int = 0
    zeroed_units: float = 0.0
    falls: int = 0
    changed: int = 0
    tens: int = 0
    all_zeroed: int = 0
    unknown_places: int = 0
    unknown_products: int = 0
    strangers_asked: int = 0
    strangers: int = 0
    held_products: int = 0
    account_held: bool = False
    places: Counter[str] = field(default_factory=Counter)
    zeroed_at: Counter[str] = field(default_factory=Counter)
    steps: Counter[float] = field(default_factory=Counter)


def stock_findings(
    evidence: StockEvidence, *, first: bool = False, usual: Mapping[str, int] = NOTHING_KNOWN
) -> list[Finding]:
    """The findings of a batch; ``first``: the kind was never read before, so only losses count. ``usual`` is how many rows a
    day usually brings, by measure."""
    if not evidence.total:
        return []
    rules = _LOSSES if first else _LOSSES + _CHANGES
    return first_of(unusual((rule(evidence) for rule in rules), usual))


def nothing_read(seen: StockEvidence) -> Finding | None:
    """A complete read of nothing while we hold counts."""
    if seen.read != 0 or not seen.all_zeroed:
        return None
    return Finding("nothing read", _would_zero(seen.all_zeroed, seen), Trait.ANY, {"rows": seen.all_zeroed})


def zeroed_rows(seen: StockEvidence) -> Finding | None:
    """Too many counts fall to zero."""
    if not is_many(seen.zeroed, seen.total, ZERO_SHARE + ZERO_CHANCE / sqrt(seen.total)):
        return None
    return Finding("zeroed", _would_zero(seen.zeroed, seen), Trait.ZEROED, {"rows": seen.zeroed}, "zeroed")


def zeroed_units(seen: StockEvidence) -> Finding | None:
    """Too many units fall to zero."""
    if seen.zeroed < 3 or seen.zeroed_units <= (UNITS_SHARE + UNITS_CHANCE / sqrt(seen.total)) * seen.units:
        return None
    reason = f"would zero {seen.zeroed_units:g} of {seen.units:g} units in {seen.zeroed} rows"
    return Finding("zeroed units", reason, Trait.ZEROED, {"rows": seen.zeroed, "units": seen.zeroed_units}, "zeroed")


def full_shelves(seen: StockEvidence) -> Finding | None:
    """Too many full counts fall to zero."""
    if not is_many(seen.falls, seen.total, FALL_SHARE + FALL_CHANCE / sqrt(seen.total)):
        return None
    reason = f"would zero {seen.falls} of {seen.total} counts from {FALL_FROM} or more"
    return Finding("full shelves", reason, Trait.ZEROED, {"rows": seen.falls}, "full shelves")


def empty_place(seen: StockEvidence) -> Finding | None:
    """One place loses most of its counts."""
    for place, rows in seen.zeroed_at.most_common():
        total = seen.places[place]
        if is_many(rows, total, PLACE_SHARE + PLACE_CHANCE / sqrt(max(1, total))):
            reason = f"would zero {rows} of {total} counts at place {place}"
            return Finding("empty place", reason, Trait.ZEROED, {"rows": rows})
    return None


def powers_of_ten(seen: StockEvidence) -> Finding | None:
    """Many decimal points moved."""
    if not (is_many(seen.tens, seen.changed, TENS_SHARE) and seen.tens > TENS_OF_ALL * seen.total):
        return None
    reason = f"would multiply or divide {seen.tens} of {seen.total} counts by a power of ten"
    return Finding("powers of ten", reason, Trait.COUNTED, {"rows": seen.tens}, "changed")


def same_step(seen: StockEvidence) -> Finding | None:
    """Nearly all counts move by the same number."""
    (step, rows), *_ = seen.steps.most_common(1) or [(0.0, 0)]
    if not is_many(rows, seen.total, STEP_SHARE):
        return None
    reason = f"would move {rows} of {seen.total} counts by {step:+g}"
    return Finding("same step", reason, Trait.ANY, {"rows": rows, "step": step})


def unknown_places(seen: StockEvidence) -> Finding | None:
    """Counts at places that we do not hold."""
    if seen.unknown_places < 3:
        return None
    reason = f"shows {seen.unknown_places} counts at places that do not exist here"
    return Finding("unknown places", reason, Trait.ANY, {"rows": seen.unknown_places})


def unknown_products(seen: StockEvidence) -> Finding | None:
    """The read shows counts of products that we do not have, in place of ours."""
    if is_many(seen.strangers, seen.strangers_asked, 0.5):
        reason = f"shows {seen.unknown_products} counts of products that do not exist"
        return Finding("strangers", reason, Trait.UNKNOWN_PRODUCT, {"rows": seen.unknown_products})
    both = min(seen.unknown_products, seen.all_zeroed)
    if not is_many(both, seen.total, UNKNOWN_SHARE):
        return None
    reason = (
        f"shows {seen.unknown_products} counts of products that are not stored here, and would zero {seen.all_zeroed}"
    )
    return Finding("account", reason, Trait.ANY, {"rows": both})


def omitted(seen: StockEvidence) -> Finding | None:
    """Counts that are left out by a source that lists even what is zero."""
    if not seen.omitted or seen.zeros_shown < max(1, ZEROS_SHOWN * seen.zeros):
        return None
    reason = (
        f"the list is incomplete: {seen.omitted} of {seen.total} counts are left out, though it shows what is zero"
    )
    return Finding("incomplete", reason, Trait.VANISHED, {"rows": seen.omitted, "zeros shown": seen.zeros_shown})


def left_out(seen: StockEvidence) -> Finding | None:
    """Counts that are left out by a source that does not list what is zero: fewer than the zeros that are accepted where
    they are shown."""
    is_much = seen.omitted > ZERO_SHARE * seen.total or seen.omitted_units > UNITS_SHARE * seen.units
    if not (
        (seen.omitted >= 3 and is_much)
        or is_many(seen.omitted_products, seen.total, LEFT_SHARE)
        or is_many(seen.omitted_falls, seen.total, FALL_SHARE, few=2)
    ):
        return None
    reason = f"leaves out {seen.omitted} of {seen.total} counts, {seen.omitted_units:g} units, and no order took them"
    return Finding(
        "left out", reason, Trait.VANISHED, {"rows": seen.omitted, "units": seen.omitted_units}, "left out"
    )


def held_account(seen: StockEvidence) -> Finding | None:
    """The products look like another account's, so do their counts."""
    if not (seen.account_held and seen.touched):
        return None
    return Finding("account", "the products are held: they look like another account's", Trait.ANY)


def held_products(seen: StockEvidence) -> Finding | None:
    """Counts of products whose own end is held."""
    if not seen.held_products:
        return None
    reason = f"would zero {seen.held_products} counts of products whose deletion is held"
    return Finding("held products", reason, Trait.HELD_PRODUCT, {"rows": seen.held_products})


def _would_zero(rows: int, seen: StockEvidence) -> str:
    return f"would zero {rows} of {seen.total} rows ({rows / seen.total:.0%})"


_Rule = Callable[[StockEvidence], Finding | None]
_LOSSES: tuple[_Rule, ...] = (nothing_read, zeroed_rows, zeroed_units, full_shelves, empty_place, omitted, left_out)
_CHANGES: tuple[_Rule, ...] = (
    powers_of_ten,
    same_step,
    unknown_places,
    unknown_products,
    held_account,
    held_products,
)
