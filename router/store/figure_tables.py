"""Tables of the dashboard's sums: made again from the messages of a day whenever something about it changed."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, Integer, String, Table, text

from router.store.tables import Instant, metadata


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


def _counts() -> tuple[Column[int], ...]:
    return (
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
    )


figure_counted = Table(
    "figure_counted",  # which of the district's days are counted (router.store.figures), and how far
    metadata,
    Column("day", Date, primary_key=True),
    Column("counted_at", Instant),  # NULL: not yet
    Column("stale", Boolean, nullable=False, server_default=text("false")),  # decided anew since
    _count("open"),  # messages that don't lie with a department yet
)

figure_totals = Table(
    "figure_totals",  # the messages that came in on a day or in a month: of each department and school, and of any
    metadata,
    Column("period", String(10), primary_key=True),  # ISO 8601: 2026-11-23, or the whole of 2026-11
    Column("by", String(16), primary_key=True),  # what else they are told apart by: see router.store.figures
    Column("department", String(64), primary_key=True),  # that they are with; "": none, "*": any
    Column("school", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    *_counts(),
    Column("oldest_at", Instant),  # of those of a day that are open
    sqlite_with_rowid=False,  # read by ranges of its key
)

# Unused since schema 0017, which has the two above; a later release takes them away, when no program writes to them.
figure_days = Table(
    "figure_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("counted_at", Instant),
    Column("stale", Boolean, nullable=False, server_default=text("false")),
    _count("open"),
)

figure_sums = Table(
    "figure_sums",
    metadata,
    Column("by", String(16), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("department", String(64), primary_key=True),
    Column("school", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    *_counts(),
    Column("oldest_at", Instant),
    sqlite_with_rowid=False,
)
