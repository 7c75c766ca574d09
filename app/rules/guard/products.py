"""The guard's rules for products: each function describes what no merchant does to so many products at once."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.rules.guard.findings import GONE, IDENTITY, MONEY, Finding, Trait, first_of, is_many
from app.rules.guard.usual import NOTHING_KNOWN, unusual

ENDED_SHARE = 0.20
"""Share deleted or deactivated at once: a merchant who clears out does it in parts; tested with 312 simulated shops."""

DECAY_SHARE = 0.25
"""Share deleted within ``DECAY_DAYS``, this batch included: a decay, even if every night takes little."""

DECAY_DAYS = 14

IDENTITY_SHARE = 0.20
"""Share of products whose name, SKU or barcode becomes another product's, empty, or quite different."""

TAKEN_SHARE = 0.01
"""Share of products that get another's SKU or barcode: hardly any merchant swaps even one."""

EMPTIED_SHARE = 0.10
"""Share of products with a field that had a value and has none now."""

TWIN_SHARE = 0.05
"""New products under the SKU of a live one, as a share of all."""

PRICE_SHARE = 0.20
PRICE_FACTOR = 2.5
"""If the median price changes by more than this, prices are in another unit, unless it is a sale by round percentages."""

TENS_SHARE = 0.60
"""The share of changed prices that moved by an exact power of ten."""

SAME_FACTOR_SHARE = 0.80
"""The share of changed prices that moved by the same factor: an exchange rate, unless it is a round percentage."""


@dataclass
class ProductEvidence:
    """What a batch would do to the ``total`` live products (``active`` of them active). ``read`` is how many a complete
    read showed, ``None`` for an incomplete one. We fetched ``asked`` of the vanished products, and ``living`` still live;
    we fetched ``probed`` of ours, and ``strange`` are unknown at the source."""

    total: int
    active: int = 0
    read: int | None = None
    vanished: int = 0
    deleted: int = 0
    inactive: int = 0
    recent: int = 0
    created: int = 0
    twins: int = 0
    unlike: int = 0
    taken: int = 0
    shifted: int = 0
    emptied: int = 0
    changed: int = 0
    currency: int = 0
    asked: int = 0
    living: int = 0
    probed: int = 0
    strange: int = 0
    factors: "array[float]" = field(default_factory=lambda: array("d"))
    cents: "array[float]" = field(default_factory=lambda: array("d"))


def product_findings(
    evidence: ProductEvidence, *, first: bool = False, usual: Mapping[str, int] = NOTHING_KNOWN
) -> list[Finding]:
    """The findings of a batch; ``first``: the kind was never read before, so only losses count. ``usual`` is how many rows a
    day usually brings, by measure."""
    if not evidence.total:
        return []
    rules = _LOSSES if first else _LOSSES + _CHANGES
    return first_of(unusual((rule(evidence) for rule in rules), usual))


def nothing_read(seen: ProductEvidence) -> Finding | None:
    """A complete read of nothing while we hold something."""
    if seen.read != 0 or not seen.vanished:
        return None
    return Finding("nothing read", _would("delete", seen.vanished, seen.total), Trait.ANY, {"rows": seen.vanished})


def incomplete(seen: ProductEvidence) -> Finding | None:
    """A product that a complete read does not show still exists when fetched by its id."""
    if not seen.living:
        return None
    reason = f"the list is incomplete: {seen.living} of {seen.asked} products that it does not show still exist"
    return Finding("incomplete", reason, Trait.VANISHED, {"asked": seen.asked, "living": seen.living})


def too_many_ended(seen: ProductEvidence) -> Finding | None:
    """Too large a share of live products is deleted or deactivated."""
    deleted = seen.vanished + seen.deleted
    if is_many(deleted, seen.total, ENDED_SHARE):
        return Finding("deleted", _would("delete", deleted, seen.total), GONE, {"rows": deleted}, "ended")
    if is_many(deleted + seen.inactive, max(1, seen.active), ENDED_SHARE):
        rows = deleted + seen.inactive
        return Finding("deactivated", _would("deactivate", rows, seen.active), GONE, {"rows": rows}, "ended")
    return None


def decay(seen: ProductEvidence) -> Finding | None:
    """Many small nights of deletions."""
    deleted = seen.vanished + seen.deleted
    ended = deleted + seen.recent
    if not deleted or not is_many(ended, seen.total + seen.recent, DECAY_SHARE):
        return None
    reason = f"would have deleted {ended} of {seen.total + seen.recent} products within {DECAY_DAYS} days"
    return Finding("decay", reason, GONE, {"rows": deleted, "within 14 days": ended})


def another_account(seen: ProductEvidence) -> Finding | None:
    """The source knows none of our products any more, or every product is another one."""
    if seen.probed >= 3 and seen.strange > 0.8 * seen.probed:
        reason = f"looks like another account: {seen.strange} of {seen.probed} of our products are unknown there"
        return Finding("account", reason, Trait.ANY, {"probed": seen.probed, "unknown": seen.strange})
    shown = min(seen.changed, seen.total - seen.vanished - seen.deleted)
    if is_many(seen.unlike, shown, 0.8) and is_many(seen.unlike, seen.total, IDENTITY_SHARE):
        reason = f"looks like another account: {seen.unlike} of {shown} products are different ones"
        return Finding("account", reason, Trait.ANY, {"unlike": seen.unlike})
    return None


