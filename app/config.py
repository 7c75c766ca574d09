"""Reads the environment once into Settings; nothing else in Tallyhook reads it."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from dotenv import dotenv_values
from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from app.errors import BadConfiguration
from app.rules.access.encryption import key_problem
from app.rules.runs import schedule
from app.rules.settings import PREFIX, misspelt, proxies_problem, public_url_problem, redis_problem, wrong_value

ENV_FILE = ".env"
"""In the working folder; the environment takes precedence."""

ROUTERS_PORT = "PORT"
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 (behind a platform's router; authentication is on)


def _days(default: int, what: str) -> Any:
    """A setting in days, with its description."""
    return Field(default=default, ge=0, le=36_500, description=f"days until these are removed: {what}; 0 keeps all")


class Account(NamedTuple):
    """One configured account of a vendor; the secrets among its ``options`` are revealed."""

    source: str
    options: dict[str, str]


class Settings(BaseSettings):
    """Every setting, its default and what it is for. Names in the environment begin with ``TALLYHOOK_``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=ENV_FILE,
        extra="ignore",
        populate_by_name=True,
    )

    data_dir: Path = Field(default=Path("data"), description="folder of the embedded database and queue")
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("TALLYHOOK_DATABASE_URL", "DATABASE_URL"),
        description="postgresql://... or sqlite:///file; default: SQLite in the data folder",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("TALLYHOOK_REDIS_URL", "REDIS_URL"),
        description="redis://... (Redis or Valkey); default: an embedded Valkey under `tallyhook up`",
    )
    host: str = Field(default="127.0.0.1", description="address the web process binds to")
    port: int = Field(
        default=8000,
        ge=0,
        le=65_535,
        validation_alias=AliasChoices("TALLYHOOK_PORT", "PORT"),
        description="port of the web process",
    )
    public_url: str | None = Field(
        default=None,
        description="how the outside reaches the web process; signatures are computed over it",
    )
    connections: dict[str, dict[str, SecretStr]] = Field(
        default_factory=dict,
        description="one entry per account: CONNECTIONS__<SLUG>__<OPTION>; SOURCE defaults to the slug's first word",
    )
    poll_cron: str = Field(default="*/5 * * * *", description="when every connection is polled")
    reconcile_cron: str = Field(
        default="0 3 * * 1-6", description="when the nightly full run starts; on Sunday it is the deep one"
    )
    timezone: str = Field(default="UTC", description="time zone of the schedules' defaults")
    live_processes: int = Field(default=2, ge=1, description="worker processes for live items under `tallyhook up`")
    live_threads: int = Field(default=16, ge=1, description="threads of a live worker process")
    guard_share: float = Field(default=0.20, gt=0, le=1, description="share of rows above which a batch is held")
    guard_rows: int = Field(default=25, ge=1, description="fewest rows for which a batch is held")
    spot_checks: int = Field(
        default=4, ge=0, le=100, description="random rows of each kind compared with the source an hour; 0 for none"
    )
    bulk_patience: float = Field(default=900.0, ge=0, description="seconds a bulk read may wait for its budget")
    body_limit: int = Field(default=1_048_576, ge=1, description="largest webhook body in bytes")
    body_timeout: float = Field(default=8.0, gt=0, description="seconds a webhook body may take to arrive")
    auth: Literal["on", "off"] = Field(
        default="on", description="off lets everybody in; only where nothing but this machine can connect"
    )
    rate_per_token: int = Field(default=600, ge=1, description="requests a minute of one token or session")
    rate_per_address: int = Field(default=1_200, ge=1, description="requests a minute from one network address")
    trusted_proxies: str = Field(
        default="", description="addresses whose X-Forwarded-For is believed, comma separated; never *"
    )
    keep_letters_days: int = Field(
        default=0, ge=0, le=36_500, description="days until dead letters are removed; 0 leaves that to people"
    )
    keep_done_letters_days: int = _days(365, "letters replayed, discarded, or whose item was brought in since")
    keep_inbox_days: int = _days(90, "inbox events and settlements")
    keep_drift_days: int = _days(365, "differences that runs found")
    keep_runs_days: int = _days(365, "runs, and failed items that were synced since")
    keep_dry_runs_days: int = _days(14, "dry runs with what they found, and pages of runs that nobody resumed")
    keep_alerts_days: int = _days(365, "alerts and outages that are over, decided holds, ended replays")
    keep_figures_days: int = _days(400, "figures by ten minutes")
    keep_heartbeats_days: int = _days(30, "signs of life of processes long gone")
    keep_history_days: int = _days(400, "changes of products and stock")
    keep_tombstones_days: int = _days(30, "tombstones of ids that were never stored here")
    keep_answers_days: int = _days(30, "remembered answers, sessions that are over, call budgets nobody uses")
    keep_audit_days: int = _days(400, "entries of the audit log, which go into a file")
    secret_key: SecretStr | None = Field(
        default=None, description="key that encrypts the secrets in the database: 32 random bytes in base64"
    )
    sendgrid_api_key: SecretStr | None = Field(
        default=None, description="SendGrid key; without it alerts are not mailed"
    )
    mail_from: str = Field(default="", description="sender of alerts")
    mail_to: str = Field(default="", description="who gets alerts, comma separated")
    mail_host: str = Field(default="https://api.sendgrid.com", description="where SendGrid's API is")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)] = Field(
        default="info", description="debug, info, warning or error"
    )
    log_json: bool = Field(default=False, description="one JSON object per log line instead of text for people")

    def database(self) -> str:
        """The database URL, embedded by default."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.embedded_database()}"

    def embedded_database(self) -> Path:
        """The file of the embedded database."""
        return (self.data_dir / "tallyhook.db").absolute()

    def address(self) -> str:
        """How the outside reaches the web process; where nobody says, only this machine does."""
        return self.public_url or f"http://127.0.0.1:{self.port}"

    def redis(self) -> str | None:
        """The queue's URL, ``None`` when there is none."""
        return self.redis_url.get_secret_value() if self.redis_url is not None else None

    def secrets(self) -> set[str]:
        """Every secret value of these settings, for taking them out of texts: credentials, and passwords in URLs."""
        urls = [url.get_secret_value() for url in (self.database_url, self.redis_url) if url is not None]
        keys = (self.sendgrid_api_key, self.secret_key)
        values = {key.get_secret_value() for key in keys if key is not None} | {
            password for url in urls for password in _passwords(url)
        }
        for account in self.accounts().values():
            for name, value in account.options.items():
                if any(word in name for word in ("key", "secret", "token", "password")):
                    values |= {part.strip() for part in value.split(",")} | {value}
        return values

    def credentials(self) -> dict[str, str]:
        """Slug to a one-way digest of the connection's options, 16 hexadecimal digits: it changes with any of them."""
        return {slug: _digest(slug, account) for slug, account in self.accounts().items()}

    def check_auth(self) -> None:
        """Raise ``BadConfiguration`` when everybody who reaches the web process over a network would be let in."""
        if self.auth == "off" and not _is_loopback(self.host):
            raise BadConfiguration(
                f"auth is off and host is {self.host}: everybody who can reach this machine could do everything; "
                "set TALLYHOOK_AUTH=on, or TALLYHOOK_HOST=127.0.0.1"
            )

    def accounts(self) -> dict[str, Account]:
        """The configured accounts by slug. Underscores in a slug become hyphens."""
        accounts: dict[str, Account] = {}
        for name, options in self.connections.items():
            slug = name.lower().replace("_", "-")
            plain = {option.lower(): value.get_secret_value() for option, value in options.items()}
            source = plain.pop("source", slug.split("-")[0])
            accounts[slug] = Account(source, plain)
        return accounts


