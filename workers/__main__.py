"""``python -m workers worker|clock``: one background process."""

import argparse

from app import config, wiring
from app.config import Settings
from app.errors import BadConfiguration
from app.local.private import keep_private
from workers.main import run_worker
from workers.schedule import run_clock


def main() -> None:
    """Parse the command line and work until a signal stops it."""
    parser = argparse.ArgumentParser(prog="workers")
    commands = parser.add_subparsers(dest="role", required=True)
    worker = commands.add_parser("worker")
    worker.add_argument("--queues", default="live,bulk")
    worker.add_argument("--threads", type=int, default=16)
    commands.add_parser("clock")
    chosen = parser.parse_args()
    keep_private()
    try:
        settings = config.load()
        wiring.configure_logging(settings)
        _work(chosen, settings)
    except BadConfiguration as error:
        raise SystemExit(f"tallyhook: {error}") from None


def _work(chosen: argparse.Namespace, settings: Settings) -> None:
    if chosen.role == "clock":
        run_clock(settings)
    else:
        run_worker(settings, queues=chosen.queues.split(","), threads=chosen.threads)


main()
