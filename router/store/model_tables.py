"""Tables about models, beside the registry itself: what happened to them, and what a challenger would have done."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Integer, String, Table, Text

from router.store.tables import Instant, metadata

_Id = BigInteger().with_variant(Integer, "sqlite")

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
