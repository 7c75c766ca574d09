"""The merchandise of simulated vendors: the same seed gives every vendor the same wares."""

import random
from dataclasses import dataclass

_MATERIALS = ("Bamboo", "Copper", "Linen", "Oak", "Slate", "Wool", "Ceramic", "Cork", "Jute", "Walnut")
_THINGS = ("Bowl", "Lamp", "Mug", "Planter", "Tray", "Basket", "Candle", "Blanket", "Shelf", "Stool", "Vase", "Clock")
_SIZES = ("Small", "Medium", "Large")
CATEGORIES = ("Kitchen", "Living", "Garden", "Office", "Bath", "Seasonal")


@dataclass(frozen=True)
class Ware:
    """One thing for sale; money in minor units."""

    number: int
    sku: str
    name: str
    size: str
    category: int
    price_minor: int
    cost_minor: int
    supplier: int
    lead_time_days: int
    reorder_point: int
    opening_stock: int


def ware(seed: int, number: int) -> Ware:
    """The ware with this number, always the same for a seed; cheap, so that 280,000 can be made on the fly."""
    dice = random.Random(seed * 1_000_003 + number)
    cost = dice.randrange(150, 20_000)
    return Ware(
        number=number,
        sku=f"{dice.choice(_THINGS)[:3].upper()}-{number:06d}",
        name=f"{dice.choice(_MATERIALS)} {dice.choice(_THINGS)}",
        size=dice.choice(_SIZES),
        category=dice.randrange(len(CATEGORIES)),
        price_minor=cost * dice.randrange(15, 30) // 10,
        cost_minor=cost,
        supplier=dice.randrange(8),
        lead_time_days=dice.randrange(2, 45),
        reorder_point=dice.randrange(0, 25),
        opening_stock=dice.randrange(0, 200),
    )
