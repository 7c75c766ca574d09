"""A message that gave up is kept with everything a person needs, and can be replayed."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from app.domain import Cause, Change, ItemKey, Kind
from app.errors import Refused
from app.stores import owed
from app.stores.letters import attempts, dead_letters
from app.stores.letters.dead_letters import DyingMessage
from app.stores.letters.rows import Letter
from app.stores.sql.engine import Database
from tests.stores.racing import at_once

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = ItemKey("shop", Kind.PRODUCT, "A")


def _error(words: str = "no such thing") -> BaseException:
    try:
        raise Refused(words)
    except Refused as error:
        return error


def _bury(database: Database, key: ItemKey | None = KEY, message_id: str = "m1", words: str = "no such thing") -> int:
    with database.begin() as conn:
        message = DyingMessage(message_id, "sync_item", "live", ["shop", "product", "A"], key)
        id = dead_letters.record(conn, message, _error(words), worker="w1", now=NOW)
    assert id is not None
    return id


def _owe(database: Database) -> None:
    with database.begin() as conn:
        owed.owe(conn, "shop", [Change(Kind.PRODUCT, "A")], Cause.WEBHOOK, NOW)


def _try(database: Database, number: int, name: str = "shop/product/A") -> None:
    at = NOW - timedelta(minutes=10 - number)
    with database.begin() as conn:
        attempts.record(conn, name, number=number, at=at, worker="w0", error=_error())


def _get(database: Database, id: int) -> Letter:
    with database.read() as conn:
        letter = dead_letters.get(conn, id)
    assert letter is not None
    return letter


# --- attempts ---


def test_attempts_are_told_in_order(database: Database) -> None:
    _try(database, 1)
    _try(database, 2)
    with database.read() as conn:
        assert [row.number for row in attempts.of(conn, "shop/product/A")] == [1, 2]


def test_an_attempt_keeps_the_traceback(database: Database) -> None:
    _try(database, 1)
    with database.read() as conn:
        assert "raise Refused(words)" in attempts.of(conn, "shop/product/A")[0].traceback


def test_a_cleared_message_has_no_attempts(database: Database) -> None:
    _try(database, 1)
    with database.begin() as conn:
        attempts.clear(conn, "shop/product/A")
        assert attempts.of(conn, "shop/product/A") == []


def test_a_long_traceback_keeps_its_end() -> None:
    trace = attempts.described(_error("x" * 30_000 + "the end")).traceback
    assert (len(trace), trace.rstrip().endswith("the end")) == (20_000, True)


def test_an_error_with_odd_characters_can_be_stored(database: Database) -> None:
    id = _bury(database, words="nul \x00 surrogate \udc80")
    assert _get(database, id).error == "nul \\x00 surrogate \\udc80"


def test_an_item_has_one_name_for_its_attempts() -> None:
    assert owed.message_key(KEY) == "shop/product/A"


# --- bury ---


def test_a_letter_holds_every_attempt_and_the_last(database: Database) -> None:
    _try(database, 1)
    _try(database, 2)
    letter = _get(database, _bury(database))
    assert [(one.number, one.error_type, one.worker) for one in letter.attempts] == [
        (1, "Refused", "w0"),
        (2, "Refused", "w0"),
        (3, "Refused", "w1"),
    ]


def test_a_letter_tells_when_it_failed_first(database: Database) -> None:
    _try(database, 1)
    assert _get(database, _bury(database)).first_failed_at == NOW - timedelta(minutes=9)


def test_a_letter_keeps_what_is_needed_to_send_it_again(database: Database) -> None:
    letter = _get(database, _bury(database))
    assert (letter.actor, letter.queue, letter.args) == ("sync_item", "live", ["shop", "product", "A"])


def test_a_buried_item_is_owed_no_longer(database: Database) -> None:
    _owe(database)
    _bury(database)
    with database.read() as conn:
        assert not owed.is_owed(conn, KEY)


def test_a_buried_item_is_settled_as_dead(database: Database) -> None:
    _owe(database)
    _bury(database)
    with database.read() as conn:
        assert conn.execute(text("SELECT outcome FROM settlements")).scalars().all() == ["dead"]


def test_the_attempts_move_into_the_letter(database: Database) -> None:
    _try(database, 1)
    _bury(database)
    with database.read() as conn:
        assert attempts.of(conn, "shop/product/A") == []


def test_a_message_is_buried_once(database: Database) -> None:
    assert _bury(database) == _bury(database)


def test_burying_again_does_not_touch_what_is_owed_since(database: Database) -> None:
    _bury(database)
    _owe(database)
    _bury(database)
    with database.read() as conn:
        assert owed.is_owed(conn, KEY)


def test_eight_threads_that_bury_a_message_write_one_letter(database: Database) -> None:
    assert len(set(at_once(8, lambda number: _bury(database)))) == 1


def test_the_attempts_of_a_message_without_item_go_by_its_id(database: Database) -> None:
    _try(database, 1, "m1")
    assert len(_get(database, _bury(database, key=None)).attempts) == 2


# --- look ---


def test_an_unknown_letter_is_none(database: Database) -> None:
    with database.read() as conn:
        assert dead_letters.get(conn, 12345) is None


def test_letters_are_counted_by_state(database: Database) -> None:
    _bury(database)
    with database.read() as conn:
        assert (dead_letters.count(conn), dead_letters.count(conn, state="replayed")) == (1, 0)


def test_a_letter_tells_why_its_item_was_owed(database: Database) -> None:
    _owe(database)
    assert _get(database, _bury(database)).cause == "webhook"


def test_a_letter_tells_where_it_was_raised_and_which_cause_it_has(database: Database) -> None:
    letter = _get(database, _bury(database))
    assert letter.fingerprint.startswith("Refused-")


def test_a_secret_does_not_get_into_a_letter(database: Database) -> None:
    with database.begin() as conn:
        id = dead_letters.record(
            conn,
            DyingMessage("m1", "sync_item", "live", ["hunter2"]),
            _error("the key hunter2 was refused"),
            worker="w1",
            now=NOW,
            redact=lambda text: text.replace("hunter2", "(removed)"),
        )
    assert id is not None
    assert "hunter2" not in str(_get(database, id))
