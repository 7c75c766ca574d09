"""The questions for a new Finale connection, and the secret of the bridge that reports its changes."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import fields

from app.sources.finale.options import RIGHT, Options
from app.sources.setup import Question, Registered, Setup

SECRET_BYTES = 32

SETUP = Setup(
    questions=(
        Question("account", f"Account: {RIGHT['account']}"),
        Question("api_key", f"API key ({RIGHT['api_key']})", is_secret=True),
        Question("api_secret", f"API secret ({RIGHT['api_secret']})", is_secret=True),
        Question("currency", "Currency of its prices", default="USD"),
    ),
    hint=f"needed are {RIGHT['account']}, {RIGHT['api_key']}, and {RIGHT['api_secret']}",
    options=tuple(each.name for each in fields(Options)),
)


def register(url: str, options: Mapping[str, str]) -> Registered:
    """Finale sends no webhooks: a bridge may post changes to ``url``, signed with a secret that is made here once."""
    todo = (
        f"Finale sends no webhooks itself: let a bridge (Zapier, Make, your own code) post changes to {url}",
        "it signs with Standard Webhooks and the secret (option webhook_secrets); without a bridge, polls bring changes",
    )
    if options.get("webhook_secrets") or options.get("bearer_secret"):
        return Registered("the bridge's secret stays as it was", todo=todo)
    made = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    return Registered("a secret for a bridge was made", {"webhook_secrets": made}, todo)
