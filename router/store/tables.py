"""The tables, the same on SQLite and PostgreSQL. What is remembered, and nothing about how it is used."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Dialect


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite, which has no time zones, stores it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times, which would be wrong by hours without anybody noticing."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time in the store must be aware")
        return value.astimezone(UTC).replace(tzinfo=None) if dialect.name == "sqlite" else value

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Return what makes a time fit for the driver: for SQLite the text that SQLAlchemy writes, but sooner."""
        if dialect.name != "sqlite":
            return super().bind_processor(dialect)

        def as_text(value: datetime | None) -> str | None:
            if value is not None and value.tzinfo is UTC:  # nearly always: the same without its "+00:00"
                return value.isoformat(" ", "microseconds")[:-6]
            plain = self.process_bind_param(value, dialect)
            return None if plain is None else plain.isoformat(" ", "microseconds")

        return as_text

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 -- the interface's
        """Return an aware UTC time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only an INTEGER primary key


def _id() -> Column[int]:
    return Column("id", _Id, primary_key=True, autoincrement=True)


def _lease() -> tuple[Column[Any], ...]:
    """Return the columns of a lease: who has it, the number of this lease, and how many were lost."""
    return (
        Column("owner", String(32)),
        Column("fence", Integer, nullable=False, server_default="0"),
        Column("lost_leases", Integer, nullable=False, server_default="0"),
    )


def _index(name: str, *columns: str, where: str) -> Index:
    """Return an index of some rows only."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


