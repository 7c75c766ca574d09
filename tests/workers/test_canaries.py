"""Every secret is a canary, the vendor repeats all it hears, everything fails: and no canary comes out anywhere."""

import base64
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import msgspec
import pytest
from sqlalchemy import select, text
from sqlmodel import SQLModel

from app.domain import Cause, Change, Kind
from app.local.embedded import await_port, free_port
from app.rules.access.redaction import REMOVED
from app.stores import owed
from app.stores.sql.engine import Database, open_database
from app.web.api.operations import OPERATIONS
from app.web.heavy import HeavyReads
from app.web.pages import page_routes
from tests.fakes import World
from tests.stack import eventually
from tests.workers.canary_vendor import ANSWERS, vendor

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1200)]

SECRETS = (
    *("finale__api_key", "finale__api_secret", "finale__webhook_secrets", "finale__bearer_secret"),
    *("square__access_token", "square__webhook_keys"),
)
COMMANDS = (
    ("dead", "list"),
    ("dead", "list", "--json"),
    ("dead", "groups"),
    ("dead", "show", "1", "--all"),
    ("dead", "show", "2", "--json"),
    ("dead", "preview"),
    ("dead", "discard", "id:1", "--why", "as a test", "--yes"),
    ("status", "--json"),
    ("failed", "finale"),
    ("history", "square", "--json"),
    ("audit", "list"),
    ("gaps", "finale", "--from", "2026-01-01"),
    ("sync", "square", "--direct", "--strategy", "locations"),
)
_CLI = """
import json, sys
from app.cli import main
for arguments in json.loads(sys.argv[1]):
    print("$", *arguments, flush=True)
    sys.argv = ["tallyhook", *arguments]
    try:
        main()
    except SystemExit as ended:
        print("exit", ended.code, flush=True)
"""


def canary(name: str) -> str:
    """A secret that could not come from anywhere else, and that looks otherwise in a URL, in JSON and in base64."""
    return f"{secrets.token_hex(8)}/+&{name}"


def traces(secret: str) -> list[str]:
    """What of a secret must not be found: its beginning as it is (or in a URL), its middle in base64 at any place."""
    return [secret[:12], *(base64.b64encode(b"x" * shift + secret.encode()).decode()[4:16] for shift in range(3))]


@dataclass
class Installation:
    """Real processes whose every secret is a canary. ``canaries`` by name; ``outputs`` by where they came out."""

    folder: Path
    environment: dict[str, str]
    canaries: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.environment['TALLYHOOK_PORT']}"

    @property
    def database(self) -> Database:
        return open_database(self.environment["TALLYHOOK_DATABASE_URL"], pool=1)

    def start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**os.environ, **self.environment},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def let_kinds_be_tried(self) -> None:
        """As if an hour had passed: a kind of which nothing is answered is left alone for longer and longer."""
        with closing(self.database) as database, database.begin() as conn:
            conn.execute(text("UPDATE connection_states SET next_probe_at = since WHERE next_probe_at IS NOT NULL"))

    def count(self, sql: str) -> int:
        with closing(self.database) as database, database.read() as conn:
            return int(conn.execute(text(sql)).scalar_one())


@pytest.fixture
def canaries() -> dict[str, str]:
    return {name: canary(name) for name in (*SECRETS, "database", "redis", "sendgrid")}


@pytest.fixture
def installation(database_url: str, valkey: str, canaries: dict[str, str], tmp_path: Path) -> Iterator[Installation]:
    port = free_port(0)
    with ExitStack() as stack:
        echo = stack.enter_context(vendor())
        options = {f"TALLYHOOK_CONNECTIONS__{name.upper()}": canaries[name] for name in SECRETS}
        environment = {
            **options,
            "TALLYHOOK_CONNECTIONS__FINALE__ACCOUNT": "acme",
            "TALLYHOOK_CONNECTIONS__FINALE__BASE_URL": echo,
            "TALLYHOOK_CONNECTIONS__SQUARE__BASE_URL": echo,
            "TALLYHOOK_DATABASE_URL": with_password(database_url, canaries["database"]),
            "TALLYHOOK_REDIS_URL": valkey.replace("//", f"//default:{quote(canaries['redis'], safe='')}@"),
            "TALLYHOOK_PORT": str(port),
            "TALLYHOOK_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "TALLYHOOK_LOG_LEVEL": "debug",
            "TALLYHOOK_SENDGRID_API_KEY": canaries["sendgrid"],
            "TALLYHOOK_MAIL_FROM": "tallyhook@example.com",
            "TALLYHOOK_MAIL_TO": "anna@example.com",
            "TALLYHOOK_MAIL_HOST": echo,
        }
        started = Installation(tmp_path, environment, canaries)
        stack.callback(started.stop)
        started.start("web", "app.web")
        started.start("worker", "workers", "worker", "--threads", "4")
        started.start("clock", "workers", "clock")
        assert await_port(port, 60), started.log("web")
        yield started


def with_password(url: str, password: str) -> str:
    """The same PostgreSQL, which trusts its own machine, with a password; SQLite has none."""
    parts = urlsplit(url)
    if parts.scheme.startswith("sqlite"):
        return url
    user, _, host = parts.netloc.rpartition("@")
    return url.replace(parts.netloc, f"{user.partition(':')[0]}:{quote(password, safe='')}@{host}", 1)


