"""The queue's server in tests is a real one, and empty at the start of each test."""

from contextlib import closing

import pytest
import redis


@pytest.mark.parametrize("round", [1, 2])
def test_each_test_begins_with_an_empty_server(valkey: str, round: int) -> None:
    with closing(redis.Redis.from_url(valkey)) as client:
        assert client.incr("seen") == 1
