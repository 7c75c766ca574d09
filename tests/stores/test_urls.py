"""What a database URL may say, and how it is refused."""

import sqlite3
from contextlib import closing

import pytest
from pydantic import SecretStr

from app.config import Settings
from app.errors import BadConfiguration, DatabaseFault
from app.stores.sql.engine import Database, open_database
from app.stores.sql.urls import parse

SERVER = "postgresql://u:secret@h/d"


def _refusal(url: str) -> str:
    with pytest.raises(BadConfiguration) as refused:
        parse(url)
    return str(refused.value)


def _connects_with(url: str) -> dict[str, object]:
    """What the driver is given."""
    parsed = parse(url)
    engine = open_database(url).engine
    return {**engine.dialect.create_connect_args(engine.url)[1], **parsed.arguments}


def _application_name(database: Database) -> object:
    with database.begin() as conn:
        return conn.exec_driver_sql("SHOW application_name").scalar()


@pytest.mark.parametrize(
    "parameter",
    [
        "sslmode=require",
        "target_session_attrs=read-write",
        "options=-c%20search_path%3Dx",
        "load_balance_hosts=random",
        "sslrootcert=system&sslmode=verify-full",
        "connect_timeout=3",
        "channel_binding=prefer",
    ],
)
def test_a_parameter_of_libpq_is_passed_on(parameter: str) -> None:
    name = parameter.partition("=")[0]
    assert name in _connects_with(f"{SERVER}?{parameter}")


@pytest.mark.parametrize("parameter", ["application_name=mine", "connect_timeout=3", "keepalives_idle=7"])
def test_what_a_url_says_goes_before_our_defaults(parameter: str) -> None:
    name, _, value = parameter.partition("=")
    assert _connects_with(f"{SERVER}?{parameter}")[name] == value


def test_our_defaults_stand_for_what_a_url_does_not_say() -> None:
    assert _connects_with(SERVER)["application_name"] == "tallyhook"


def test_a_server_sees_the_name_that_the_url_gives(postgres_url: str) -> None:
    with closing(open_database(f"{postgres_url}&application_name=mine")) as database:
        assert _application_name(database) == "mine"


@pytest.mark.parametrize("threshold", ["none", "0", "3"])
def test_a_server_of_ones_own_takes_any_threshold(postgres_url: str, threshold: str) -> None:
    with closing(open_database(f"{postgres_url}&prepare_threshold={threshold}&pgbouncer=false")) as database:
        with database.begin() as conn:
            connection = conn.connection.driver_connection
        assert connection is not None
        assert str(connection.prepare_threshold).lower() == threshold


def test_a_server_of_ones_own_is_not_taken_for_a_pooler(postgres_url: str) -> None:
    with closing(open_database(postgres_url)) as database, database.begin() as conn:
        connection = conn.connection.driver_connection
        assert connection is not None
        assert connection.prepare_threshold == 5


@pytest.mark.parametrize(
    ("parameters", "pooled"),
    [
        ("", None),
        ("?pgbouncer=true", True),
        ("?pgbouncer=1", True),
        ("?pgbouncer=False", False),
        ("?prepare_threshold=none", True),
        ("?prepare_threshold=None", True),
        ("?prepare_threshold=0", None),
        ("?prepare_threshold=none&pgbouncer=false", False),
    ],
)
def test_a_url_says_whether_there_is_a_pooler(parameters: str, pooled: bool | None) -> None:
    assert parse(SERVER + parameters).pooled is pooled


def test_ours_are_not_passed_on() -> None:
    assert not {"pgbouncer"} & _connects_with(f"{SERVER}?pgbouncer=true&prepare_threshold=3").keys()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@a:1,b:2/d",
        "postgresql://u@/d?host=a:1&host=b:2",
        "postgresql://u@/d?host=a,b&port=1,2",
        "postgres://u@/d?host=a:1,b:2",
    ],
)
def test_several_hosts_may_be_written_in_every_usual_way(url: str) -> None:
    given = _connects_with(url)
    assert (given["host"], given["port"]) == ("a,b", "1,2")


def test_of_several_hosts_the_one_that_takes_writes_is_ours() -> None:
    assert _connects_with("postgresql://u@a,b/d")["target_session_attrs"] == "read-write"


def test_several_hosts_may_be_taken_otherwise() -> None:
    assert _connects_with("postgresql://u@a,b/d?target_session_attrs=primary")["target_session_attrs"] == "primary"


@pytest.mark.parametrize("url", ["postgresql://u@[::1]:5433/d", "postgresql://u@/d?host=[::1]:5433"])
def test_a_host_may_be_an_ipv6_address(url: str) -> None:
    given = _connects_with(url)
    assert (given["host"], str(given["port"])) == ("::1", "5433")


