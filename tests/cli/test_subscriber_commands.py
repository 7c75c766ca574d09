"""``tallyhook subscribers``: created with a secret that is shown once, listed, tested, paused and deleted."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.rules.access.encryption import Encryption
from tests.cli.conftest import Terminal
from tests.listener import Listener, listening

KEY = "w5BKJ0uTPIyE6pTYCk2yE6mXRYVnUVjRUkIhbG0BvbM="


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener
