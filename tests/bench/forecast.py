"""The forecast of a large shop against the textbook's formula: ``python -m tests.bench.forecast [--skus 280000]``.

Both get the same generated year in blocks, as they would come from a database. Each measurement is a process of its own, so
that its peak memory (VmHWM) is its own. Ours includes what is learned from the shop's past.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256

import msgspec
import numpy as np

from app.rules.backtest.textbook import normal_level
from app.rules.demand.forecast import Policy, forecast, typical_levels
from app.rules.demand.history import BLOCK, Demand, Floats
from app.rules.demand.learning import Learned, learn
from tests.bench import servers

DAYS = 365
CLOSED_EVERY = 7
SAMPLE = 20_000
"""SKUs that are learned from."""

TARGET_SECONDS, TARGET_MB = 120, 400
SERVICE = 0.95
SIDES = ("textbook", "Tallyhook")


def main() -> None:
    """Print both sides, and ours divided by the textbook's; or (``--child``) measure one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skus", type=int, default=280_000)
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(msgspec.json.encode(_measure(chosen.child, chosen.skus)).decode())
        return
    print(f"forecast of {chosen.skus:,} SKUs x {DAYS} days, one process; {servers.machine()}")
    print(f"{'':12}{'seconds':>9}{'ratio':>8}{'peak MB':>9}", flush=True)
    found = {}
    for side in SIDES:
        found[side] = _child(side, chosen.skus)
        times = found[side]["seconds"] / found["textbook"]["seconds"]
        print(f"{side:12}{found[side]['seconds']:9.1f}{times:8.1f}{found[side]['megabytes']:9.0f}", flush=True)
    is_met = found["Tallyhook"]["seconds"] < TARGET_SECONDS and found["Tallyhook"]["megabytes"] < TARGET_MB
    print(f"target: {TARGET_SECONDS} s and {TARGET_MB} MB: {'met' if is_met else 'MISSED'}")
    sys.exit(0 if is_met else 1)


def _child(side: str, skus: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.forecast", "--child", side, "--skus", str(skus)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return msgspec.json.decode(done.stdout, type=dict[str, float])


def _measure(side: str, skus: int) -> dict[str, float]:
    """Seconds without those that generate the shop, and the peak of memory with them."""
    seconds, work = (0.0, _textbook) if side == "textbook" else _learned(skus)
    digest = sha256()
    for block in shop(skus):
        began = time.perf_counter()
        found = work(block)
        seconds += time.perf_counter() - began
        digest.update(b"".join(array.tobytes() for array in found))
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(f"{side}: equal inputs give equal bytes, {digest.hexdigest()[:16]}", file=sys.stderr)
    return {"seconds": seconds, "megabytes": peak / 1024}


def _learned(skus: int) -> tuple[float, Callable[[Demand], tuple[Floats, ...]]]:
    """How long it took to learn from a sample, and what forecasts a block with that."""
    sample = sampled(min(skus, SAMPLE))
    began = time.perf_counter()
    learned = learn(sample, np.full(sample.skus, 21.0))
    typical = typical_levels(sample, np.zeros(sample.skus, dtype=np.int64), 1)
    return time.perf_counter() - began, lambda block: _ours(block, learned, typical)


def _textbook(block: Demand) -> tuple[Floats, ...]:
    lead, cycle = np.full(block.skus, 14.0), np.full(block.skus, 21.0)
    return normal_level(block, lead, SERVICE), normal_level(block, cycle, SERVICE)


def _ours(block: Demand, learned: Learned, typical: Floats) -> tuple[Floats, ...]:
    found = forecast(block, _policy(block.skus), learned, typical)
    return found.reorder_point, found.order_up_to, found.days_left


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


def _policy(skus: int) -> Policy:
    return Policy(
        service=np.full(skus, SERVICE),
        lead_days=np.full(skus, 14.0),
        lead_variance=np.full(skus, 9.0),
        review_days=np.full(skus, 7.0),
        available=np.full(skus, 12.0),
        category=np.zeros(skus, dtype=np.int64),
    )


if __name__ == "__main__":
    main()
