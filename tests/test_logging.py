"""What a process writes to standard error knows no secret, whoever writes it and however the process ends."""

import base64
import json
import os
import subprocess
import sys
from urllib.parse import quote

import pytest

KEY, PASSWORD = "canary-key-8141/+x", "canary-password-2718"

_PROCESS = """
import logging, sys, threading
import structlog
from app import config, wiring

key, password = sys.argv[1:]
wiring.configure_logging(config.load())
log = structlog.get_logger()
log.info("in_a_value", error=f"said: {key}")
log.info("in_a_list", parts=[{"deep": (key, {"deeper": password})}])
log.info("as_bytes", body=key.encode())
log.info(f"in_the_event {password}")
log.debug("debug", exc=ValueError(key))
try:
    raise ConnectionError(f"to redis://:{password}@here") from LookupError(key)
except ConnectionError as error:
    log.error("with_traceback", exc_info=error)
    logging.getLogger("uvicorn.error").exception("library %s", key)
thread = threading.Thread(target=lambda: int(key))
thread.start()
thread.join()
raise RuntimeError(f"the end: {password}")
"""


@pytest.fixture(scope="module", params=["text", "json"])
def written(request: pytest.FixtureRequest) -> str:
    """Standard error of a process that logs its secrets in every way there is, and ends by one."""
    settings = {
        "TALLYHOOK_DATABASE_URL": f"postgresql://me:{quote(PASSWORD)}@127.0.0.1:1/none",
        "TALLYHOOK_CONNECTIONS__SHOP__API_KEY": KEY,
        "TALLYHOOK_LOG_LEVEL": "debug",
        "TALLYHOOK_LOG_JSON": str(request.param == "json").lower(),
    }
    command = [sys.executable, "-c", _PROCESS, KEY, PASSWORD]
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


def test_no_line_holds_a_secret(written: str) -> None:
    forms = [form for one in (KEY, PASSWORD) for form in (one, quote(one, safe=""), encoded(one))]
    assert [line for line in written.splitlines() if any(form in line for form in forms)] == []


@pytest.mark.parametrize(
    "event",
    [
        "in_a_value",
        "in_a_list",
        "as_bytes",
        "in_the_event (removed)",
        "ConnectionError: to redis://:(removed)@here",
        "LookupError: (removed)",
        "library (removed)",
        "invalid literal for int() with base 10: '(removed)'",
        "RuntimeError: the end: (removed)",
    ],
)
def test_every_line_is_still_written(written: str, event: str) -> None:
    assert event in written


def test_json_logs_are_json_to_the_last_line(request: pytest.FixtureRequest, written: str) -> None:
    if request.node.callspec.params["written"] == "json":
        assert [line for line in written.splitlines() if not line.startswith('{"')] == []
        assert "Traceback" in json.loads(written.splitlines()[-1])["exception"]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")
