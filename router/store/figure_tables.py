"""Tables of the dashboard's daily sums: made again from the messages of a day whenever something about it changed."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, Integer, String, Table, text

from router.store.tables import Instant, metadata


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


figure_days = Table(
    "figure_days",  # which of the district's days are counted (router.store.figures), and how far
    metadata,
    Column("day", Date, primary_key=True),
    Column("counted_at", Instant),  # NULL: not yet
    Column("stale", Boolean, nullable=False, server_default=text("false")),  # decided anew since
    _count("open"),  # messages that don't lie with a department yet
)

figure_sums = Table(
    "figure_sums",  # the messages that came in on a day, by the department that they are with ("": none) and the school
    metadata,
    Column("by", String(16), primary_key=True),  # what else they are told apart by: see router.store.figures
    Column("day", Date, primary_key=True),
    Column("department", String(64), primary_key=True),
    Column("school", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    _count("messages"),
    _count("after_hours"),  # came in outside business hours
    _count("urgent"),
    _count("arrived"),  # delivered to the department that they are with
    _count("in_time"),  # within that department's service level, where it has one
    _count("late"),  # not so, whether they have arrived or not
    _count("open"),  # neither arrived nor filed
    _count("open_late"),
    _count("asked"),  # the model was asked; from here on by the department that the router itself chose
    _count("abstained"),
    _count("routed"),  # by rule, thread or model
    _count("flagged"),  # of these, by people, as wrong
    Column("oldest_at", Instant),  # of those that are open
    sqlite_with_rowid=False,  # read by ranges of its key
)
