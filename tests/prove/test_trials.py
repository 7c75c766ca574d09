"""What many trials leave behind."""

import threading
from contextlib import closing

from app.prove.databases import databases_at
from app.prove.guard.ground import Ground
from app.prove.guard.trial import drawn


def test_no_thread_is_left_of_a_trial() -> None:
    with closing(databases_at()) as databases:
        ground = Ground(databases)
        before = set(threading.enumerate())  # a thread of another test may still end meanwhile
        for trial in drawn(1, disasters=4, lives=0, sizes=[10]):
            ground.attempt(trial)
        assert set(threading.enumerate()) <= before
