"""Tables about models, beside the registry: their bytes, what happened to them, what a challenger would have done."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from router.store.tables import Instant, metadata

_Id = BigInteger().with_variant(Integer, "sqlite")

model_artifacts = Table(
    "model_artifacts",  # a model's bytes in pieces (router.store.artifacts), apart from the row that changes
    metadata,
    Column("version", String(64), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)

model_events = Table(
    "model_events",  # what happened to models, and by whose word
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("what", String(16), nullable=False),
    Column("version", String(64), nullable=False, server_default=""),
    Column("by", String(320), nullable=False, server_default=""),
    Column("why", Text, nullable=False, server_default=""),
)

shadows = Table(
    "shadows",  # what a challenger would have done with a message that the champion was asked about
    metadata,
    Column("challenger", String(64), primary_key=True),
    Column("decision_id", _Id, ForeignKey("decisions.id"), primary_key=True),
    Column("before", String(64), nullable=False),  # the champion's department, "" where it abstains
    Column("after", String(64), nullable=False),
    Column("before_confidence", Float, nullable=False),
    Column("after_confidence", Float, nullable=False),
    Column("alarm_lost", Boolean, nullable=False),  # whether only the champion takes it for urgent
)

drift_sums = Table(
    "drift_sums",  # what the model answered, counted by the district's days (router.store.drift)
    metadata,
    Column("day", Date, primary_key=True),
    Column("model", String(64), primary_key=True),
    Column("what", String(16), primary_key=True),
    Column("name", String(64), primary_key=True),  # a label or a department; "" where it is of all
    Column("amount", Float, nullable=False),
)
