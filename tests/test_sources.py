"""The conformance suite: every folder in app/sources must pass it, and a new one joins by being there."""

import importlib
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
import uvicorn

from app import sources
from app.domain import KINDS, Delivery, Kind, Page, Record, Ref, batches, key_of, row_hash
from app.errors import BadConfiguration, TallyhookError
from app.prove.real import books
from app.sources.base import Context, ResumeLost, Source, Unlimited
from app.stores import catalog, owed
from app.stores.inbox import inbox
from app.stores.inbox.inbox import Arrival
from app.stores.sql.engine import Database
from tests.rows import row_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FOLDERS = {name: Path(sources.__file__).parent / name for name in sources.names()}


class Sample(NamedTuple):
    """One line of a vendor's manifest."""

    source: str
    file: str
    reads_as: str
    expect: dict[str, Any]

    def read(self) -> Any:
        raw = (FOLDERS[self.source] / "samples" / self.file).read_bytes()
        return importlib.import_module(f"tests.sources.{self.source}.{self.source}_samples").read(self.reads_as, raw)


def _samples(*reads_as: str) -> list[Sample]:
    return [sample for sample in _manifests() if sample.reads_as in reads_as]


def _manifests() -> Iterator[Sample]:
    for source, folder in FOLDERS.items():
        for line in json.loads((folder / "samples" / "manifest.json").read_text()):
            yield Sample(source, line["file"], line["as"], line.get("expect", {}))


RECORDS = [sample for sample in _manifests() if sample.reads_as not in ("reference", "error", "webhook")]


def _name(sample: Sample) -> str:
    return f"{sample.source}/{sample.file}"


@pytest.mark.parametrize("source", sources.names())
def test_what_a_source_asks_of_a_new_connection_is_an_option_of_it(source: str) -> None:
    given = {question.option: question.default or "USD" for question in sources.setup(source).questions}
    sources.connect(source, Context("shop", Unlimited(), public_url="https://shop.example"), given).close()


@pytest.mark.parametrize("source", sources.names())
def test_every_sample_file_is_in_the_manifest_with_its_provenance(source: str) -> None:
    folder = FOLDERS[source] / "samples"
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    listed = {sample.file for sample in _manifests() if sample.source == source}
    assert files - {"manifest.json", "README.md"} == listed
    assert (folder / "README.md").exists()


@pytest.mark.parametrize("sample", RECORDS, ids=_name)
def test_a_sample_becomes_the_records_its_manifest_tells(sample: Sample) -> None:
    records = list(sample.read().records)
    assert len(records) == sample.expect["records"]
    if records:
        first = {name: _plain(getattr(records[0], name)) for name in sample.expect["first"]}
        assert first == {name: _plain(value) for name, value in sample.expect["first"].items()}


@pytest.mark.parametrize("sample", RECORDS, ids=_name)
def test_a_sample_is_stored_without_loss(sample: Sample, database: Database) -> None:
    records = list(sample.read().records)
    with database.begin() as conn:
        catalog.apply(conn, "here", records, read_at=NOW, now=NOW)
    with database.read() as conn:
        for record in records:
            assert _read_back(conn, record) == record


def _read_back(conn: Any, record: Record) -> Record:
    kind = KINDS[type(record)]
    row = row_of(conn, "here", kind, key_of(record))
    assert row is not None
    assert row["row_hash"] == row_hash(record)
    fields = {name: row[name] for name in record.__struct_fields__}
    for name, value in fields.items():
        if isinstance(getattr(record, name), bool):
            fields[name] = bool(value)
    return type(record)(**fields)


@pytest.mark.parametrize("sample", _samples("webhook"), ids=_name)
def test_a_webhook_sample_is_remembered_and_owes_its_items(sample: Sample, database: Database) -> None:
    delivery: Delivery = sample.read()
    with database.begin() as conn:
        accepted = inbox.accept(conn, [Arrival("here", delivery, {}, b"{}", NOW)])
        assert accepted.new == 1
        assert owed.count(conn) == len({(change.kind, change.external_id) for change in delivery.changes})
    assert delivery.ignored == (not delivery.changes)


@pytest.mark.parametrize("sample", _samples("error"), ids=_name)
def test_an_error_sample_is_an_error_of_ours(sample: Sample) -> None:
    with pytest.raises(TallyhookError):
        sample.read()


@pytest.mark.parametrize("source", sources.names())
def test_an_unknown_option_is_refused_by_name(source: str) -> None:
    with pytest.raises(BadConfiguration, match="no_such_option"):
        sources.connect(source, Context("here", Unlimited()), {"no_such_option": "1"})