def test_no_canary_comes_out_anywhere(installation: Installation) -> None:
    let_everything_die(installation)
    deliver(installation)
    token = collect(installation)
    installation.canaries["token"] = token
    result = [
        f"{name} in {where}: ...{output[max(0, at - 150) : at + 80]!r}"
        for where, output in installation.outputs.items()
        for name, secret in installation.canaries.items()
        for trace in traces(secret)
        if (at := output.find(trace)) >= 0
    ]
    assert result == [], "\n".join(result)
    letter = next(where for where in installation.outputs if re.fullmatch(r"answer /api/dead-letters/\d+", where))
    for where in ("table dead_letters", "table runs", "log worker", letter, "answer preview", "commands"):
        assert REMOVED in installation.outputs[where], f"nothing was taken out of {where}: was there anything in it?"


def let_everything_die(installation: Installation) -> None:
    """Owe items, on their last try or their first, that the vendor answers in each of its ways; the clock adds runs."""
    letters = len(ANSWERS) * 2
    with closing(installation.database) as database, database.begin() as conn:
        for connection, kind in (("finale", Kind.PRODUCT), ("square", Kind.ORDER)):
            changes = [Change(kind, f"{word}-{connection}") for word in (*ANSWERS, "young-AS500")]
            owed.owe(conn, connection, changes, Cause.WEBHOOK, datetime.now(UTC))
        conn.execute(text("UPDATE owed_items SET attempts = 59 WHERE external_id LIKE 'AS%'"))

    def are_dead() -> bool:
        installation.let_kinds_be_tried()
        return (
            installation.count("SELECT count(*) FROM dead_letters") >= letters
            and installation.count("SELECT count(*) FROM attempts") >= 2
            and installation.count("SELECT count(*) FROM runs WHERE status = 'failed'") > 0
        )

    died = eventually(are_dead, within=900, every=2)
    assert died, (
        [installation.count(f"SELECT count(*) FROM {of}") for of in ("dead_letters", "attempts", "owed_items")],
        installation.log("worker")[-2000:],
    )


def deliver(installation: Installation) -> None:
    """Webhooks with the right secret, in a header and where it does not belong, and with wrong ones."""
    url, bearer = f"{installation.web}/webhooks/finale", installation.canaries["finale__bearer_secret"]
    right = {"authorization": f"Bearer {bearer}", "x-forwarded-authorization": bearer, "cookie": f"a={bearer}"}
    notice = {"event": "product.updated", "data": {"productId": "AS401-2"}}
    with httpx.Client(timeout=60) as sender:
        answers = [
            sender.post(url, headers=right, json=notice),
            sender.post(url, headers=right, content=b"{not json"),
            sender.post(url, headers={"authorization": f"Basic {bearer[:-1]}"}, json=notice),
            sender.post(url, headers={"webhook-signature": "v1,x"}, json=notice),
            sender.post(f"{installation.web}/webhooks/square", json={"type": "x"}),
        ]
    assert [answer.status_code for answer in answers] == [202, 400, 401, 401, 401]
    installation.outputs["refusals"] = "".join(f"{answer.headers} {answer.text}" for answer in answers)


def collect(installation: Installation) -> str:
    """Everything that came out, into ``outputs``; returns the admin token, which the web's log shows once."""
    web = installation.log("web")
    shown = re.search(r"shown only now: (\S+)", web)
    assert shown, web
    with httpx.Client(
        base_url=installation.web, headers={"authorization": f"Bearer {shown[1]}"}, timeout=60
    ) as client:
        for path in paths(installation):
            answer = client.get(path)
            installation.outputs[f"answer {path}"] = f"{answer.status_code} {answer.headers} {answer.text}"
        answer = client.post("/api/dead-letters/preview", json={"filter": "item:AS400*"})
        installation.outputs["answer preview"] = answer.text
    installation.outputs["commands"] = commands(installation)
    installation.stop()
    for name in ("web", "worker", "clock"):
        installation.outputs[f"log {name}"] = installation.log(name).replace(shown[0], "")
    with closing(installation.database) as database, database.read() as conn:
        for name, table in SQLModel.metadata.tables.items():
            rows = conn.execute(select(table)).all()
            installation.outputs[f"table {name}"] = "\n".join(" ".join(map(plain, row)) for row in rows)
    for file in installation.folder.glob("test.db*"):
        installation.outputs[f"file {file.name}"] = file.read_bytes().decode("latin-1")
    return shown[1]


def paths(installation: Installation) -> list[str]:
    """Every page and every question of the API, about the first thing there is."""
    first = installation.count("SELECT min(id) FROM dead_letters")
    with closing(installation.database) as database:
        pages = [
            route.path
            for route in page_routes(World(database).deps, None, HeavyReads())
            if "GET" in (route.methods or ())
        ]
    questions = [one.path for one in OPERATIONS if one.method == "GET"]
    here = [path.replace("{connection}", "square") for path in (*pages, *questions)]
    named = [re.sub(r"{id.*?}", str(first) if "letters/{id" in path else "1", path) for path in here]
    return [*named, "/metrics", "/openapi.json"]


def commands(installation: Installation) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _CLI, msgspec.json.encode(COMMANDS).decode()],
        env={**os.environ, **installation.environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def plain(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
