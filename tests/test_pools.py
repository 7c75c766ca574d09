"""The connections of a default installation are counted, and are few."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from app.cli.up import BULK_THREADS
from app.config import Settings
from app.wiring import build, pool_size

MOST = 40


def default_up() -> int:
    """What the pools of all processes of ``tallyhook up`` come to."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    live = settings.live_processes * pool_size("worker", settings.live_threads)
    return live + pool_size("worker", BULK_THREADS) + sum(pool_size(role) for role in ("web", "clock", "narrator"))


def test_a_default_installation_opens_at_most_forty_connections() -> None:
    assert default_up() <= MOST


@pytest.mark.parametrize(("role", "threads"), [("web", 0), ("clock", 0), ("worker", 16), ("worker", 2), ("cli", 0)])
def test_a_process_opens_no_more_connections_than_its_role_may(role: str, threads: int, tmp_path: Path) -> None:
    url = SecretStr("postgresql://u@127.0.0.1:1/d")
    settings = Settings(_env_file=None, database_url=url, data_dir=tmp_path)  # type: ignore[call-arg]
    pool = build(settings, role, threads=threads).database.engine.pool
    assert (pool.size(), pool._max_overflow) == (pool_size(role, threads), 0)  # type: ignore[attr-defined]
