"""When a delivery is tried again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import Permanent, Retryable, Unclear
from router.records import DeliveryState
from router.retry import RetryPolicy, describe, one_line
from router.testing_sinks import SAMPLE_AT, sample_forward

POLICY = RetryPolicy()
DELIVERY = sample_forward().delivery
ages = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10))
seeds = st.integers(0, 2**32)


@given(attempts=st.integers(-3, 10**9), age=ages, seed=seeds)
def test_waits_are_bounded(attempts: int, age: timedelta, seed: int):
    """The wait is 30 s doubling to 1 h, give or take a fifth, until the delivery is five days old."""
    now = SAMPLE_AT + age
    at = POLICY.next_attempt_at(attempts, SAMPLE_AT, now, Random(seed))
    if age >= timedelta(days=5):
        assert at is None
    else:
        assert at is not None
        base = min(30 * 2 ** min(max(attempts - 1, 0), 20), 3600)
        assert base * 0.799 <= (at - now).total_seconds() <= base * 1.201


@given(asked=st.floats(allow_nan=True, allow_infinity=True), seed=seeds, attempts=st.integers(1, 30))
def test_a_server_s_wish_is_honoured_up_to_a_day(asked: float, seed: int, attempts: int):
    """Never sooner than the other side asked for, but no wish keeps a message for longer than about a day."""
    at = POLICY.next_attempt_at(attempts, SAMPLE_AT, SAMPLE_AT, Random(seed), asked)
    assert at is not None
    wait = (at - SAMPLE_AT).total_seconds()
    assert 24 <= wait <= 86_400 * 1.201
    if 0 < asked <= 86_400:
        assert wait >= asked - 0.001


@given(asked=st.floats(allow_nan=True, allow_infinity=True), seed=seeds, attempts=st.integers(1, 10**6))
def test_an_alert_is_tried_again_within_a_minute(asked: float, seed: int, attempts: int):
    """However often it has failed, and whatever the other side asked for: somebody waits for an alarm."""
    at = POLICY.for_alerts().next_attempt_at(attempts, SAMPLE_AT, SAMPLE_AT, Random(seed), asked)
    assert at is not None
    assert 24 <= (at - SAMPLE_AT).total_seconds() <= 60


@given(seed=seeds)
def test_the_same_seed_gives_the_same_time(seed: int):
    """Jitter comes from the given generator only."""
    first, second = (POLICY.next_attempt_at(4, SAMPLE_AT, SAMPLE_AT, Random(seed)) for _ in range(2))
    assert first == second


def test_five_days_make_about_125_attempts():
    """A dead destination costs some 125 attempts in five days, then the delivery is given up."""
    rng, now, attempts = Random(7), SAMPLE_AT, 1
    while (at := POLICY.next_attempt_at(attempts, SAMPLE_AT, now, rng)) is not None:
        now, attempts = at, attempts + 1
    assert 110 <= attempts <= 140
    assert timedelta(days=5) <= now - SAMPLE_AT <= timedelta(days=5, hours=1.2)


@pytest.mark.parametrize(
    ("error", "unclear_before", "age_days", "state"),
    [
        (Retryable("busy"), 0, 0, DeliveryState.WAITING),
        (Retryable("busy"), 1, 0, DeliveryState.WAITING),
        (Retryable("busy"), 0, 6, DeliveryState.DEAD),
        (Permanent("no such user"), 0, 0, DeliveryState.DEAD),
        (Permanent("no such user"), 1, 0, DeliveryState.DEAD),
        (Unclear("lost"), 0, 0, DeliveryState.WAITING),
        (Unclear("lost"), 1, 0, DeliveryState.UNCLEAR),
        (Unclear("lost"), 0, 6, DeliveryState.UNCLEAR),
        (RuntimeError("bug"), 0, 0, DeliveryState.WAITING),
        (RuntimeError("bug"), 0, 6, DeliveryState.DEAD),
        (TimeoutError(), 0, 0, DeliveryState.WAITING),
    ],
)
def test_verdicts(error: Exception, unclear_before: int, age_days: int, state: DeliveryState):
    """Permanent ends it, a twice lost answer asks a person, everything else waits until it is too old."""
    delivery = replace(DELIVERY, unclear=unclear_before)
    verdict = POLICY.after(delivery, error, SAMPLE_AT + timedelta(days=age_days), Random(1))
    assert verdict.state is state
    assert (verdict.next_attempt_at is not None) == (state is DeliveryState.WAITING)
    assert verdict.unclear == unclear_before + isinstance(error, Unclear)


def test_what_came_back_is_sent_again_ever_later():
    """A mail that a full mailbox sent back costs about nine further copies in five days, then it is given up."""
    rng, now, attempts = Random(7), SAMPLE_AT, 1
    waits = []
    while (at := POLICY.after_return(replace(DELIVERY, attempts=attempts), now, rng)) is not None:
        waits.append(at - now)
        now, attempts = at, attempts + 1
    assert timedelta(hours=1) <= waits[0] <= timedelta(hours=1.2)
    assert all(wait <= timedelta(days=1.2) for wait in waits)
    assert 7 <= len(waits) <= 10


def test_a_dead_letter_tells_of_an_earlier_lost_answer():
    """Whoever looks at a dead letter learns that a copy may have arrived all the same."""
    verdict = POLICY.after(replace(DELIVERY, unclear=1), Permanent("no such user"), SAMPLE_AT, Random(1))
    assert verdict.reason == "no such user (an earlier attempt may have arrived)"


@given(text=st.text(max_size=3000), lost=st.integers(0, 2), days=st.integers(0, 7))
def test_reasons_are_one_short_line(text: str, lost: int, days: int):
    """Whatever a server says becomes one printable line of at most 300 characters."""
    verdict = POLICY.after(
        replace(DELIVERY, unclear=lost), Permanent(text), SAMPLE_AT + timedelta(days=days), Random(1)
    )
    assert len(verdict.reason) <= 300
    assert verdict.reason.isprintable()


def test_reasons_name_nobody():
    """E-mail addresses in a server's words are masked; an unexpected exception tells only its type."""
    assert describe(Permanent("550 <ana.ruiz@example.org>: unknown")) == "550 <(address)>: unknown"
    assert describe(ValueError("Dear Ms Lopez")) == "unexpected ValueError"
    assert one_line("x" * 400) == "x" * 299 + "…"
