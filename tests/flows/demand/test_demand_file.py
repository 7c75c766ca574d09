"""Files of sales as people have them: what is read, and what is refused with its line."""

import gzip
import random
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from app.errors import InvalidRequest
from app.flows.demand.demand_file import DemandFile, read_demand

Read = Callable[..., DemandFile]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_text(text: str | bytes, name: str = "sales.csv") -> DemandFile:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_demand(path)

    return read_text


PLAIN = "sku,day,sold\nB,2026-01-03,2\nA,2026-01-01,1\nA,2026-01-04,0.5\n"


def test_skus_and_days_are_put_in_order_and_gaps_are_days_without_a_sale(read: Read) -> None:
    file = read(PLAIN)
    assert (file.skus, file.first_day, file.has_money) == (("A", "B"), date(2026, 1, 1), False)
    assert file.demand.units.tolist() == [[1, 0, 0, 0.5], [0, 0, 2, 0]]


def test_a_sku_is_on_sale_from_its_first_sale_on(read: Read) -> None:
    assert read(PLAIN).demand.exposure.tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]


def test_a_line_that_tells_the_exposure_begins_a_history_without_a_sale(read: Read) -> None:
    demand = read("sku,day,sold,exposure\nA,2026-01-01,0,1\nA,2026-01-03,2,0.5\n").demand
    assert demand.exposure.tolist() == [[1, 1, 0.5]]


def test_lines_of_one_sku_and_day_add_up(read: Read) -> None:
    assert read("sku,day,sold\nA,2026-01-01,1\nA,2026-01-01,2\n").demand.units.tolist() == [[3]]


def test_the_price_is_what_was_taken_for_a_unit(read: Read) -> None:
    file = read("sku,day,sold,revenue_minor\nA,2026-01-01,1,300\nA,2026-01-02,2,300\n")
    assert (file.has_money, file.demand.prices.tolist()) == (True, [200])


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace("sku,day,sold", " SKU , Day,SOLD "),
        PLAIN.replace("A,", '"A",').replace("B,", " B ,"),
        PLAIN + "\n  \n",
        PLAIN.rstrip("\n"),
        "sku,note,day,sold\nB,x,2026-01-03,2\nA,,2026-01-01,1\nA,y,2026-01-04,.5\n",
        "sku,day,sold,returned\nB,2026-01-03,2,\nA,2026-01-01,1e0,7\nA,2026-01-04,0.50,0\n",
    ],
)
def test_the_same_sales_are_read_from_every_spelling(read: Read, text: str) -> None:
    file, plain = read(text), read(PLAIN)
    assert file.skus == plain.skus
    assert file.demand.units.tobytes() == plain.demand.units.tobytes()


def test_a_packed_file_is_read_whatever_its_name(read: Read) -> None:
    assert read(gzip.compress(PLAIN.encode(), mtime=0), "sales.csv.gz").skus == ("A", "B")
    assert read(gzip.compress(PLAIN.encode(), mtime=0), "sales.csv").skus == ("A", "B")


def test_the_order_of_lines_does_not_change_a_byte(read: Read) -> None:
    dice = random.Random(4)
    lines = [f"S{dice.randrange(5)},2026-01-{dice.randrange(1, 28):02},{dice.random():.3f}" for _ in range(200)]
    shuffled = dice.sample(lines, len(lines))
    one, other = (read("\n".join(["sku,day,sold", *some])) for some in (lines, shuffled))
    assert one.demand.units.tobytes() == other.demand.units.tobytes()


def test_a_day_on_which_a_lively_shop_sold_nothing_is_closed(read: Read) -> None:
    lines = [f"S{sku},2026-01-{day:02},1" for sku in range(20) for day in (1, 2, 4)]
    demand = read("\n".join(["sku,day,sold", *lines])).demand
    assert demand.opened.tolist() == [[1, 1, 0, 1]]
    assert not demand.exposure[:, 2].any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no column 'sku'"),
        ("sku,day\nA,2026-01-01\n", "line 1: no column 'sold'; there are sku, day; expected were sku, day, sold and"),
        ("sku,day,sold,sold\n", "line 1: the column sold stands there 2 times"),
        ("sku,day,sold\n", "has no line of sales"),
        ("sku,day,sold\nA,2026-01-01,1\nA,2026-01-02\n", "line 3: 2 columns; 3 were expected"),
        ("sku,day,sold\nA,2026-01-01,1,5\n", "line 2: 4 columns; 3 were expected"),
        ("sku,day,sold\nA,2026-01-01,-3\n", 'line 2: sold is "-3"; a number from 0 to 1,000,000,000'),
        ("sku,day,sold\nA,2026-01-01,-3\n", "returns have a column of their own"),
        ("sku,day,sold\nA,2026-01-01,\n", 'line 2: sold is ""'),
        ("sku,day,sold\nA,2026-01-01,nan\n", 'line 2: sold is "nan"'),
        ("sku,day,sold\nA,2026-01-01,1e50\n", 'line 2: sold is "1e50"'),
        ('sku,day,sold\nA,2026-01-01,"1,000"\n', 'line 2: sold is "1,000"'),
        ("sku,day,sold\n,2026-01-01,1\n", "line 2: sku has 0 letters"),
        ("sku,day,sold\n\nA,2026-02-30,1\n", 'line 3: day is "2026-02-30"; a day such as 2026-11-29'),
        ("sku,day,sold\nA,01.02.2026,1\n", 'line 2: day is "01.02.2026"'),
        ("sku,day,sold\nA,20260101,1\n", 'line 2: day is "20260101"'),
        ("sku,day,sold,exposure\nA,2026-01-01,1,50\n", 'line 2: exposure is "50"; a share of the day'),
        ("sku,day,sold,exposure\nA,2026-01-01,1,0\n", "line 2: sold is 1 and exposure 0"),
        ("sku,day,sold,returned\nA,2026-01-01,1,x\n", 'line 2: returned is "x"'),
        ("sku,day,sold,exposure\nA,2026-01-01,1,1\nA,2026-01-01,1,0.5\n", "has exposure"),
        ("sku,day,sold\nA,0202-01-01,1\nA,2026-01-01,1\n", "0202-01-01 (line 2) to 2026-01-01 (line 3)"),
        ('sku,day,sold\n"A,2026-01-01,1\n', "line 2"),
        (b"sku,day,sold\nA\xff,2026-01-01,1\n", "is not text in UTF-8"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-9], "cannot be unpacked"),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_its_line(read: Read, text: str | bytes, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(text)
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_said_to_be_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="there is no file"):
        read_demand(tmp_path / "none.csv")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_demand(tmp_path)


def test_what_is_read_is_a_history_that_can_be(read: Read) -> None:
    file = read(PLAIN)
    file.demand.check()
    assert file.demand.units.dtype == np.float64