messages = Table(
    "messages",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("channel", String(64), nullable=False),
    Column("medium", String(16), nullable=False),
    Column("source_key", String(255), nullable=False),
    Column("mail_id", String(255)),
    Column("sha256", String(64), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("state", String(12), nullable=False),
    Column("detail", Text, nullable=False, server_default=""),  # why it is held or filed
    Column("decision_id", _Id),  # the decision in force
    Column("sender", String(320), nullable=False, server_default=""),
    Column("external_id", String(255), nullable=False, server_default=""),
    Column("content", JSON),  # router.records.Content; NULL until understood
    *_lease(),
    UniqueConstraint("channel", "source_key"),
    Index(  # of mails only: looked at together with a mail id, and random digests make costly pages
        "ix_messages_sha256",
        "sha256",
        sqlite_where=text("mail_id IS NOT NULL"),
        postgresql_where=text("mail_id IS NOT NULL"),
    ),
    Index("ix_messages_received_at", "received_at", "id"),
    Index(
        "ix_messages_external_id",
        "external_id",
        sqlite_where=text("external_id <> ''"),
        postgresql_where=text("external_id <> ''"),
    ),
    Index(
        "ix_messages_sender",
        "sender",
        "received_at",
        sqlite_where=text("sender <> ''"),
        postgresql_where=text("sender <> ''"),
    ),
    _index("ix_messages_undecided", "received_at", where="state = 'undecided'"),
    _index("ix_messages_undecided_of", "channel", "received_at", where="state = 'undecided'"),
    _index("ix_messages_undecided_mail", "mail_id", where="state = 'undecided' AND mail_id IS NOT NULL"),
    _index("ix_messages_undecided_from", "sender", "received_at", where="state = 'undecided' AND sender <> ''"),
    _index("ix_messages_suspect", "lost_leases", "received_at", where="state = 'undecided' AND lost_leases > 0"),
    _index("ix_messages_held", "received_at", where="state = 'held'"),
    _index("ix_messages_filed", "received_at", where="state = 'filed'"),
)

originals = Table(
    "originals",
    metadata,
    Column("message_id", String(12), ForeignKey("messages.id"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    _id(),
    Column("message_id", String(12), ForeignKey("messages.id"), nullable=False, index=True),
    Column("department", String(64), nullable=False),
    Column("reason", String(16), nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("prediction", JSON),
    Column("confidence", Float),
    Column("model", String(64), nullable=False, server_default=""),
    Column("urgent", Text, nullable=False, server_default=""),
    Column("school", String(64), nullable=False, server_default=""),
    Column("suggestions", JSON, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("tags", JSON, nullable=False, server_default="[]"),
)

BY_NO_MAIL = "state = 'delivered' AND kind <> 'answer' AND \"to\" = replace(\"to\", '@', '')"

deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    Column("kind", String(8), nullable=False),
    Column("message_id", String(12), ForeignKey("messages.id"), index=True),
    Column("decision_id", _Id, ForeignKey("decisions.id")),
    Column("department", String(64), nullable=False, server_default=""),
    Column("via", String(64), nullable=False),
    Column("to", String(320), nullable=False),
    Column("state", String(12), nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("unclear", Integer, nullable=False, server_default="0"),
    Column("created_at", Instant, nullable=False),
    Column("next_attempt_at", Instant, nullable=False),
    Column("turn_at", Instant),  # where many wait: after whose turns it comes; NULL: when it is due
    Column("settled_at", Instant),
    Column("last_error", Text, nullable=False, server_default=""),
    Column("remote_id", String(255), nullable=False, server_default=""),
    Column("notice", JSON),
    *_lease(),
    Index(
        "ix_deliveries_waiting",
        "via",
        "next_attempt_at",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    _index("ix_deliveries_unsettled", "state", where="state IN ('dead', 'unclear')"),
    _index("ix_deliveries_dropped", "kind", where="state = 'dropped'"),
    _index("ix_deliveries_beside", "kind", where="state = 'delivered' AND kind <> 'route'"),
    _index("ix_deliveries_named", "remote_id", where=BY_NO_MAIL),
)

alarms = Table(
    "alarms",  # urgent messages: who has been told so far, and whether somebody has acknowledged it
    metadata,
    Column("message_id", String(12), ForeignKey("messages.id"), primary_key=True),
    Column("why", Text, nullable=False),
    Column("decision_id", _Id, ForeignKey("decisions.id")),
    Column("raised_at", Instant, nullable=False),
    Column("told_at", Instant, nullable=False),  # when somebody was told last
    Column("told", Integer, nullable=False, server_default="0"),  # how many of those who are told one after the other
    Column("over_at", Instant),  # acknowledged
    Column("acknowledged_by", _Id, ForeignKey("deliveries.id")),  # the alert whose link was used
    Index("ix_alarms_open", "told_at", sqlite_where=text("over_at IS NULL"), postgresql_where=text("over_at IS NULL")),
)

corrections = Table(
    "corrections",
    metadata,
    _id(),
    Column("message_id", String(12), ForeignKey("messages.id"), nullable=False, index=True),
    Column("from_department", String(64), nullable=False),
    Column("to_department", String(64), nullable=False),
    Column("by", String(320), nullable=False, server_default=""),
    Column("via", String(16), nullable=False),
    Column("model", String(64), nullable=False, server_default=""),
    Column("state", String(12), nullable=False, index=True),
    Column("at", Instant, nullable=False, index=True),
    Column("note", Text, nullable=False, server_default=""),
    Column("decision_id", _Id, ForeignKey("decisions.id"), index=True),
    Column("delivery_id", _Id, ForeignKey("deliveries.id"), index=True),
    Column("new_decision_id", _Id, ForeignKey("decisions.id"), index=True),
    Column("confirmed_by", String(320), nullable=False, server_default=""),
    Column("settled_at", Instant),  # when it was confirmed or withdrawn
    Column("confirmed_via", String(16), nullable=False, server_default=""),  # command | console | votes | tacit
    Column("withdrawn_by", String(320), nullable=False, server_default=""),
    Column("client", String(32), nullable=False, server_default=""),  # the browser in which the link was used
)

votes = Table(
    "votes",
    metadata,
    _id(),
    Column("message_id", String(12), ForeignKey("messages.id"), nullable=False, index=True),
    Column("delivery_id", _Id, ForeignKey("deliveries.id"), nullable=False),
    Column("department", String(64), nullable=False),
    Column("at", Instant, nullable=False, index=True),
    UniqueConstraint("delivery_id"),
)

blank_flags = Table(
    "blank_flags",  # links whose form was sent without a department, as only programs do
    metadata,
    Column("delivery_id", _Id, ForeignKey("deliveries.id"), primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
)

audits = Table(
    "audits",  # messages chosen at random for people to label, and what these said
    metadata,
    Column("message_id", String(12), ForeignKey("messages.id"), primary_key=True),
    Column("decision_id", _Id, ForeignKey("decisions.id")),
    Column("received_at", Instant, nullable=False, index=True),
    Column("channel", String(64), nullable=False),
    Column("language", String(16), nullable=False, server_default=""),
    Column("department", String(64), nullable=False),  # where the router sent it, or would have (observe mode)
    Column("reason", String(16), nullable=False),
    Column("urgent", Boolean, nullable=False),  # whether the router took it for urgent
    Column("model", String(64), nullable=False, server_default=""),
    Column("answer", String(64), nullable=False, server_default=""),  # the department it belongs to; "": not said yet
    Column("answer_urgent", Boolean),
    Column("wrong", Boolean),  # whether none of those who got it is the one it belongs to
    Column("by", String(320), nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
    Column("answered_at", Instant),
)

models = Table(
    "models",
    metadata,
    Column("version", String(64), primary_key=True),
    Column("type", String(64), nullable=False),
    Column("state", String(12), nullable=False),  # see router.store.models
    Column("created_at", Instant, nullable=False),
    Column("promoted_at", Instant),
    Column("parent", String(64), nullable=False, server_default=""),
    Column("fingerprint", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("verdict", JSON, nullable=False),
    Column("pinned", Boolean, nullable=False, server_default=text("false")),  # never dropped
    Column("since_decision", _Id),  # the last decision when it was promoted
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("secret", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("retired_at", Instant),
)

daemons = Table(
    "daemons",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

marks = Table(
    "marks",  # when something was last done, so that it isn't done twice: alerts told, digests sent
    metadata,
    Column("name", String(128), primary_key=True),
    Column("at", Instant, nullable=False),
)

cursors = Table(
    "cursors",  # how far a source has read, by channel and a key of its own
    metadata,
    Column("channel", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("value", JSON, nullable=False),
)

answers = Table(
    "answers",  # who was answered automatically in the last day, and how many of one domain
    metadata,
    Column("key", String(400), primary_key=True),
    Column("domain", String(255), nullable=False),
    Column("at", Instant, nullable=False, index=True),
)

opt_outs = Table(
    "opt_outs",  # who wants no more texts, or wants them again: the last word of each telephone number
    metadata,
    Column("address", String(320), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("keyword", String(8), nullable=False),  # stop | start
)