def other_identity(seen: ProductEvidence) -> Finding | None:
    """Names, SKUs or barcodes that change beyond recognition, or change places."""
    if is_many(seen.taken, seen.total, TAKEN_SHARE):
        reason = f"would give {seen.taken} of {seen.total} products the SKU or barcode of another"
    elif is_many(seen.unlike, seen.total, IDENTITY_SHARE):
        reason = f"would rename {seen.unlike} of {seen.total} products beyond recognition"
    else:
        return None
    return Finding("identity", reason, IDENTITY, {"unlike": seen.unlike, "taken": seen.taken}, "renamed")


def shifted(seen: ProductEvidence) -> Finding | None:
    """Names are what another column held."""
    if seen.shifted < 3 or (
        seen.shifted <= 0.5 * seen.changed and not is_many(seen.shifted, seen.total, TAKEN_SHARE)
    ):
        return None
    reason = f"would put the text of another column into the name of {seen.shifted} of {seen.total} products"
    return Finding("columns", reason, IDENTITY, {"shifted": seen.shifted})


def emptied(seen: ProductEvidence) -> Finding | None:
    """Names, SKUs, barcodes, categories or prices are lost."""
    if not is_many(seen.emptied, seen.total, EMPTIED_SHARE):
        return None
    reason = f"would empty a field of {seen.emptied} of {seen.total} products"
    return Finding("emptied", reason, IDENTITY, {"emptied": seen.emptied})


def twins(seen: ProductEvidence) -> Finding | None:
    """Many new products have SKUs of live ones."""
    if not (is_many(seen.twins, seen.total, TWIN_SHARE) and seen.twins > 0.5 * seen.created):
        return None
    reason = f"would add {seen.twins} products under SKUs that others have"
    return Finding("doubled", reason, Trait.NEW | Trait.TWIN, {"twins": seen.twins, "added": seen.created}, "added")


def other_currency(seen: ProductEvidence) -> Finding | None:
    """Products that are priced in another currency."""
    if not is_many(seen.currency, seen.total, TWIN_SHARE):
        return None
    reason = f"would change the currency of {seen.currency} of {seen.total} products"
    return Finding("currency", reason, MONEY, {"rows": seen.currency})


def powers_of_ten(seen: ProductEvidence) -> Finding | None:
    """Many decimal points of prices moved."""
    rows = sum(
        abs(factor - ten) <= ten * near for factor, near, ten in _near(seen, (100, 10, 1000, 0.1, 0.01, 0.001))
    )
    if not is_many(rows, len(seen.factors), TENS_SHARE):
        return None
    reason = f"would multiply or divide the prices of {rows} of {seen.total} products by a power of ten"
    return Finding("powers of ten", reason, MONEY, {"rows": rows}, "repriced")


def price_jump(seen: ProductEvidence) -> Finding | None:
    """Prices move by more than prices usually do."""
    factor = _median(seen.factors)
    if not is_many(len(seen.factors), seen.total, PRICE_SHARE) or 1 / PRICE_FACTOR <= factor <= PRICE_FACTOR:
        return None
    if factor < 1 and _is_sale(seen.factors):
        return None
    rows = len(seen.factors)
    reason = f"would change the prices of {rows} of {seen.total} products by a factor of {factor:.3g}"
    return Finding("price jump", reason, MONEY, {"rows": rows, "median factor": round(factor, 4)}, "repriced")


def rate_of_exchange(seen: ProductEvidence) -> Finding | None:
    """All prices change by one factor that is not a round percentage."""
    rows, factor = _most_alike(seen.factors), _median(seen.factors)
    if not is_many(len(seen.factors), seen.total, PRICE_SHARE) or rows <= SAME_FACTOR_SHARE * len(seen.factors):
        return None
    if any(_is_round(one, 200) for one in (factor, 1 / factor)):
        return None
    reason = f"would multiply the prices of {rows} of {seen.total} products by {factor:.4f}, like a rate of exchange"
    return Finding("rate of exchange", reason, MONEY, {"rows": rows, "factor": round(factor, 4)}, "repriced")


def _near(seen: ProductEvidence, tens: Sequence[float]) -> Iterator[tuple[float, float, float]]:
    """Each factor, its tolerance (prices are whole cents), and the nearest power of ten."""
    for factor, cents in zip(seen.factors, seen.cents, strict=True):
        yield factor, max(0.002, 1 / cents), min(tens, key=lambda ten: abs(factor / ten - 1))


def _most_alike(factors: Sequence[float], width: float = 0.004) -> int:
    """How many factors lie within 0.4 % of the median: cents are rounded."""
    middle = _median(factors)
    return sum(abs(factor / middle - 1) <= width for factor in factors)


def _is_sale(factors: Sequence[float]) -> bool:
    """Whether nearly all prices fall by a multiple of 5 %, or nearly so (within 1 %), as when prices end alike."""
    falls = sum(factor < 1 for factor in factors)
    middle = _median(factors)
    return falls > 0.95 * len(factors) and middle > 0.12 and abs(middle * 20 - round(middle * 20)) <= 0.2


def _is_round(factor: float, parts: int) -> bool:
    return abs(factor * parts - round(factor * parts)) <= 0.06


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 1.0


def _would(verb: str, rows: int, total: int) -> str:
    return f"would {verb} {rows} of {total} rows ({rows / max(1, total):.0%})"


_Rule = Callable[[ProductEvidence], Finding | None]
_LOSSES: tuple[_Rule, ...] = (nothing_read, incomplete, too_many_ended, decay)
_CHANGES: tuple[_Rule, ...] = (
    another_account,
    other_identity,
    shifted,
    emptied,
    twins,
    other_currency,
    powers_of_ten,
    price_jump,
    rate_of_exchange,
)