def load(**instead: Any) -> Settings:
    """The settings of this process, with some ``instead`` of what the environment says.

    Raises ``BadConfiguration`` naming all that is wrong and what would be right, never a secret's value.
    """
    wrong = [*misspelt(_written(), _names())]
    try:
        settings = Settings(**instead)
    except SettingsError:  # of settings that are made of several only the connections can be told as one text
        wrong.append(wrong_value(f"{PREFIX}CONNECTIONS", "dict_type", {}, ""))
        raise BadConfiguration(_settings(wrong)) from None
    except ValidationError as error:
        wrong += (_problem(item) for item in error.errors())
        raise BadConfiguration(_settings(wrong)) from None
    wrong += _mistaken(settings)
    if wrong:
        raise BadConfiguration(_settings(wrong))
    return settings


def load_behind_router() -> Settings:
    """The settings of a web process. If a platform sets ``PORT``, the port on which its router expects us, and no host is
    set, we bind every address of this machine. Raises ``BadConfiguration``."""
    settings = load()
    if os.environ.get(ROUTERS_PORT) and not {f"{PREFIX}HOST", f"{PREFIX}PORT"} & {
        name.upper() for name in _written()
    }:
        return settings.model_copy(update={"host": EVERY_ADDRESS})
    return settings


def _settings(wrong: list[str]) -> str:
    return f"settings (environment, or {Path(ENV_FILE).absolute()}): {'; '.join(wrong)}"


