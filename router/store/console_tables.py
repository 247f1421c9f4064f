"""Tables of the staff console: who may sign in, who has, what each of them did, and what they told one another."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from router.store.tables import Instant, metadata

_Id = BigInteger().with_variant(Integer, "sqlite")
_INVITED = "subject IS NULL AND disabled_at IS NULL"

accounts = Table(
    "accounts",  # never deleted: the access log names them
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("email", String(320), nullable=False),
    Column("name", String(200), nullable=False, server_default=""),
    Column("role", String(16), nullable=False),
    Column("departments", JSON(none_as_null=True)),  # NULL: all of them
    Column("schools", JSON(none_as_null=True)),
    Column("password", Text, nullable=False, server_default=""),  # argon2id; "": none, so no sign-in with one
    Column("issuer", String(255)),  # of an OpenID provider, with `subject`: who it is, whatever the address
    Column("subject", String(255)),
    Column("mapped", Boolean, nullable=False, server_default=text("false")),  # role and scope come from the provider
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(320), nullable=False, server_default=""),
    Column("signed_in_at", Instant),
    Column("disabled_at", Instant),
    UniqueConstraint("issuer", "subject"),
    Index("ix_accounts_email", "email"),
    Index(
        "ux_accounts_invited",  # of those that wait for an address, or sign in with a password, one for each address
        "email",
        unique=True,
        sqlite_where=text(_INVITED),
        postgresql_where=text(_INVITED),
    ),
)

sessions = Table(
    "sessions",  # one row for each browser that is signed in; no row, no session
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the cookie's token
    Column("account_id", _Id, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("began_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),  # to the minute
    Column("ends_at", Instant, nullable=False, index=True),
    Column("way", String(64), nullable=False),  # "local", or the provider's name
    Column("address", String(64), nullable=False, server_default=""),
    Column("browser", String(200), nullable=False, server_default=""),
)

sign_in_failures = Table(
    "sign_in_failures",  # what slows down guessing: by account, by address, by both
    metadata,
    Column("about", String(80), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", Instant, nullable=False, index=True),
)

access_log = Table(
    "access_log",  # append-only: triggers refuse UPDATE and DELETE, and each row's digest covers the one before
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("account_id", _Id, ForeignKey("accounts.id")),  # NULL: a command, or somebody who isn't known
    Column("who", String(320), nullable=False),  # the address at that time
    Column("action", String(32), nullable=False),
    Column("about", String(128), nullable=False, server_default=""),  # "message 3K7Q…", "account 4"
    Column("detail", Text, nullable=False, server_default=""),
    Column("address", String(64), nullable=False, server_default=""),  # where from
    Column("digest", String(64), nullable=False),
    Index("ix_access_log_about", "about", "id"),
    Index("ix_access_log_account", "account_id", "id"),
)

comments = Table(
    "comments",  # what staff tell one another about a message; no family ever sees it
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("message_id", String(12), ForeignKey("messages.id"), nullable=False, index=True),
    Column("account_id", _Id, ForeignKey("accounts.id")),
    Column("by", String(320), nullable=False),
    Column("at", Instant, nullable=False),
    Column("text", Text, nullable=False),
    Column("withdrawn_at", Instant),
)
