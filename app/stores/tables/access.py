"""Who may sign in, and what they did: tokens, users, sessions, the audit log and its archives."""

from datetime import datetime

from sqlalchemy import BigInteger, Text
from sqlmodel import Field, SQLModel

from app.stores.tables.fields import AUTO_ID, long, moment


class AccessToken(SQLModel, table=True):
    """A key for programs. Only its ``digest`` (SHA-256, hex) is kept; ``hint`` is its beginning, to recognise it.

    ``connections`` is a JSON list of slugs, NULL for all.
    """

    __tablename__ = "access_tokens"

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    name: str
    digest: str = Field(unique=True)
    hint: str
    role: str
    connections: str | None = long()
    created_at: datetime = moment()
    created_by: str
    expires_at: datetime | None = moment(default=None)
    last_used_at: datetime | None = moment(default=None)
    last_used_from: str | None = None
    revoked_at: datetime | None = moment(default=None)
    revoked_by: str | None = None


class User(SQLModel, table=True):
    """A person with a password, kept as an Argon2 hash. ``connections`` is a JSON list of slugs, NULL for all.

    ``failures`` counts wrong passwords, the last at ``failed_at``. Until ``locked_until`` nobody can sign in from a place
    where the user never signed in before (``rules.access.lockout``).
    """

    __tablename__ = "users"

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    name: str = Field(unique=True)
    password_hash: str = Field(sa_type=Text)
    role: str
    connections: str | None = long()
    created_at: datetime = moment()
    created_by: str
    disabled_at: datetime | None = moment(default=None)
    failures: int = 0
    failed_at: datetime | None = moment(default=None)
    locked_until: datetime | None = moment(default=None)
    last_seen_at: datetime | None = moment(default=None)


class SignInPlace(SQLModel, table=True):
    """Wrong passwords for a user (0: for names that do not exist) from one ``place``: a network address, or a browser that
    the user signed in with, last at ``signed_in_at``.

    ``hour_failures`` of them came in the hour that began at ``hour``; the audit log has one entry for these. The last
    attempt of any kind was at ``seen_at``.
    """

    __tablename__ = "sign_in_places"

    user_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    place: str = Field(primary_key=True)
    failures: int = 0
    failed_at: datetime | None = moment(default=None)
    locked_until: datetime | None = moment(default=None)
    signed_in_at: datetime | None = moment(default=None)
    hour: datetime | None = moment(default=None)
    hour_failures: int = 0
    seen_at: datetime = moment()


class Session(SQLModel, table=True):
    """A browser that signed in. Only the ``digest`` (SHA-256, hex) of its cookie is kept.

    It belongs to a user or to the token it signed in with, and ends with it. Every change must send ``csrf``.
    """

    __tablename__ = "sessions"

    digest: str = Field(primary_key=True)
    user_id: int | None = Field(default=None, sa_type=BigInteger)
    token_id: int | None = Field(default=None, sa_type=BigInteger)
    csrf: str
    created_at: datetime = moment()
    seen_at: datetime = moment()
    expires_at: datetime = moment()
    origin: str


class AuditEntry(SQLModel, table=True):
    """One change that somebody made. The database refuses to change a row, or to delete one that is not archived.

    ``number`` counts from 1 without a gap; ``hash`` is over this entry and ``previous``, the hash of the one before
    (``rules.access.chain``). ``before`` and ``after`` are JSON text.
    """

    __tablename__ = "audit_log"

    number: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = moment()
    who: str
    role: str
    origin: str
    action: str
    subject: str
    connection: str | None = None
    before: str | None = long()
    after: str | None = long()
    why: str | None = long()
    previous: str
    hash: str


class AuditArchive(SQLModel, table=True):
    """Entries ``first_number`` to ``last_number`` of the audit log that are in a file and may be deleted from the table.

    ``file`` is its name in the archive folder, ``head`` the hash of the last entry in it. The database refuses to
    change or delete a row.
    """

    __tablename__ = "audit_archives"

    first_number: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    last_number: int = Field(sa_type=BigInteger)
    head: str
    file: str
    archived_at: datetime = moment()