def _written() -> set[str]:
    """Every name in the environment and in the file; raises ``BadConfiguration`` for a file that cannot be read."""
    try:
        return {*os.environ, *dotenv_values(ENV_FILE)}
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise BadConfiguration(f"the settings in {Path(ENV_FILE).absolute()} cannot be read: {why}") from None


def _names() -> set[str]:
    aliases = (field.validation_alias for field in Settings.model_fields.values())
    spelled = {str(name) for alias in aliases if isinstance(alias, AliasChoices) for name in alias.choices}
    return spelled | {f"{PREFIX}{name}".upper() for name in Settings.model_fields}


def _problem(item: Mapping[str, Any]) -> str:
    first, *path = (str(part) for part in item["loc"])
    name = first if first.startswith(PREFIX) else f"{PREFIX}{first}"
    return wrong_value("__".join([name, *path]).upper(), item["type"], item.get("ctx", {}), item["msg"])


def _mistaken(settings: Settings) -> Iterator[str]:
    """Problems that pydantic cannot see in a single value."""
    for name, cron in (("POLL_CRON", settings.poll_cron), ("RECONCILE_CRON", settings.reconcile_cron)):
        try:
            schedule.check(cron, settings.timezone, datetime.now(UTC))
        except BadConfiguration as error:
            yield f"{PREFIX}{name}: {error}"
    url = settings.redis()
    problems = {
        "REDIS_URL": redis_problem(url) if url is not None else None,
        "PUBLIC_URL:": public_url_problem(settings.public_url) if settings.public_url else None,
        "SECRET_KEY": key_problem(settings.secret_key.get_secret_value())
        if settings.secret_key is not None
        else None,
        "TRUSTED_PROXIES": proxies_problem(settings.trusted_proxies),
    }
    yield from (f"{PREFIX}{name} {problem}" for name, problem in problems.items() if problem is not None)


def _passwords(url: str) -> set[str]:
    """The passwords in a URL: that of its user, and those among its parameters."""
    parts = urlsplit(url)
    passwords = {value for name, value in parse_qsl(parts.query) if "password" in name or "secret" in name}
    return passwords | ({unquote(parts.password)} if parts.password else set())


def _digest(slug: str, account: Account) -> str:
    payload = json.dumps([account.source, sorted(account.options.items())]).encode()
    return hashlib.blake2b(payload, digest_size=8, key=slug.encode()[:64], person=b"tallyhook").hexdigest()


def _is_loopback(host: str) -> bool:
    """Whether only this machine can connect to that host; a name that is not ``localhost`` could be any address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
