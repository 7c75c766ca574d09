"""``python -m app.web``: the web process."""

import sys
import threading
from contextlib import suppress

import uvicorn

from app import config, wiring
from app.config import Settings
from app.errors import BadConfiguration, DatabaseFault, Refused
from app.flows.access.accounts import first_token
from app.flows.deps import Deps
from app.flows.upkeep.heartbeat import await_database
from app.local.embedded import check_free
from app.local.private import keep_private
from app.web.app import create_app
from app.web.auth import AuthSettings
from app.web.protocol import LimitedProtocol
from app.web.webhooks import Limits

WITHOUT_TOKEN = "--without-token"  # noqa: S105
"""Set by a parent process that creates the first token itself."""


def main() -> None:
    """Serve until SIGTERM; a graceful stop takes at most 10 s."""
    keep_private()
    try:
        settings = config.load_behind_router()
        settings.check_auth()
        wiring.configure_logging(settings)
        deps = wiring.build(settings, "web")
        _check_schema(deps)
        check_free(settings.port, settings.host)  # before a token is made that nobody could use
    except (BadConfiguration, Refused) as error:
        raise SystemExit(f"tallyhook: {error}") from None
    if settings.auth == "on" and WITHOUT_TOKEN not in sys.argv[1:] and not _first_start(deps):
        threading.Thread(target=_await_first_start, args=(deps,), name="first-start", daemon=True).start()
    app = create_app(deps, Limits(settings.body_limit, settings.body_timeout), auth_of(settings))
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        http=LimitedProtocol,
        ws="none",
        access_log=False,
        log_config=None,  # its lines go to our log, which removes secrets
        log_level="warning",
        timeout_graceful_shutdown=10,
        server_header=False,
        # signatures are computed over the configured public URL, never over a forwarded one
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
    )


def auth_of(settings: Settings) -> AuthSettings | None:
    """How callers are authenticated; ``None`` where everybody is let in."""
    if settings.auth == "off":
        return None
    return AuthSettings(
        per_token=settings.rate_per_token,
        per_address=settings.rate_per_address,
        https=(settings.public_url or "").startswith("https://"),
    )


def _check_schema(deps: Deps) -> None:
    """Raise ``BadConfiguration`` if the database answers and its schema is not this program's."""
    with suppress(DatabaseFault):  # the process waits for it; readiness then checks its schema
        if not deps.database.at_head():
            raise BadConfiguration("the database does not have this version's schema; run `tallyhook migrate` first")


def _first_start(deps: Deps) -> bool:
    """If nobody can sign in yet, create the first token and show it, only once. ``False`` while the database does not
    answer."""
    try:
        token = first_token(deps) if deps.database.at_head() else None
    except DatabaseFault:
        return False
    if token is not None:
        print(
            f"tallyhook: first start; the admin token, shown only now: {token} "
            "(`tallyhook tokens create --name me --role admin` makes another)",
            file=sys.stderr,
            flush=True,
        )
    return True


def _await_first_start(deps: Deps) -> None:
    never = threading.Event()
    while await_database(deps, never) and not _first_start(deps):
        never.wait(1.0)


if __name__ == "__main__":
    main()
