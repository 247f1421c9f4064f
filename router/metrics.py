"""Prometheus metrics: counts by channel, department and reason, never by person."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from classifiers._figures import share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from router.records import Decision, Delivery, DeliveryState, Medium

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600)


class Metrics:
    """Everything `/metrics` shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make: dict[str, Any] = {"registry": self.registry, "namespace": "signpost"}
        accepted = Counter("messages_accepted", "Messages stored", ["channel", "medium"], **make)
        copies = Counter("messages_duplicate", "True copies recognised, not stored again", ["channel"], **make)
        refused = Counter("requests_refused", "Requests that didn't prove whose they are", ["channel"], **make)
        decided = Counter("decisions", "Decisions made", ["department", "reason"], **make)
        self._urgent = Counter("messages_urgent", "Messages recognised as urgent", **make)
        attempts = Counter("delivery_attempts", "Attempts to deliver, by outcome", ["via", "outcome"], **make)
        self._to_desk = Histogram("message_to_desk_seconds", "From accepted to delivered", buckets=_SECONDS, **make)
        self._messages = Gauge("messages", "Messages by state", ["state"], **make)
        self._deliveries = Gauge("deliveries", "Deliveries by state", ["state"], **make)
        self._answers = Gauge("answers", "Automatic answers by state", ["state"], **make)
        self._oldest = Gauge("oldest_waiting_seconds", "Age of the oldest message or delivery that waits", **make)
        self._alarms = Gauge("urgent_waiting", "Urgent messages that nobody has acknowledged", **make)
        since = "Age of the oldest urgent message that nobody has acknowledged"
        self._oldest_alarm = Gauge("urgent_oldest_seconds", since, **make)
        self._audits = Gauge("audits", "Messages chosen for an audit, by state", ["state"], **make)
        audited = "Share of 30 days' audited messages that went wrong: estimate, and its 95 % interval's low and high"
        self._audited = Gauge("misroute_rate_audited", audited, ["bound"], **make)
        self._flagged = Gauge("messages_flagged", "Messages that people flagged as misrouted in 30 days", **make)
        drifting = "Share of messages (doubt: mean; unknown: of words) in the last days, and before them"
        self._drift = Gauge("drift_share", drifting, ["what", "when"], **make)
        self._changes = Gauge(
            "drift_changes", "Changes found when it was looked last, by what changed", ["what"], **make
        )
        self._corrections = Gauge("corrections", "Corrections by state", ["state"], **make)
        self._model = Gauge("model_info", "The model that serves", ["version"], **make)
        self._lag = Gauge("loop_lag_seconds", "Longest wait for the event loop in the last minute or two", **make)
        way = ["channel", "direction"]
        self._proven = Gauge("channel_last_proven_seconds", "Unix time when a channel last proved to work", way, **make)
        self._degraded = Gauge("channel_degraded", "1 while a channel fails or is silent", way, **make)
        expires = "Unix time when something of a channel runs out by itself"
        self._expires = Gauge("channel_expires_seconds", expires, ["channel", "what"], **make)

        # Finding the counter of a label takes longer than counting, so each is found once.
        self._accepted, self._copies = cache(accepted.labels), cache(copies.labels)
        self._refused = cache(refused.labels)
        self._decided, self._attempts = cache(decided.labels), cache(attempts.labels)

    def accepted(self, channel: str, medium: Medium, *, duplicate: bool) -> None:
        """Count one accepted message, or one recognised copy."""
        if duplicate:
            self._copies(channel).inc()
        else:
            self._accepted(channel, medium).inc()

    def refused(self, channel: str) -> None:
        """Count one request that didn't prove whose it is."""
        self._refused(channel).inc()

    def decided(self, decision: Decision) -> None:
        """Count one decision."""
        self._decided(decision.department, decision.reason.value).inc()
        if decision.urgent:
            self._urgent.inc()

    def attempted(self, delivery: Delivery, outcome: DeliveryState, to_desk_s: float | None) -> None:
        """Count one attempt; `to_desk_s` is the whole way of a delivered message."""
        self._attempts(delivery.via, outcome.value).inc()
        if to_desk_s is not None:
            self._to_desk.observe(to_desk_s)

    def serves(self, version: str) -> None:
        """Note which model serves."""
        self._model.clear()
        self._model.labels(version).set(1)

    def lagged(self, longest_s: float) -> None:
        """Note how long the event loop kept somebody waiting lately, at most (seconds)."""
        self._lag.set(longest_s)

    def channels(self, report: Iterable[Mapping[str, Any]]) -> None:
        """Note how each channel is (`router.life.lives.Lives.report`)."""
        for gauge in (self._proven, self._degraded, self._expires):
            gauge.clear()
        for row in report:
            way = row["channel"], row["direction"]
            self._degraded.labels(*way).set(row["health"] in {"failing", "silent"})
            if row["proven_at"]:
                self._proven.labels(*way).set(_unix(row["proven_at"]))
            for expiry in row["expires"]:
                self._expires.labels(row["channel"], expiry["what"]).set(_unix(expiry["at"]))

    def render(self, status: dict[str, Any]) -> bytes:
        """Return the exposition text, with the ledger's counts of this moment."""
        for state, count in status["messages"].items():
            if state != "received":
                self._messages.labels(state).set(count)
        for state, count in status["deliveries"].items():
            self._deliveries.labels(state).set(count)
        for state, count in status["answers"].items():
            self._answers.labels(state).set(count)
        self._oldest.set(status["oldest_waiting_s"])
        self._alarms.set(status["urgent"]["waiting_for_acknowledgement"])
        self._oldest_alarm.set(status["urgent"]["oldest_s"])
        self._render_learning(status["corrections"], status["audits"])
        self._render_drift(status["drift"])
        return generate_latest(self.registry)

    def _render_learning(self, corrections: Mapping[str, int], audits: Mapping[str, int]) -> None:
        for state in ("proposed", "confirmed", "withdrawn"):
            self._corrections.labels(state).set(corrections.get(state, 0))
        for state in ("waiting", "answered"):
            self._audits.labels(state).set(audits[state])
        self._flagged.set(audits["flagged"])
        rate, interval = share(audits["wrong"], audits["routed"])
        self._audited.clear()
        if rate is not None and interval is not None:
            for bound, value in zip(("estimate", "low", "high"), (rate, *interval), strict=True):
                self._audited.labels(bound).set(value)

    def _render_drift(self, found: Mapping[str, Any]) -> None:
        """Show what `router.learning.drift` has found, nothing before it has looked."""
        self._drift.clear()
        for what, rates in found.get("rates", {}).items():
            for when, value in rates.items():
                self._drift.labels(what, when).set(value)
        for what in ("abstained", "doubt", "unknown", "label", "corrected"):
            self._changes.labels(what).set(sum(each["what"] == what for each in found.get("changes", ())))


def _unix(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
