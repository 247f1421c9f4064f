"""A message's way in sentences: in order of time, whole, and of nothing that didn't happen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from router.console.journey import timeline
from router.records import (
    Content,
    Correction,
    CorrectionState,
    Decision,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Medium,
    Message,
    Prediction,
    Reason,
    State,
)
from router.store.alarms import Alarm
from router.store.journeys import Journey

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
NAMES = {"buses": "Transportation", "meals": "Food Services", "office": "Front Office"}
MESSAGE = Message(
    id="0W", channel="mail", medium=Medium.EMAIL, received_at=NOW, content=Content(language="es", text="tarde")
)
DECIDED = Decision(
    id=1,
    message_id="0W",
    department="buses",
    reason=Reason.MODEL,
    detail="buses at 91%",
    prediction=Prediction(ranking=(("buses", 0.91), ("meals", 0.06), ("office", 0.001)), score=1.0, model="m7"),
    confidence=0.91,
    decided_at=NOW + timedelta(seconds=1),
)


def after(minutes):
    """Return a time."""
    return NOW + timedelta(minutes=minutes)


def delivery(number, state, decision=1, department="buses", kind=DeliveryKind.ROUTE, **more):
    """Return a delivery."""
    common = {"attempts": 1, "unclear": 0, "lost_leases": 0, "fence": 1, "created_at": NOW, "next_attempt_at": NOW}
    return Delivery(
        id=number,
        kind=kind,
        message_id="0W",
        decision_id=decision,
        department=department,
        via="relay",
        to=f"{department}@d.example",
        state=state,
        **(common | more),
    )


def journey(**known):
    """Return the journey of a message that the model routed, with what else is known."""
    return Journey(**({"message": MESSAGE, "state": State.ROUTED, "present": DECIDED, "decisions": (DECIDED,)} | known))


def told(known):
    """Return what the timeline says."""
    return [event.said for event in timeline(known, lambda id_: NAMES.get(id_, id_))]


def said(**more):
    """Return a correction from buses to meals."""
    common = {
        "id": 5, "message_id": "0W", "from_department": "buses", "to_department": "meals", "by": "jo@d.example",
        "via": "console", "model": "m7", "state": CorrectionState.CONFIRMED, "at": after(10), "decision_id": 1,
        "confirmed_by": "jo@d.example", "confirmed_via": "console",
    }  # fmt: skip
    return Correction(**(common | more))


PASSED_ON = replace(
    DECIDED, id=2, department="meals", reason=Reason.CORRECTION, detail="passed on by buses", decided_at=after(10)
)


def test_a_message_that_arrived_is_told_from_its_receipt_to_its_delivery():
    """With the step that decided, how sure the model was, of what else it thought, and which model that was."""
    known = journey(deliveries=(delivery(1, DeliveryState.DELIVERED),), settled_at={1: after(1)})
    events = timeline(known, lambda id_: NAMES.get(id_, id_))
    assert [event.said for event in events] == [
        "Received as a mail by mail.",
        "The model sent it to Transportation.",
        "Delivered to Transportation, buses@d.example (by relay).",
    ]
    assert events[1].more == (
        "Transportation at 91%.",
        "Likeliest topics: Transportation 91%, Food Services 6%",
        "Model: m7",
    )


def test_a_doubt_is_told_with_the_department_s_name():
    """As people say it; a rule's name that looks alike stays what it is."""
    detail = "meals at 29.4% is below the 37.8% it needs"
    doubt = replace(DECIDED, reason=Reason.ABSTAINED, detail=detail, confidence=0.294)
    event = timeline(journey(decisions=(doubt,)), NAMES.get)[1]
    assert event.more[0] == "Perhaps Food Services: 29.4% sure, and 37.8% is needed to send it there by itself."
    rule = replace(DECIDED, reason=Reason.RULE, detail="meals at 7", confidence=None, prediction=None)
    assert timeline(journey(decisions=(rule,)), NAMES.get)[1].more == ("The rule is called meals at 7.",)


