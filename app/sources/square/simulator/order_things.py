"""What the simulated orders are made of."""

from dataclasses import dataclass, field


@dataclass
class Line:
    """Some of one variation, at a price; amounts in minor units, ``modifier`` for each."""

    variation_id: str  # empty for a gift card
    name: str
    variation_name: str
    quantity: str
    price: int
    modifier: int = 0
    discount: int = 0
    tax: int = 0
    item_type: str = "ITEM"

    def is_ware(self) -> bool:
        """Whether it takes something out of stock; a gift card does not."""
        return self.item_type == "ITEM"

    def ware(self) -> int:
        """The number of the ware that it sells."""
        return int(self.variation_id[-9:])

    def modifiers(self) -> int:
        """What its modifier comes to."""
        return round(float(self.quantity) * self.modifier)

    def gross(self) -> int:
        """Before discount and tax, modifiers included."""
        return round(float(self.quantity) * self.price) + self.modifiers()

    def total(self) -> int:
        """What is paid for it."""
        return self.gross() - self.discount + self.tax


@dataclass
class Order:
    """A sale, a return or both; times in milliseconds. ``version`` is ``None`` for the point of sale."""

    id: str
    location: int
    state: str
    created: int
    updated: int
    version: int | None
    lines: list[Line] = field(default_factory=list)
    shown_from: int = 0
    closed: int | None = None
    returned: list[Line] = field(default_factory=list)
    service: int = 0
    tip: int = 0
    refund: int = 0  # without lines
    customer: str = ""

    def sold(self) -> int:
        """Minor units: what is paid for what is bought."""
        return sum(line.total() for line in self.lines) + self.service + self.tip

    def total(self) -> int:
        """Minor units: what is sold less what comes back."""
        return self.sold() - sum(line.total() for line in self.returned) - self.refund
