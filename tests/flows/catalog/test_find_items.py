"""Items are found by whatever they are called, with typing errors too, and the index follows every change."""

import sqlite3
import threading
import time
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from app.domain import FIRST_LOAD_WRITER, Kind, Principal, Ref, Role
from app.errors import DatabaseFault, InvalidRequest, Unavailable
from app.flows.catalog import following
from app.flows.catalog.find_items import find_items
from app.flows.deps import with_time_limit
from app.rules.search import distance, fold, parts_of
from app.stores import catalog
from app.stores.catalog import bulk
from app.stores.catalog.differ import Differ
from app.stores.catalog.naming import named_listings
from app.stores.history.rows import begin_load, end_load
from app.stores.search import Entry, SearchIndex, file
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World, count, listing


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    hold(
        world,
        called("1", "MUG-RED-12", "Red Mug 12oz", barcode="4006381333931"),
        called("2", "MUG-BLUE-12", "Blue Mug 12oz", supplier_sku="VX-77"),
        called("3", "TEA-01", "Darjeeling Loose Tea"),
        called("4", "MUG", "Plain mug"),
        count("1", 5),
    )
    return world


def two_shops(database: Database) -> World:
    world = World(database)
    sources = dict.fromkeys(("one", "other"), world.source)
    world.deps = replace(world.deps, sources=sources, bulk_sources=sources)
    return world


@contextmanager
def captured_logs() -> Iterator[list[Any]]:
    """What is logged, at any level: a command that ran in this process before may have raised it."""
    config = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0))
    try:
        with capture_logs() as logged:
            yield logged
    finally:
        structlog.configure(**config)


def called(id: str, sku: str, name: str, **fields: Any) -> Any:
    return msgspec.structs.replace(listing(id, **fields), sku=sku, name=name)


def hold(world: World, *records: Any, to: str = SHOP) -> None:
    world.clock.pass_(60)
    with world.database.begin() as conn:
        catalog.apply(conn, to, records, read_at=world.clock(), now=world.clock(), by="poll")


def found(world: World, query: str, limit: int = 10) -> list[str]:
    return [item.external_id for item in find_items(world.deps, query, limit=limit)]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("MUG-RED-12", ["1"]),
        ("mug-red-12", ["1"]),
        ("4006381333931", ["1"]),
        ("4006381", ["1"]),
        ("vx-77", ["2"]),
        ("3", ["3"]),
        ("darjeeling", ["3"]),
        ("jeel", ["3"]),
        ("tea loose", ["3"]),
        ("darjeling", ["3"]),
        ("dajreeling", ["3"]),
        ("darjeelings", ["3"]),
        ("xyzzy", []),
    ],
)
def test_an_item_is_found_by(world: World, query: str, ids: list[str]) -> None:
    assert found(world, query) == ids


def test_the_equal_sku_comes_before_those_that_begin_with_it(world: World) -> None:
    assert found(world, "mug")[0] == "4"


def test_all_words_must_match(world: World) -> None:
    assert found(world, "blue mug") == ["2"]


def test_an_item_is_shown_with_what_is_on_hand(world: World) -> None:
    (item,) = find_items(world.deps, "mug-red", limit=5)
    assert (item.id, str(item.on_hand)) == ("shop:1", "5")


def test_without_a_count_nothing_is_said_of_what_is_on_hand(world: World) -> None:
    assert find_items(world.deps, "darjeeling", limit=5)[0].on_hand is None


@pytest.mark.parametrize("query", ["", "   "])
def test_a_search_for_nothing_is_refused(world: World, query: str) -> None:
    with pytest.raises(InvalidRequest, match="say what to look for"):
        find_items(world.deps, query, limit=5)


@pytest.mark.parametrize(
    "query", ['"', '" OR 1', "mug*", "a:b", "-mug", "(", "NEAR(a b)", "%", "_", "'", "\\", "ß", "💩💩💩"]
)
def test_no_query_breaks_the_search(world: World, query: str) -> None:
    assert isinstance(found(world, query), list)


