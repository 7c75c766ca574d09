"""Runs every benchmark in turn: ``python -m tests.bench [--database sqlite|postgresql]``; about ten minutes for both."""

import argparse
import subprocess
import sys

WITHOUT_CHOICE = ("receiver", "letters", "outcomes", "forecast")
"""Benches that always measure both databases, or none."""

BENCHES = (
    "receiver",
    "reconcile",
    "latency",
    "drain",
    "storm",
    "questions",
    "items",
    "letters",
    "outcomes",
    "recovery",
    "forecast",
)


def main() -> None:
    """Each in a process of its own; the exit code is the first failing one's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"))
    chosen = parser.parse_args()
    codes = [_run(bench, chosen.database) for bench in BENCHES]
    sys.exit(next((code for code in codes if code), 0))


def _run(bench: str, database: str | None) -> int:
    print(f"\n=== {bench}", flush=True)
    choice = [] if database is None or bench in WITHOUT_CHOICE else ["--database", database]
    return subprocess.run([sys.executable, "-m", f"tests.bench.{bench}", *choice], check=False).returncode


if __name__ == "__main__":
    main()