def test_an_unknown_source_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadConfiguration, match=", ".join(sources.names())):
        sources.connect("nobody", Context("here", Unlimited()), {})


@pytest.fixture(params=sources.names())
def connected(request: pytest.FixtureRequest) -> Iterator[tuple[Source, httpx.Client]]:
    """A source connected to its own simulator over real HTTP, and the simulator's control."""
    given, credentials = sources.demo(request.param, "http://127.0.0.1:1", "http://127.0.0.1:1/webhooks/here")
    given = {name: value for name, value in given.items() if "url" not in name} | {"products": "60", "seed": "3"}
    server = uvicorn.Server(
        uvicorn.Config(sources.simulator(request.param, given), host="127.0.0.1", port=0, log_level="warning")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    waiting = threading.Event()
    while not server.started:
        waiting.wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    options = {**credentials, "base_url": f"http://127.0.0.1:{port}"}
    source = sources.connect(request.param, Context("here", Unlimited()), options)
    with closing(source), httpx.Client(base_url=options["base_url"], timeout=30) as control:
        yield source, control
    server.should_exit = True
    thread.join(60)


def test_a_full_read_is_the_vendors_truth(connected: tuple[Source, httpx.Client]) -> None:
    source, control = connected
    for kind in source.kinds:
        if kind is Kind.ORDER:
            continue  # a full read of orders is only the latest days
        read = {key_of(record) for page in source.full(kind) for record in page.records if _counts(record)}
        assert read == _told(control, kind), kind


def test_a_second_full_read_of_an_unchanged_shop_is_the_same_rows(connected: tuple[Source, httpx.Client]) -> None:
    source, _ = connected
    for kind in source.kinds:
        first, second = (
            {key_of(record): row_hash(record) for page in source.full(kind) for record in page.records} for _ in "12"
        )
        assert first == second, kind


def test_the_last_page_alone_carries_the_watermark(connected: tuple[Source, httpx.Client]) -> None:
    source, _ = connected
    for kind in source.kinds:
        pages = list(source.full(kind))
        assert all(page.watermark is None and page.complete is None for page in pages[:-1]), kind


def test_a_window_of_everything_is_the_vendors_truth(connected: tuple[Source, httpx.Client]) -> None:
    source, control = connected
    for kind in source.kinds:
        assert _keys(source, source.window(kind, None, None)) == _told(control, kind), kind


def test_two_halves_of_a_window_are_the_whole(connected: tuple[Source, httpx.Client]) -> None:
    source, _ = connected
    for kind in source.kinds:
        whole = _read(source, source.window(kind, None, None))
        cut = _late(whole)
        older, newer = source.window(kind, None, cut), source.window(kind, cut, None)
        assert _keys(source, older) | _keys(source, newer) == {key_of(record) for record in whole}, kind


def test_a_window_shows_no_record_modified_outside_of_it(connected: tuple[Source, httpx.Client]) -> None:
    source, _ = connected
    for kind in source.kinds:
        cut = _late(_read(source, source.window(kind, None, None)))
        older = [record for page in source.window(kind, None, cut) for record in page.records]
        newer = [record for page in source.window(kind, cut, None) for record in page.records]
        assert all(record.modified_at is None or record.modified_at <= cut for record in older), kind
        assert all(record.modified_at is None or record.modified_at >= cut for record in newer), kind


def test_a_window_claims_nothing(connected: tuple[Source, httpx.Client]) -> None:
    source, _ = connected
    for kind in source.kinds:
        pages = [*source.window(kind, None, None), *source.window(kind, NOW, None)]
        assert all(page.complete is None and page.watermark is None for page in pages), kind


def test_a_read_resumed_after_any_page_gives_what_an_undisturbed_one_gives(
    connected: tuple[Source, httpx.Client],
) -> None:
    source, _ = connected
    for kind in source.kinds:
        cut = _late(_read(source, source.window(kind, None, None)))
        for read in (partial(source.full, kind), partial(source.window, kind, cut, None)):
            pages = list(read())
            tokens = [number for number, page in enumerate(pages) if page.resume is not None]
            for number in {*tokens[:1], *tokens[len(tokens) // 2 :][:1], *tokens[-1:]}:  # all would spend the budget
                resumed = [*pages[: number + 1], *read(resume=pages[number].resume)]
                assert _keys(source, resumed) == _keys(source, pages), (kind, number)
                assert resumed[-1].complete == pages[-1].complete, (kind, number)


def test_every_page_of_a_full_read_but_the_last_can_be_resumed_after_or_none(
    connected: tuple[Source, httpx.Client],
) -> None:
    source, _ = connected
    for kind in source.kinds:
        assert len({page.resume is None for page in list(source.full(kind))[:-1]}) <= 1, kind


def test_what_is_no_place_in_a_read_is_lost_before_the_first_page(connected: tuple[Source, httpx.Client]) -> None:
    source, _ = connected
    for kind in source.kinds:
        for read in (partial(source.full, kind), partial(source.window, kind, NOW, None)):
            with pytest.raises(ResumeLost):
                next(iter(read(resume="anywhere")))


def test_every_page_with_records_says_what_it_is(connected: tuple[Source, httpx.Client]) -> None:
    source, _ = connected
    for kind in source.kinds:
        pages = [*source.full(kind), *source.window(kind, None, None)]
        assert all(page.label for page in pages if kind is not Kind.ORDER and page.records), kind


def test_order_ids_are_the_vendors_truth_day_by_day(connected: tuple[Source, httpx.Client]) -> None:
    source, control = connected
    answer = sorted((row["ordered_on"], row["external_id"]) for row in control.get("/_sim/truth/order").json())
    days = [day for day, _ in answer]
    for first, last in ((days[0], days[-1]), (days[9], days[19]), (days[9], days[9])):
        ids = source.order_ids(date.fromisoformat(first), date.fromisoformat(last))
        wanted = [(day, id_) for day, id_ in answer if first <= day <= last]
        assert sorted((day.isoformat(), id_) for day, id_ in ids) == wanted


def test_the_day_of_an_order_id_is_the_one_its_record_has(connected: tuple[Source, httpx.Client]) -> None:
    source, _ = connected
    held = {record.external_id: record.ordered_on for record in _read(source, source.window(Kind.ORDER, None, None))}
    first, last = min(held.values()), max(held.values())
    ids = source.order_ids(date.fromisoformat(first), date.fromisoformat(last))
    assert {id_: day.isoformat() for day, id_ in ids} == held


def test_orders_and_their_lines_are_the_vendors_books_to_the_cent(connected: tuple[Source, httpx.Client]) -> None:
    source, control = connected
    theirs = {row["external_id"]: books.vendor_books(row) for row in control.get("/_sim/truth/order").json()}
    read = {record.external_id: record for record in _read(source, source.window(Kind.ORDER, None, None))}
    assert read.keys() == theirs.keys()
    ours = {id_: books.our_books(_row(order), json.loads(order.lines or "[]")) for id_, order in read.items()}
    assert [(id_, text) for id_, order in ours.items() for text in books.wrong(theirs[id_], order)] == []


def test_an_order_nets_what_the_vendors_books_say(connected: tuple[Source, httpx.Client]) -> None:
    source, control = connected
    theirs = {row["external_id"]: row["total_minor"] for row in control.get("/_sim/truth/order").json()}
    read = _read(source, source.window(Kind.ORDER, None, None))
    assert {record.external_id: record.net_minor for record in read} == theirs


def test_calls_are_counted(connected: tuple[Source, httpx.Client]) -> None:
    source, _ = connected
    before = source.calls()
    list(source.full(source.kinds[0]))
    assert source.calls() > before


def _read(source: Source, pages: Iterable[Page]) -> list[Any]:
    """The live records of a read, those that it only named included, and no zeros: some vendors do not show them."""
    records: list[Any] = []
    for page in pages:
        records += page.records
        for some in batches(page.changes, 50):
            for kind in {change.kind for change in some}:
                refs = [Ref(kind, change.external_id) for change in some if change.kind is kind]
                for part in batches(refs, source.batch_size(kind)):
                    records += source.fetch(part).records
    return [record for record in records if not getattr(record, "deleted", False) and _counts(record)]


def _row(order: Any) -> dict[str, Any]:
    return {name: getattr(order, name) for name in order.__struct_fields__}


def _keys(source: Source, pages: Iterable[Page]) -> set[tuple[str, ...]]:
    return {key_of(record) for record in _read(source, pages)}


def _late(records: list[Any]) -> datetime:
    """A moment after which about a tenth of the records were modified."""
    times = sorted(record.modified_at for record in records if record.modified_at is not None)
    return times[len(times) * 9 // 10] if times else NOW


def _told(control: httpx.Client, kind: Kind) -> set[tuple[str, ...]]:
    names = ("listing_id", "location_id", "state") if kind is Kind.STOCK else ("external_id",)
    rows = control.get(f"/_sim/truth/{kind}").json()
    return {tuple(row[name] for name in names) for row in rows if _counts_row(row)}


def _counts(record: Record) -> bool:
    return bool(getattr(record, "quantity", 1) != 0)


def _counts_row(row: dict[str, Any]) -> bool:
    return Decimal(row.get("quantity", "1")) != 0


def _plain(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))