def test_the_first_host_that_answers_is_taken(postgres_url: str) -> None:
    folder = postgres_url.partition("host=")[2]
    url = f"{postgres_url.partition('?')[0]}?host=/no/such/folder,{folder}"
    with closing(open_database(url)) as database:
        assert _application_name(database) == "tallyhook"


@pytest.mark.parametrize("parameter", ["schema=x", "connection_limit=5", "sslmod=require", "PGBOUNCER=true"])
def test_an_unknown_parameter_is_named(parameter: str) -> None:
    assert parameter.partition("=")[0] in _refusal(f"{SERVER}?{parameter}")


def test_a_refusal_says_what_is_known() -> None:
    assert {"pgbouncer,", "prepare_threshold,", "sslmode,"} <= set(_refusal(f"{SERVER}?nonsense=1").split())


@pytest.mark.parametrize("parameter", ["sslmode", "pgbouncer", "sslmode=", "nonsense"])
def test_a_parameter_without_a_value_is_refused(parameter: str) -> None:
    assert parameter.partition("=")[0] in _refusal(f"{SERVER}?{parameter}")


@pytest.mark.parametrize(
    "parameter",
    [
        "pgbouncer=perhaps",
        "prepare_threshold=-1",
        "prepare_threshold=many",
        "prepare_threshold=²",
        "sslmode=requre",
        "target_session_attrs=writable",
        "connect_timeout=soon",
        "keepalives_idle=1.5",
        "port=abc",
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_name(parameter: str) -> None:
    assert parameter.partition("=")[0] in _refusal(f"{SERVER}?{parameter}")


@pytest.mark.parametrize("parameters", ["sslmode=disable&sslmode=require", "pgbouncer=true&pgbouncer=false"])
def test_a_parameter_that_stands_twice_is_refused(parameters: str) -> None:
    assert "stands 2 times" in _refusal(f"{SERVER}?{parameters}")


@pytest.mark.parametrize("url", ["postgresql://u@/d?host=a,b&port=1,2,3", "postgresql://u@/d?host=a:1&port=1"])
def test_hosts_and_ports_that_do_not_fit_are_refused(url: str) -> None:
    assert "port" in _refusal(url)


@pytest.mark.parametrize(
    "url",
    [
        f"{SERVER}?nonsense=1",
        f"{SERVER}?sslmode=requre",
        f"{SERVER}?pgbouncer=perhaps",
        "postgresql://u:pa?secret@h:port/d",
        "postgresql://u:p@ss?secret=x@h/d",
        "postgresql://u@h/d?password=secret&nonsense=1",
        "postgresql://u@h/d?secret%20text=1",
        "sqlite:////a.db?secret%20text=1",
    ],
)
def test_a_refusal_does_not_show_what_may_be_secret(url: str) -> None:
    assert "secret" not in _refusal(url)


@pytest.mark.parametrize("url", [SERVER, "postgresql://u@h/d?password=secret"])
def test_a_parsed_url_does_not_show_its_password(url: str) -> None:
    assert "secret" not in repr(parse(url))


def test_a_password_may_stand_among_the_parameters() -> None:
    assert parse("postgresql://h/?user=u&password=p&dbname=d").url == parse("postgresql://u:p@h/d").url


@pytest.mark.parametrize("parameter", ["mode=ro", "uri=true", "cache=shared", "isolation_level=x", "pgbouncer=true"])
def test_an_unknown_parameter_of_sqlite_is_named(parameter: str) -> None:
    assert parameter.partition("=")[0] in _refusal(f"sqlite:////a.db?{parameter}")


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", "1e9"])
def test_a_waiting_time_that_cannot_be_used_is_refused(value: str) -> None:
    assert "timeout" in _refusal(f"sqlite:////a.db?timeout={value}")


def test_sqlite_waits_for_another_program_as_long_as_the_url_says(sqlite_url: str) -> None:
    with closing(open_database(f"{sqlite_url}?timeout=0.02")) as database:
        with database.read() as conn:
            assert conn.exec_driver_sql("PRAGMA busy_timeout").scalar() == 20
        with closing(_locked(sqlite_url)), pytest.raises(DatabaseFault), database.begin():
            pass


def test_sqlite_waits_ten_seconds_otherwise(sqlite_url: str) -> None:
    with closing(open_database(sqlite_url)) as database, database.read() as conn:
        assert conn.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000


def _locked(url: str) -> sqlite3.Connection:
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


@pytest.mark.parametrize(
    "url", ["postgresql://u:hush-1@h/d", "postgresql://h/d?password=hush-1", f"{SERVER}?sslpassword=hush-1"]
)
def test_a_password_is_a_secret_of_the_settings_wherever_the_url_has_it(url: str) -> None:
    assert "hush-1" in Settings(database_url=SecretStr(url)).secrets()
