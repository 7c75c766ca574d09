"""``python -m app.web``: the web process."""

from __future__ import annotations

import uvicorn

from app import config, wiring
from app.web.app import create_app
from app.web.webhooks import Limits


def main() -> None:
    """Serve until SIGTERM; a graceful stop takes at most 10 s."""
    settings = config.load()
    wiring.configure_logging(settings)
    deps = wiring.build(settings, "web")
    app = create_app(deps, Limits(settings.body_limit, settings.body_timeout))
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=10,
        server_header=False,
        proxy_headers=False,  # signatures are computed over the configured public URL, never over a forwarded one
    )


main()