def test_nobody_finds_items_of_connections_that_they_may_not_see(world: World) -> None:
    world.deps = replace(world.deps, principal=Principal("x", Role.VIEWER, connections=frozenset({"other"})))
    assert found(world, "mug") == []


# --- the index follows ---


def test_a_renamed_item_is_found_by_its_new_name_only(world: World) -> None:
    found(world, "mug")
    hold(world, msgspec.structs.replace(called("3", "TEA-01", "Assam"), version=9_000_000))
    assert (found(world, "assam"), found(world, "darjeeling")) == (["3"], [])


def test_a_new_item_is_found(world: World) -> None:
    found(world, "mug")
    hold(world, called("5", "CUP-1", "Espresso Cup"))
    assert found(world, "espresso") == ["5"]


def test_a_deleted_item_is_not_found(world: World) -> None:
    found(world, "mug")
    world.clock.pass_(60)
    with world.database.begin() as conn:
        catalog.tombstone(conn, SHOP, [Ref(Kind.PRODUCT, "3")], read_at=world.clock(), now=world.clock())
    assert found(world, "darjeeling") == []


def test_the_items_of_a_first_load_are_found(database: Database) -> None:
    world = World(database)
    found(world, "mug")
    with database.begin() as conn:
        begin_load(conn, SHOP, Kind.PRODUCT, world.clock())
    differ = Differ(database, SHOP, Kind.PRODUCT, world.clock())
    differ.feed([called("1", "MUG-RED-12", "Red Mug 12oz")])
    moment = world.clock()
    bulk.write(database, SHOP, differ.diff(), read_at=moment, now=moment, scope=None, by=FIRST_LOAD_WRITER)
    with database.begin() as conn:
        end_load(conn, SHOP, Kind.PRODUCT, world.clock())
    assert found(world, "red mug") == ["1"]


def test_changes_of_stock_alone_move_the_index_on(world: World) -> None:
    found(world, "mug")
    before = world.deps.search.cursor()
    hold(world, count("1", 4, 2))
    found(world, "mug")
    assert world.deps.search.cursor() != before


# --- the file ---


