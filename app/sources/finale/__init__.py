"""Finale Inventory: a REST API without webhooks, read by lists, windows and single records."""

from collections.abc import Mapping

from app.sources.base import Context, Source
from app.sources.finale.client import Client
from app.sources.finale.options import Options, read
from app.sources.finale.source import FinaleSource
from app.sources.finale.webhook import BridgeReceiver


def connect(context: Context, options: Mapping[str, str]) -> Source:
    """Build the source of one account; the options are those of ``options.Options``, as text.

    Raises ``BadConfiguration`` for a missing, unknown or wrong option. Nothing is sent yet.
    """
    settings = read(context.connection, options)
    return FinaleSource(Client(context, settings), settings, _receiver(settings), context.now)


def _receiver(settings: Options) -> BridgeReceiver | None:
    if not settings.webhook_secrets and not settings.bearer_secret:
        return None
    return BridgeReceiver(settings.webhook_secrets, settings.bearer_secret)
