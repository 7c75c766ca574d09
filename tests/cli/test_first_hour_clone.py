"""The first hour from a clean clone, by what README and the guide say: a shop that is copied, backed up, put back, moved."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from app.local.embedded import free_port
from app.stores.sql.engine import open_database
from tests.cli.test_first_hour_own_shop import Vendors, await_first_reads, init, stored, up
from tests.test_operating import ROOT, SQLITE3, block, programs, tallyhook, type_in

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1200)]

NOT_IN_A_CLONE = (".git", ".venv", ".*cache", "__pycache__", "data", ".hypothesis", ".env")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What is in the repository, in a folder of its own; commands that are typed there run its code."""
    folder = tmp_path / "tallyhook"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_IN_A_CLONE))
    programs(folder, tallyhook=tallyhook(), sqlite3=SQLITE3)
    return folder


@pytest.fixture
def vendors(clone: Path) -> Iterator[Vendors]:
    with ExitStack() as stack:
        yield Vendors(stack, clone)


def test_a_backup_holds_the_shop_of_its_moment_and_all_of_it_moves_to_postgresql(
    clone: Path, vendors: Vendors, empty_postgres_url: str
) -> None:
    port = free_port(0)
    (clone / ".env").write_text(f"TALLYHOOK_PORT={port}\n")
    init(
        clone,
        "square",
        "--public-url",
        f"http://127.0.0.1:{port}",
        access_token="simulated-token",
        base_url=vendors.square,
    )
    keys = {"account": "demo", "api_key": "simulated-key", "api_secret": "simulated-secret"}
    init(clone, "finale", base_url=vendors.finale, **keys)

    with up(clone) as until:
        await_first_reads(until)
        type_in(clone, block("backup-sqlite"))  # while everything runs
        _sell(vendors.square)
        until(r"square .*on hand")
    kept, backed_up = _rows(_file(clone)), _rows(f"sqlite:///{clone / 'tallyhook-backup.db'}")
    assert kept != backed_up

    type_in(clone, block("copy"), NEW_DATABASE_URL=empty_postgres_url)
    assert _rows(empty_postgres_url) == kept

    type_in(clone, block("restore-sqlite"))
    assert _rows(_file(clone)) == backed_up

    with (clone / ".env").open("a") as file:
        file.write(f"TALLYHOOK_DATABASE_URL={empty_postgres_url}\n")
    with up(clone) as until:
        until(r"webhooks .*/webhooks/square")
        assert stored(clone) == vendors.rows()


def _sell(url: str) -> None:
    httpx.post(f"{url}/_sim/changes", json={"count": 1, "kinds": ["receipt"]}, timeout=60)


def _file(clone: Path) -> str:
    return f"sqlite:///{clone / 'data' / 'tallyhook.db'}"


def _rows(url: str) -> dict[str, list[str]]:
    """All rows by table, told alike by both databases and in an order of their own."""
    with closing(open_database(url)) as database, database.read() as conn:
        return {
            name: sorted(" | ".join(map(_told_alike, row)) for row in conn.execute(select(table)))
            for name, table in SQLModel.metadata.tables.items()
        }


def _told_alike(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