def test_a_file_is_kept_and_read_by_others(world: World, tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    world.deps = replace(world.deps, search=SearchIndex(path))
    found(world, "mug")
    world.deps.search.close()
    assert [entry.sku for entry in SearchIndex(path).named("tea", [SHOP], 5)] == ["TEA-01"]


def test_a_file_is_for_its_owner_only(world: World, tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    world.deps = replace(world.deps, search=SearchIndex(path))
    found(world, "mug")
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"this is no database" * 100, b""])
def test_a_broken_file_is_made_again(world: World, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "search.db"
    path.write_bytes(content)
    world.deps = replace(world.deps, search=SearchIndex(path))
    assert found(world, "darjeeling") == ["3"]


def test_two_processes_share_a_file(world: World, tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    one, other = (replace(world.deps, search=SearchIndex(path)) for _ in range(2))
    find_items(one, "mug", limit=5)
    find_items(other, "mug", limit=5)
    hold(world, called("5", "CUP-1", "Espresso Cup"))
    assert [[item.external_id for item in find_items(deps, "espresso", limit=5)] for deps in (one, other)] == [
        ["5"],
        ["5"],
    ]


def test_a_change_that_fails_leaves_the_index_as_it_was() -> None:
    index = SearchIndex()
    entry = Entry("shop", "1", "A", None, None, "x")
    with index.writing() as writing:
        writing.put([entry])
    with suppress(RuntimeError), index.writing() as writing:
        writing.clear()
        raise RuntimeError
    assert index.named("a", ["shop"], 5) == [entry]


# --- typing errors ---

words = st.text("abcde", min_size=5, max_size=12)


@given(words, st.integers(0, 11), st.sampled_from("abcde"), st.sampled_from(["change", "drop", "add"]))
def test_one_typing_error_leaves_a_half_of_the_word_whole(word: str, place: int, letter: str, error: str) -> None:
    place %= len(word)
    typed = {
        "change": word[:place] + letter + word[place + 1 :],
        "drop": word[:place] + word[place + 1 :],
        "add": word[:place] + letter + word[place:],
    }[error]
    assert distance(typed, word, 2) <= 1
    assert len(typed) < 6 or any(part in word for part in parts_of(typed))


def test_of_many_mistyped_words_nothing_is_found(world: World) -> None:
    hold(world, called("z", "Z", "alpha bravo charlie delta echoes foxtrot"))
    assert found(world, "alphq bravp charlke deltb") == ["z"]
    assert found(world, "alphq bravp charlke deltb echoez") == []
    assert found(world, "alphq bravo charlie delta echoes foxtrot") == ["z"]


def test_typing_errors_in_long_names_cost_no_time(world: World) -> None:
    names = [" ".join(f"warehouse{letter}{at % 7}" for at in range(60)) for letter in "abcdefgh"]
    hold(world, *(called(f"m{id}", f"S-{id}", f"{names[id % 8]} {id}") for id in range(1500)))
    found(world, "mug")
    begun = time.process_time()
    found(world, " ".join(f"warehousw{at}{at}" for at in range(15)))
    found(world, "warehouse" + "x" * 150)
    assert time.process_time() - begun < 1.5


@given(words, words)
def test_a_letter_that_is_missing_is_an_error(one: str, other: str) -> None:
    assert len(set(one) - set(other)) <= distance(one, other, 99)


@given(words, words)
def test_the_distance_of_two_words_is_that_of_the_two_in_the_other_order(one: str, other: str) -> None:
    assert distance(one, other, 99) == distance(other, one, 99)


# --- many matches, and several connections ---


def test_what_somebody_may_see_is_found_among_thousands_of_matches_elsewhere(database: Database) -> None:
    world = two_shops(database)
    elsewhere = [called(str(id), f"MUG-{id}", f"Mug {id}") for id in range(1000)]
    hold(world, *elsewhere, to="one")
    hold(world, called("x", "MUG-X", "Mug of the other shop"), to="other")
    world.deps = replace(world.deps, principal=Principal("x", Role.VIEWER, connections=frozenset({"other"})))
    assert (found(world, "mug"), found(world, "mug-"), found(world, "of the")) == (["x"], ["x"], ["x"])


@pytest.mark.parametrize("query", ["red mug", "red mug deluxe", "Red  Mug Deluxe"])
def test_a_name_that_begins_with_the_query_is_found_among_many_matches(world: World, query: str) -> None:
    hold(world, *(called(f"m{id}", f"S-{id}", f"Deluxe mug in red {id}") for id in range(1000)))
    hold(world, called("z", "Z", "Red mug deluxe"))
    assert "z" in found(world, query, limit=3)


def test_a_process_with_fewer_connections_leaves_the_index_whole(database: Database) -> None:
    world = two_shops(database)
    fewer = replace(world.deps, sources={"one": world.source})
    hold(world, called("1", "A-1", "Assam"), to="other")
    find_items(fewer, "assam", limit=5)
    first = found(world, "assam")
    hold(world, called("2", "A-2", "Assam"), to="other")
    find_items(fewer, "assam", limit=5)
    assert (first, found(world, "assam")) == (["1"], ["1", "2"])


# --- the first fill ---


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until it is set, nobody can read all listings."""
    gate = threading.Event()

    def slow(*args: Any, **options: Any) -> Any:
        assert gate.wait(30)
        return named_listings(*args, **options)

    monkeypatch.setattr(following, "PATIENCE", 0.05)
    monkeypatch.setattr(following, "named_listings", slow)
    yield gate
    gate.set()


def test_a_fill_goes_on_when_the_time_of_the_question_is_over(world: World, gate: threading.Event) -> None:
    limited, limit = with_time_limit(world.deps, 20)
    for _ in range(2):
        with pytest.raises(Unavailable, match="being built"):
            find_items(limited, "darjeeling", limit=5)
    limit.end()
    gate.set()
    with world.deps.search.following:
        assert world.deps.search.cursor() is not None
    later, _ = with_time_limit(world.deps, 20)
    assert [item.external_id for item in find_items(later, "darjeeling", limit=5)] == ["3"]


def test_what_another_process_has_filled_meanwhile_is_not_filled_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(world, "mug")
    monkeypatch.setattr(following, "named_listings", None)
    following.fill(world.deps, None)
    assert found(world, "darjeeling") == ["3"]


def test_a_fault_of_the_fill_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise DatabaseFault("gone")

    monkeypatch.setattr(following, "named_listings", broken)
    limited, _ = with_time_limit(world.deps, 20)
    with pytest.raises(DatabaseFault, match="gone"):
        find_items(limited, "darjeeling", limit=5)


# --- several at once ---


@pytest.mark.parametrize("in_one_process", [True, False])
def test_a_writer_keeps_no_reader_waiting(world: World, tmp_path: Path, in_one_process: bool) -> None:
    writer = SearchIndex(tmp_path / "search.db")
    world.deps = replace(world.deps, search=writer)
    found(world, "mug")
    reader = writer if in_one_process else SearchIndex(tmp_path / "search.db")
    with writer.writing() as writing, ThreadPoolExecutor() as threads:
        writing.clear()
        entries = threads.submit(reader.named, "tea", [SHOP], 5).result(timeout=10)
    assert [entry.sku for entry in entries] == ["TEA-01"]


def test_a_second_writer_is_told_that_another_one_is_busy(tmp_path: Path) -> None:
    one, other = (SearchIndex(tmp_path / "search.db") for _ in range(2))
    with one.writing(), pytest.raises(Unavailable, match="another process"), other.writing(0.05):
        pass


def test_many_threads_share_an_index(world: World, tmp_path: Path) -> None:
    world.deps = replace(world.deps, search=SearchIndex(tmp_path / "search.db"))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: found(world, "darjeeling"), range(40)))
    assert answers == [["3"]] * 40


def test_processes_that_begin_at_once_make_one_file(world: World, tmp_path: Path) -> None:
    several = [replace(world.deps, search=SearchIndex(tmp_path / "search.db")) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads, captured_logs() as logged:
        answers = list(threads.map(lambda deps: find_items(deps, "darjeeling", limit=5), several))
    assert [[item.external_id for item in answer] for answer in answers] == [["3"]] * 6
    assert [one["event"] for one in logged] == ["search_index_filled"]


def test_processes_that_find_a_broken_file_at_once_answer_all_the_same(world: World, tmp_path: Path) -> None:
    (tmp_path / "search.db").write_bytes(b"this is no database" * 1000)
    several = [replace(world.deps, search=SearchIndex(tmp_path / "search.db")) for _ in range(6)]
    for _ in range(2):
        with ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(lambda deps: find_items(deps, "darjeeling", limit=5), several))
        assert [[item.external_id for item in answer] for answer in answers] == [["3"]] * 6


# --- a file that cannot be used ---


def warnings_of(logged: list[Any]) -> list[str]:
    return [entry["event"] for entry in logged if entry["log_level"] == "warning"]


def test_a_folder_in_place_of_the_file_leaves_the_index_in_memory(world: World, tmp_path: Path) -> None:
    (tmp_path / "search.db").mkdir()
    world.deps = replace(world.deps, search=SearchIndex(tmp_path / "search.db"))
    with captured_logs() as logged:
        answers = [found(world, "darjeeling") for _ in range(2)]
    assert (answers, warnings_of(logged)) == ([["3"], ["3"]], ["search_index_in_memory"])


def test_a_folder_that_refuses_files_leaves_the_index_in_memory(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("app.stores.search.file.os.open", refuse)
    world.deps = replace(world.deps, search=SearchIndex(tmp_path / "search.db"))
    with captured_logs() as logged:
        answers = [found(world, "darjeeling") for _ in range(2)]
    assert (answers, warnings_of(logged)) == ([["3"], ["3"]], ["search_index_in_memory"])


def test_on_a_full_disk_the_index_is_in_memory(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = file._prepared

    def small(name: str) -> sqlite3.Connection:
        conn = prepared(name)
        if name != ":memory:":
            conn.execute("PRAGMA max_page_count = 1")  # as few as it has: SQLITE_FULL
        return conn

    monkeypatch.setattr(file, "_prepared", small)
    hold(world, *(called(f"m{id}", f"S-{id}", f"Deluxe mug in red {id}") for id in range(200)))
    world.deps = replace(world.deps, search=SearchIndex(tmp_path / "search.db"))
    with captured_logs() as logged:
        assert found(world, "darjeeling") == ["3"]
    assert warnings_of(logged) == ["search_index_in_memory"]


def test_a_file_found_broken_during_a_search_is_made_again_at_once(world: World, tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    world.deps = replace(world.deps, search=SearchIndex(path))
    hold(world, *(called(f"m{id}", f"S-{id}", f"Deluxe mug in red {id}") for id in range(500)))
    found(world, "mug")
    world.deps.search.close()
    with path.open("r+b") as content:  # the first pages stay: it opens
        content.seek(4096 * 8)
        content.write(b"\xa5" * (path.stat().st_size - 4096 * 8))
    assert (found(world, "darjeeling"), found(world, "deluxe 77")[0]) == (["3"], "m77")


def test_a_file_that_somebody_removes_is_made_again(world: World, tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    world.deps = replace(world.deps, search=SearchIndex(path))
    found(world, "mug")
    path.unlink()
    assert (found(world, "darjeeling"), path.exists()) == (["3"], True)


# --- spelling ---


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("Screw M3", "m3"),
        ("Screw M3x20", "m3"),
        ("Screw (M3)", "m3"),
        ("Nail 5 mm long", "5 mm"),
        ("Nail 5mm long", "5 mm"),
        ("Nail long", "na"),
        ("Nail long", "nail lo"),
        ("Tea & biscuits", "tea & biscuits"),
        ("Tea and biscuits", "tea & biscuits"),
        ("緑茶", "緑茶"),
        ("有機緑茶", "緑茶"),
        ("有機緑茶", "茶"),
        ("Maß aller Dinge", "maß"),
        ("Maß aller Dinge", "MASS"),
        ("Mass aller Dinge", "maß"),
        ("ÄB-1", "äb"),
        ("ÄB-1", "ab"),
        ("Crème brûlée", "creme"),
        ("Crème brûlée", "creme brulee"),
        ("Creme brulee", "crème"),
        (unicodedata.normalize("NFD", "Crème brûlée"), "crème"),
        ("Crème brûlée", unicodedata.normalize("NFD", "CRÈME")),
        ("Crème brûlée", "cremme"),
        ("한국 인삼", "인삼"),
    ],
)
def test_spelling_and_short_words_are_no_hindrance(world: World, name: str, query: str) -> None:
    hold(world, called("z", "Z-0", name))
    assert found(world, query) == ["z"]


@pytest.mark.parametrize("query", ["m3", "m3 screw", "5 mm", "ab", "緑茶"])
def test_short_words_are_found_among_many_items(world: World, query: str) -> None:
    hold(world, *(called(f"p{id}", f"S-{id}", f"Screw tab Mug mammut {id}") for id in range(1000)))
    hold(world, called("z", "Z", "Screw M3, Ab 5 mm, 緑茶"))
    assert "z" in found(world, query, limit=20)


def test_an_item_with_accents_can_be_renamed_and_removed(world: World) -> None:
    hold(world, called("z", "Z-0", "Crème"))
    assert found(world, "creme") == ["z"]
    hold(world, msgspec.structs.replace(called("z", "Z-0", "Soupe à la carte"), version=9_000_000))
    assert (found(world, "creme"), found(world, "soupe a")) == ([], ["z"])


@given(st.text())
def test_a_folded_text_stays_as_it_is(text: str) -> None:
    assert fold(fold(text)) == fold(text)
