"""A process that simulates seeds, each in a child of its own: ``python -m app.prove.host``, driven by JSON lines.

The parent sets ``PYTHONHASHSEED``, so that a seed repeats exactly.
"""

import faulthandler
import os
import shutil
import sys
import tempfile
import traceback
from contextlib import closing
from pathlib import Path

import msgspec
import structlog

from app.domain.decoding import decode
from app.prove.emptying import empty
from app.prove.faults import Dial
from app.prove.simulate import Outcome, simulate
from app.stores.sql.engine import open_database

PATIENCE = 600
"""Real seconds after which a seed counts as stuck; the process then prints where."""


class Task(msgspec.Struct):
    """One seed. ``url`` is a migrated PostgreSQL database, or empty for a SQLite file. ``dials`` are allowed, with
    ``all_on`` they are all on. ``hasty`` ends at the first finding."""

    seed: int
    url: str = ""
    dials: list[str] = []
    all_on: bool = False
    hasty: bool = False


def main() -> None:
    """Read tasks from standard input, one JSON line each, and answer each with one line."""
    structlog.configure(processors=[_dropped])
    with tempfile.TemporaryDirectory(prefix="tallyhook-prove-") as folder:
        for line in sys.stdin:
            answer = simulate_in_child(decode(line, Task), Path(folder))
            sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
            sys.stdout.flush()


def _dropped(logger: object, name: str, event: object) -> str:
    raise structlog.DropEvent


def simulate_in_child(task: Task, folder: Path) -> Outcome:
    """Simulate a seed in a child process; a crash of the child is a finding."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as out:
                out.write(msgspec.json.encode(simulate_here(task, folder)))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)  # whatever happens: the folder and the pipes are the parent's
    os.close(writer)
    with os.fdopen(reader, "rb") as result:
        answer = result.read()
    _, status = os.waitpid(child, 0)
    if not answer:
        return Outcome(task.seed, [f"the simulation itself broke off (status {status}); see standard error"])
    return decode(answer, Outcome)


def simulate_here(task: Task, folder: Path) -> Outcome:
    """Simulate a seed in this process, which cannot be used for anything else after that."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    url = task.url or _sqlite(folder)
    if task.url:
        empty(task.url)
    try:
        return simulate(task.seed, url, {Dial(name) for name in task.dials}, all_on=task.all_on, hasty=task.hasty)
    except BaseException:
        return Outcome(task.seed, ["the simulation itself failed: " + traceback.format_exc()[-1500:]])


def _sqlite(folder: Path) -> str:
    template = folder / "template.db"
    if not template.exists():
        with closing(open_database(f"sqlite:///{template}")) as database:
            database.migrate()
    file = folder / "seed.db"
    for old in folder.glob("seed.db*"):
        old.unlink()
    shutil.copy(template, file)
    return f"sqlite:///{file}"


if __name__ == "__main__":
    main()
