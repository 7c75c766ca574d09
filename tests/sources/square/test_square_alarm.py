"""A revoked authorisation is an alarm; nothing else is."""

from pathlib import Path

import pytest

from app.sources.square import webhook
from app.sources.square.webhook import SquareReceiver

OFFICIAL = sorted((Path(webhook.__file__).parent / "samples" / "webhooks_official").glob("*.json"))


@pytest.mark.parametrize("file", OFFICIAL, ids=lambda file: file.stem)
def test_only_a_revoked_authorisation_is_an_alarm(file: Path) -> None:
    delivery = SquareReceiver("https://shop.example/webhooks/square", ["k"]).parse({}, file.read_bytes())
    assert delivery.alarm is (file.stem == "oauth.authorization.revoked")
