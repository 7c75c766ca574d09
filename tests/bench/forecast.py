"""The forecast of a large shop against the textbook's formula: ``python -m tests.bench.forecast [--skus 280000]``.

Both get the same generated year in blocks, as they would come from a database. Each measurement is a process of its own, so
that its peak memory (VmHWM) is its own. Ours includes what is learned from the shop's past.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256

import msgspec
import numpy as np

from app.rules.backtest.textbook import mean_of_30_days, normal_level
from app.rules.demand.forecast import Policy, forecast, typical_levels
from app.rules.demand.history import BLOCK, Demand, Floats
from app.rules.demand.learning import learn
from tests.bench import servers

DAYS = 365
CLOSED_EVERY = 7
SAMPLE = 20_000
"""SKUs that are learned from."""

TARGET_SECONDS, TARGET_MB = 120, 400
SERVICE = 0.95
SIDES = ("generating alone", "textbook", "Tallyhook")


def main() -> None:
    """Print every side, and ours divided by the textbook's; or (``--child``) measure one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skus", type=int, default=280_000)
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(msgspec.json.encode(_measure(chosen.child, chosen.skus)).decode())
        return
    print(f"forecast of {chosen.skus:,} SKUs x {DAYS} days, one process; {servers.machine()}")
    print(f"{'':20}{'seconds':>9}{'peak MB':>9}")
    found = {side: _child(side, chosen.skus) for side in SIDES}
    for side, figures in found.items():
        print(f"{side:20}{figures['seconds']:9.1f}{figures['megabytes']:9.0f}", flush=True)
    floor = found["generating alone"]["seconds"]
    ours, textbook = (found[side]["seconds"] - floor for side in ("Tallyhook", "textbook"))
    is_met = found["Tallyhook"]["seconds"] < TARGET_SECONDS and found["Tallyhook"]["megabytes"] < TARGET_MB
    print(f"\nwithout generating: {ours:.1f} s, {ours / textbook:.1f} times the textbook's {textbook:.1f}")
    print(f"target: {TARGET_SECONDS} s and {TARGET_MB} MB: {'met' if is_met else 'MISSED'}")
    sys.exit(0 if is_met else 1)


def _child(side: str, skus: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.forecast", "--child", side, "--skus", str(skus)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return msgspec.json.decode(done.stdout, type=dict[str, float])


def _measure(side: str, skus: int) -> dict[str, float]:
    began = time.perf_counter()
    digest = {"generating alone": _generate, "textbook": _textbook, "Tallyhook": _ours}[side](skus)
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(f"{side}: {digest}", file=sys.stderr)
    return {"seconds": time.perf_counter() - began, "megabytes": peak / 1024}


def shop(skus: int) -> Iterator[Demand]:
    """The same shop each time, in blocks: most SKUs sell now and then, a few a lot; one day in seven is closed, and one
    shelf in twenty runs empty for a while."""
    for block, begin in enumerate(range(0, skus, BLOCK)):
        dice = np.random.default_rng([7, block])
        count = min(BLOCK, skus - begin)
        level = dice.lognormal(-1.5, 1.5, (count, 1))
        orders = dice.poisson(level / 2, (count, DAYS)).astype(np.float64)
        units = orders * dice.integers(1, 4, (count, DAYS))
        opened = np.ones((1, DAYS))
        opened[0, CLOSED_EVERY - 1 :: CLOSED_EVERY] = 0
        exposure = np.repeat(opened, count, axis=0)
        empty = dice.integers(0, DAYS - 14, count // 20)
        for sku, day in enumerate(empty.tolist()):
            exposure[sku, day] *= 0.5
            exposure[sku, day + 1 : day + 14] = 0
        yield Demand(units * (exposure > 0), exposure, opened, np.full(count, 500.0))


def sampled(skus: int) -> Demand:
    """The first SKUs of the shop, as one history."""
    blocks = list(shop(skus))
    return Demand(
        np.concatenate([block.units for block in blocks]),
        np.concatenate([block.exposure for block in blocks]),
        blocks[0].opened,
        np.concatenate([block.prices for block in blocks]),
    )


def _generate(skus: int) -> str:
    return _digest(block.units.sum(axis=1) for block in shop(skus))


def _textbook(skus: int) -> str:
    days = np.full(BLOCK, 21.0)
    return _digest(
        mean_of_30_days(block, days[: block.skus]) + normal_level(block, days[: block.skus], SERVICE)
        for block in shop(skus)
    )


def _ours(skus: int) -> str:
    sample = sampled(min(skus, SAMPLE))
    learned = learn(sample, np.full(sample.skus, 21.0))
    typical = typical_levels(sample, np.zeros(sample.skus, dtype=np.int64), 1)
    del sample
    found = (forecast(block, _policy(block.skus), learned, typical) for block in shop(skus))
    return _digest(array for one in found for array in (one.reorder_point, one.order_up_to, one.days_left))


def _policy(skus: int) -> Policy:
    numbers = (np.full(skus, value) for value in (SERVICE, 14.0, 9.0, 7.0, 12.0))
    return Policy(*numbers, np.zeros(skus, dtype=np.int64))


def _digest(arrays: Iterator[Floats]) -> str:
    """Equal inputs give equal bytes: the same in every run."""
    digest = sha256()
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main()