def test_what_waits_or_failed_says_why_in_a_sentence():
    """A delivery that will be tried again is told last; one that died is told when it did."""
    waits = delivery(1, DeliveryState.WAITING, attempts=3, last_error="the mail server is down")
    dead = delivery(2, DeliveryState.DEAD, department="meals", last_error="no such user")
    events = timeline(journey(deliveries=(waits, dead), settled_at={2: after(3)}), NAMES.get)
    assert (events[-1].kind, events[-1].at, events[-1].more) == (
        "waiting", None, ("The mail server is down.", "3 attempts so far"),
    )  # fmt: skip
    assert (events[-2].kind, events[-2].at, events[-2].more) == ("dead", after(3), ("No such user.",))


def test_a_correction_its_undo_and_what_was_learnt_are_told_by_name():
    """Who sent it on and whereto, who took it back, which model has learnt from it."""
    known = journey(decisions=(DECIDED, PASSED_ON), present=PASSED_ON, corrections=(said(note="lunch"),), led_to={5: 2})
    assert "jo@d.example sent it on from Transportation to Food Services." in told(known)
    learnt = replace(known, learnt={5: ("m8", after(900))}, said_at={5: after(10)})
    assert told(learnt)[-1] == "The model m8 has learnt from it."
    back = replace(
        known,
        corrections=(said(state=CorrectionState.WITHDRAWN, withdrawn_by="kim@d.example"),),
        said_at={5: after(20)},
    )
    assert told(back)[-1] == "kim@d.example took that back."


def test_a_flag_by_the_link_is_the_departments_and_says_who_confirmed_it():
    """Nobody's name stands on a link: the department that used it, and how it was confirmed."""
    flag = said(by="link", via="link", confirmed_by="two votes", confirmed_via="votes")
    known = journey(
        decisions=(DECIDED, PASSED_ON), present=PASSED_ON, corrections=(flag,), led_to={5: 2}, said_at={5: after(30)}
    )
    assert told(known)[-2:] == [
        "Transportation sent it on to Food Services with the link in the forwarded mail.",
        "The department that got it said that it is theirs, so that Signpost can learn from it.",
    ]


def test_an_alarm_says_whether_anybody_has_acknowledged_it():
    """As long as nobody has, that stands at the end."""
    alarm = Alarm(message_id="0W", why="child missing", decision_id=1, raised_at=NOW, told_at=after(5), told=1)
    assert told(journey(alarm=alarm))[-1] == "Nobody has acknowledged the alert yet."
    over = replace(alarm, over_at=after(6))
    assert told(journey(alarm=over, acknowledged_by="safety@d.example"))[-1] == (
        "The alert was acknowledged by safety@d.example."
    )


def test_a_held_message_says_that_a_person_has_to_decide_and_who_let_it_go():
    """And once somebody did, that stands there once, not once more as a correction."""
    held = journey(decisions=(), present=None, state=State.HELD, detail="it goes round in circles")
    assert told(held)[-1] == "It is held: a person has to decide where it goes."
    let_go = replace(PASSED_ON, detail="released by kim@d.example")
    released = journey(
        decisions=(let_go,), present=let_go, corrections=(said(decision_id=None, from_department=""),), led_to={5: 2}
    )
    assert told(released)[1:] == ["kim@d.example let it go to Food Services."]


def test_events_stand_in_order_of_time():
    """Whatever list they come from."""
    known = journey(
        decisions=(DECIDED, PASSED_ON),
        corrections=(said(),),
        led_to={5: 2},
        deliveries=(delivery(1, DeliveryState.DELIVERED), delivery(2, DeliveryState.DELIVERED, 2, "meals")),
        settled_at={1: after(1), 2: after(11)},
    )
    at = [event.at for event in timeline(known, NAMES.get)]
    assert at == sorted(at)
    assert len(at) == 5
