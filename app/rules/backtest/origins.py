"""When a backtest looks back from, and on which SKUs."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from app.rules.demand.history import Bools

MOST = 12
LEAST = 8
"""Of so many mornings the forecast is made, at most and at least."""

SHORTEST_PAST = 90
"""Days of history before the first of them."""


def origins(days: int, horizon: int) -> tuple[int, ...]:
    """The mornings (days since the first one of the history) from which ``horizon`` days are forecast, oldest first.

    The last one leaves exactly the horizon. They lie a horizon apart, so that no day is judged twice, or nearer where the
    history is short. ``ValueError`` says how long it would have to be.
    """
    last = days - horizon
    room = last - SHORTEST_PAST
    step = min(horizon, room // (LEAST - 1))
    if step < 1:
        least = SHORTEST_PAST + LEAST - 1 + horizon
        raise ValueError(f"{days} days of history; a backtest of {horizon} days needs {least}")
    count = min(MOST, room // step + 1)
    return tuple(last - step * back for back in reversed(range(count)))


def is_reported(names: Sequence[str]) -> Bools:
    """[sku]: the half that a backtest reports on; the other half is there to choose and to learn from.

    A hash of the name decides, so the halves are the same on every machine and whatever else is in the file.
    """
    return np.array([sha256(name.encode()).digest()[0] % 2 == 1 for name in names], dtype=np.bool_)
