"""Options: what is needed, what is wrong and how that is said."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app import sources
from app.domain import Kind
from app.errors import BadConfiguration
from app.sources.base import Context, Unlimited
from app.sources.finale.options import MARGIN, read
from app.sources.finale.source import FinaleSource

GIVEN = {"account": "acme", "api_key": "key-key", "api_secret": "secret-secret"}


def connect(**options: str) -> Any:
    return sources.connect("finale", Context("finale", Unlimited()), {**GIVEN, **options})


@pytest.mark.parametrize("name", ["account", "api_key", "api_secret"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_option_is_named(name: str, value: str | None) -> None:
    given = {key: text for key, text in {**GIVEN, name: value}.items() if text is not None}
    with pytest.raises(BadConfiguration, match=f"'shop'.*{name!r} is missing"):
        read("shop", given)


def test_an_unknown_option_is_named_with_those_there_are() -> None:
    with pytest.raises(
        BadConfiguration, match="no option 'acount'; did you mean account\\? use one of: account, api_key"
    ):
        connect(acount="x")


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("account", "a/b", "like 'acme'"),
        ("base_url", "app.finaleinventory.com", "http or https"),
        ("stock_pace", "often", "seconds"),
        ("stock_pace", "-1", "seconds"),
        ("stock_pace", "nan", "seconds"),
        ("history_start", "long ago", "2008-01-01"),
        ("row_cap", "0", "positive"),
        ("gets_per_minute", "x", "positive"),
        ("reads_per_hour", "1.5", "positive"),
        ("currency", "dollars", "USD"),
        ("webhook_secrets", "whsec_%%%", "base64"),
    ],
)
def test_a_wrong_option_is_named_with_what_would_be_right(name: str, value: str, right: str) -> None:
    with pytest.raises(BadConfiguration, match=f"{name}.*{right}"):
        connect(**{name: value})


@pytest.mark.parametrize(
    "text", ["acme", "https://app.finaleinventory.com/acme", "app.finaleinventory.com/acme/sc2/?products#a"]
)
def test_an_account_may_be_told_by_an_address_of_it(text: str) -> None:
    assert read("shop", {**GIVEN, "account": text}).account == "acme"


def test_a_currency_may_be_written_small() -> None:
    assert read("shop", {**GIVEN, "currency": "eur"}).currency == "EUR"


def test_the_defaults_are_the_vendors_limits() -> None:
    options = read("finale", GIVEN)
    limits = [(limit.name, limit.calls, limit.seconds) for limit in options.list_limits]
    assert limits == [("get", 120, 60 + MARGIN), ("collection", 300, 3600 + MARGIN)]


def test_a_rate_of_zero_is_no_limit() -> None:
    options = read("finale", {**GIVEN, "gets_per_minute": "0", "reads_per_hour": "0"})
    assert (options.record_limits, options.list_limits) == ((), ())


def test_history_starts_on_a_utc_day() -> None:
    assert read("finale", {**GIVEN, "history_start": "2020-02-03"}).history_start == datetime(2020, 2, 3, tzinfo=UTC)


def test_no_secret_is_in_the_repr() -> None:
    options = read("finale", {**GIVEN, "webhook_secrets": "hook-hook", "bearer_secret": "bear-bear"})
    assert not [
        secret for secret in ("key-key", "secret-secret", "hook-hook", "bear-bear") if secret in repr(options)
    ]


def test_without_a_webhook_secret_there_is_no_receiver() -> None:
    assert connect().receiver is None


@pytest.mark.parametrize("name", ["webhook_secrets", "bearer_secret"])
def test_with_a_secret_there_is_a_receiver(name: str) -> None:
    assert connect(**{name: "s"}).receiver is not None


def test_secrets_are_separated_by_commas() -> None:
    assert read("finale", {**GIVEN, "webhook_secrets": "a, b,"}).webhook_secrets == ("a", "b")


def test_the_pace_of_stock_is_an_option() -> None:
    source = connect(stock_pace="7.5")
    assert (source.pace(Kind.STOCK), source.pace(Kind.PRODUCT)) == (7.5, 5.0)


def test_parents_are_read_before_their_children() -> None:
    assert FinaleSource.kinds == (Kind.LOCATION, Kind.VENDOR, Kind.PRODUCT, Kind.STOCK, Kind.ORDER)


def test_only_products_have_a_storm() -> None:
    source = connect()
    assert source.storm_size(Kind.PRODUCT) == 60
    assert source.storm_size(Kind.ORDER) > 1_000_000
