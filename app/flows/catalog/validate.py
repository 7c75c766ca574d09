"""Checks whether the data is right; this reads whole tables, so the result is cached for a while and has its age."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from app.domain import JsonObject, Kind
from app.flows.catalog.cache import age_of, cached
from app.flows.deps import Deps, source_of
from app.stores import validation
from app.stores.reports import metrics
from app.stores.validation import Finding

MAX_SAMPLES = 100

FRESH = timedelta(minutes=10)
"""How old a cached validation may be."""

_SENTENCES: Mapping[str, tuple[str, str, str]] = {
    "duplicate_skus": (
        "No SKU is used by two listings.",
        "One SKU is used by more than one listing.",
        "{} SKUs are used by more than one listing each.",
    ),
    "near_duplicate_skus": (
        "No SKUs differ only by case, spaces or leading zeros.",
        "One group of SKUs differs only by case, spaces or leading zeros.",
        "{} groups of SKUs differ only by case, spaces or leading zeros.",
    ),
    "negative_stock": (
        "No stock count is negative.",
        "One stock count is negative.",
        "{} stock counts are negative.",
    ),
    "missing_sku": ("Every listing has a SKU.", "One listing has no SKU.", "{} listings have no SKU."),
    "missing_name": ("Every listing has a name.", "One listing has no name.", "{} listings have no name."),
    "missing_price": ("Every listing has a price.", "One listing has no price.", "{} listings have no price."),
    "price_list_not_chosen": (
        "Every listing with prices has one in the price list that counts.",
        "One listing has prices, but none in the list that counts: choose one of the lists named here (option price_list).",
        "{} listings have prices, but none in the list that counts: choose one of the lists named here (option price_list).",
    ),
    "stock_without_listing": (
        "All stock belongs to a listing.",
        "One stock count belongs to a listing that is unknown or deleted.",
        "{} stock counts belong to listings that are unknown or deleted.",
    ),
    "listing_without_category": (
        "Every category that a listing names is known.",
        "One listing names a category that is unknown or deleted.",
        "{} listings name categories that are unknown or deleted.",
    ),
    "order_line_without_listing": (
        "Every listing in this week's orders is known.",
        "One line of this week's orders names a listing that was never seen.",
        "{} lines of this week's orders name listings that were never seen.",
    ),
    "order_without_its_sum": (
        "The lines of every order add up to its total.",
        "One order's lines do not add up to its total, as the source reports them.",
        "The lines of {} orders do not add up to their totals, as the source reports them.",
    ),
    "owed_too_long": (
        "Nothing has been owed for over an hour.",
        "One item has been owed for over an hour.",
        "{} items have been owed for over an hour.",
    ),
    "from_the_future": (
        "Nothing is dated in the future.",
        "One row is dated in the future.",
        "{} rows are dated in the future.",
    ),
    "unheld_texts": (
        "Every text could be stored as it came.",
        "One row has a text that could not be stored as it came; � stands where characters are missing.",
        "{} rows have texts that could not be stored as they came; � stands where characters are missing.",
    ),
    "unknown_time_zones": (
        "The time zone of every location is known.",
        "One location has an unknown time zone; its days are computed in UTC.",
        "{} locations have unknown time zones; their days are computed in UTC.",
    ),
    "failed_items": (
        "Every item that failed in a run was synced since.",
        "One item failed in a run and was not synced since.",
        "{} items failed in runs and were not synced since.",
    ),
    "not_read_lately": (
        "Every row was read within a week, or a complete read confirmed it.",
        "One row was not read for a week although its kind was.",
        "{} rows were not read for a week although their kinds were.",
    ),
    "name_mismatches": (
        "Listings with the same SKU have the same name in all connections.",
        "One listing has another name in another connection.",
        "{} listings have other names in other connections.",
    ),
    "stock_mismatches": (
        "Listings with the same SKU have the same stock in all connections.",
        "One listing has another quantity on hand in another connection.",
        "{} listings have other quantities on hand in other connections.",
    ),
    "price_mismatches": (
        "Listings with the same SKU have the same price in all connections.",
        "One listing has another price in another connection.",
        "{} listings have other prices in other connections.",
    ),
}
"""A check's sentences for none, one and many."""


class Check(msgspec.Struct, frozen=True):
    """How many rows a check found wrong, some of them, and a sentence."""

    check: str
    count: int
    samples: list[JsonObject]
    says: str


class Validation(msgspec.Struct, frozen=True):
    """What is wrong with a connection's data: ``problems`` is the sum of all counts. ``found_at`` (ISO 8601) is when it was
    found, ``took_ms`` how long that took."""

    connection: str
    found_at: str
    age_seconds: float
    took_ms: int
    problems: int
    checks: list[Check]


def validate(deps: Deps, connection: str, *, samples: int = 5, anew: bool = False) -> Validation:
    """What is wrong with a connection's data, with at most ``samples`` (0 to 100) of each check.

    The result is at most ten minutes old, or with ``anew`` made now, as at the end of a run, so that nobody has to wait
    later. Raises ``NotFound`` for an unknown connection.
    """
    source_of(deps, connection)
    fresh = timedelta() if anew else FRESH
    answer = cached(
        deps, connection, "validate", lambda conn: _measure(deps, conn, connection), list[Finding], fresh=fresh
    )
    checks = [_check(finding, samples) for finding in answer.answer]
    age = age_of(deps, answer)
    problems = sum(check.count for check in checks)
    return Validation(connection, age.found_at, age.age_seconds, age.took_ms, problems, checks)


def _measure(deps: Deps, conn: Connection, connection: str) -> list[Finding]:
    span = validation.cutoffs(conn, deps.now())
    confirmed = _confirmed(conn, connection, span.stale)
    return validation.measure(conn, connection, span, confirmed=confirmed, samples=MAX_SAMPLES)


def _confirmed(conn: Connection, connection: str, since: datetime) -> Collection[Kind]:
    """Kinds that a run read completely since then: only such a run has an agreement."""
    return {Kind(row.kind) for row in metrics.agreement(conn, since) if row.connection == connection}


def _check(finding: Finding, samples: int) -> Check:
    none, one, many = _SENTENCES[finding.check]
    says = none if finding.rows == 0 else one if finding.rows == 1 else many.format(f"{finding.rows:,}")
    return Check(finding.check, finding.rows, finding.samples[:samples], says)
