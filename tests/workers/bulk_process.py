"""One bulk worker as a process: ``python -m tests.workers.bulk_process RUN_ID`` carries a run out, and can be killed."""

import sys

from app import config, wiring
from app.channels.queue import NullQueue
from app.flows.items.leases import LeaseKeeper
from app.flows.runs.run import run

if __name__ == "__main__":
    deps = wiring.build(config.load(), "cli", queue=NullQueue())
    keeper = LeaseKeeper(deps.database)
    print("ready", flush=True)
    run(deps, keeper, int(sys.argv[1]))
