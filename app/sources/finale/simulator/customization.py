"""The account's names for its own fields and categories."""

from typing import Any

from app.sources.simulating.merchandise import CATEGORIES

USER_CATEGORIES = {name: f"##user{number:02d}" for number, name in enumerate(CATEGORIES)}
"""The ids of categories in the older spelling, by name."""


def customization() -> dict[str, Any]:
    """The customization object as far as it is documented, without price lists."""
    options = [{"optionName": "category", "optionValue": name} for name in CATEGORIES]
    field = {"attrName": "user_10001", "label": "Weight"}
    return {
        "customizationId": "PRIMARY",
        "productTypeList": [{"productTypeId": "GOOD", "userFieldDefList": [field], "optionList": options}],
        "productUserCategoryList": [{"attrName": id_, "label": name} for name, id_ in USER_CATEGORIES.items()],
        "productUserUnitOfMeasureList": [{"attrName": "##user00", "label": "ea"}],
    }
