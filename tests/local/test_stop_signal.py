"""A process that waits for a signal stops whenever the signal comes."""

import subprocess
import sys

SIGNALLED_WHILE_IT_WAITS = """
import random, signal
from app.local.stop_signal import StopSignal

rng = random.Random(1)
for _ in range(300):
    stopping = StopSignal()
    signal.signal(signal.SIGALRM, lambda *_: stopping.set())
    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, 1e-4))
    while not stopping.wait(1e-5):
        pass
"""


def test_a_signal_at_any_step_of_waiting_stops_the_process() -> None:
    subprocess.run([sys.executable, "-c", SIGNALLED_WHILE_IT_WAITS], check=True, timeout=120)
