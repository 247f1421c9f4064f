"""Commands at the desk, on a store that no daemon holds: the same as through a daemon, save that nobody answers."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from router.cli import run
from router.life.proof import Life, Side
from router.records import DeliveryState
from router.store import deliveries, lives
from router.store.engine import open_store
from router.store.lock import FileLock
from tests.unit.router.commandline import routed, write_district


@pytest.fixture
def message_id(tmp_path, monkeypatch, rng, log):
    """The id of a message that was routed to the buses of a small district."""
    monkeypatch.chdir(tmp_path)
    write_district(tmp_path)
    [routed_id] = asyncio.run(routed(log, rng, "buses are late again"))
    return routed_id


def _asked(capsys, *arguments, status=0):
    assert run([*arguments, "--json", "--config", "district.yaml"]) == status
    return json.loads(capsys.readouterr().out)


def test_an_original_is_written_byte_for_byte_for_its_owner_alone(message_id, capsys, tmp_path):
    """`messages export` makes a file that only its owner reads, overwrites none, and says so of an unknown one."""
    target = tmp_path / "message.eml"
    told = _asked(capsys, "messages", "export", message_id, "--to", str(target))
    assert target.read_bytes() == b"buses are late again"
    assert told == {"message_id": message_id, "file": str(target), "bytes": 20}
    assert target.stat().st_mode & 0o777 == 0o600
    target.write_bytes(b"mine")
    assert run(["messages", "export", message_id, "--to", str(target), "--config", "district.yaml"]) == 1
    assert target.read_bytes() == b"mine"
    other = str(tmp_path / "other.eml")
    assert run(["messages", "export", "NOSUCHMESSAGE", "--to", other, "--config", "district.yaml"]) == 1


def test_status_is_the_ledger(message_id, capsys):
    """`status --json` has the shape of the contract, and its sums hold."""
    ledger = _asked(capsys, "status")
    assert ledger["messages"] == {"received": 1, "routed": 1, "held": 0, "filed": 0, "undecided": 0}
    assert set(ledger["deliveries"]) == {"waiting", "delivered", "unclear", "dead", "dropped"}
    assert ledger["oldest_waiting_s"] >= 0
    assert run(["status", "--config", "district.yaml"]) == 0
    assert "1 received, 1 routed" in capsys.readouterr().out


def test_status_says_how_each_channel_is(message_id, capsys):
    """Without a daemon, what the last one knew: when a channel was last proven, and what has failed since."""
    proven_at = datetime.now(UTC) - timedelta(minutes=5)
    new = Life(first_at=proven_at)
    known = {
        ("contact", Side.IN): new.proven(proven_at),
        ("out", Side.OUT): new.failed(proven_at, "the disk is full"),
        ("gone", Side.IN): new,
    }
    asyncio.run(_live(known))

    contact, out = _asked(capsys, "status")["channels"]
    assert (contact["channel"], contact["direction"], contact["health"]) == ("contact", "in", "well")
    assert 300 <= contact["proven_ago_s"] < 1000
    assert (out["channel"], out["health"], out["error"]) == ("out", "failing", "the disk is full")
    assert run(["status", "--config", "district.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "5 min ago" in shown
    assert "the disk is full" in shown


async def _live(known):
    store = open_store("sqlite:///var/signpost.db")
    await store.open()
    try:
        await store.write(lambda c: lives.save(c, known))
    finally:
        await store.close()


def test_messages_are_listed_and_shown(message_id, capsys):
    """A list has a line per message, and one message is shown with all that happened to it."""
    (row,) = _asked(capsys, "messages", "list", "--state", "routed", "--department", "buses")
    assert row["id"] == message_id
    view = _asked(capsys, "messages", "show", message_id.lower())
    assert [decision["department"] for decision in view["decisions"]] == ["buses"]
    assert run(["messages", "show", message_id, "--config", "district.yaml"]) == 0
    out = capsys.readouterr().out
    assert "buses are late again" in out
    assert "Deliveries:" in out


def test_an_unknown_message_is_an_answer_of_no(message_id, capsys):
    """What isn't there ends with status 1 and one sentence."""
    assert run(["messages", "show", "ZZZZZZZZZZZZ", "--config", "district.yaml"]) == 1
    assert capsys.readouterr().err == "signpost: there is no message 'ZZZZZZZZZZZZ'\n"


def test_a_flag_moves_a_message_and_can_be_confirmed(message_id, capsys):
    """`misroute` moves at once and proposes a correction; `corrections confirm` makes it training data."""
    moved = _asked(capsys, "misroute", message_id, "--to", "office", "--by", "dana@d.example", "--note", "ours")
    assert moved["department"] == "office"
    (proposed,) = _asked(capsys, "corrections", "list", "--state", "proposed")
    assert (proposed["by"], proposed["note"], proposed["via"]) == ("dana@d.example", "ours", "command")
    (confirmed,) = _asked(capsys, "corrections", "confirm", str(proposed["id"]), "--by", "lee@d.example")
    assert (confirmed["state"], confirmed["confirmed_by"]) == ("confirmed", "lee@d.example")
    (withdrawn,) = _asked(capsys, "corrections", "withdraw", str(proposed["id"]))
    assert withdrawn["state"] == "withdrawn"
    assert run(["corrections", "confirm", str(proposed["id"]), "--config", "district.yaml"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["misroute", "0WE3CYSYMMK8", "--to", "office"],
        ["messages", "release", "0WE3CYSYMMK8"],
        ["corrections", "confirm", "1"],
        ["corrections", "withdraw", "1"],
    ],
)
def test_nobody_could_say_so(arguments, message_id, capsys):
    """An empty `--by` is wrong usage: what people change is recorded with a name."""
    for nobody in ("", "  "):
        assert run([*arguments, "--by", nobody, "--config", "district.yaml"]) == 2
        assert "'--by': say who it is" in capsys.readouterr().err
    assert _asked(capsys, "corrections", "list") == []


def test_a_flag_without_a_name_carries_the_login_name(message_id, monkeypatch, capsys):
    """Who says so is the user of the machine, unless another name is given."""
    monkeypatch.setenv("LOGNAME", "dana")
    _asked(capsys, "misroute", message_id, "--to", "office")
    assert _asked(capsys, "corrections", "list")[0]["by"] == "dana"


def test_a_wrong_page_started_over(message_id, capsys):
    """`--before` a message that isn't there is an answer of no; a known one may be written as people write it."""
    assert run(["messages", "list", "--before", "nosuch", "--config", "district.yaml"]) == 1
    assert capsys.readouterr().err == "signpost: there is no message 'nosuch'\n"
    assert _asked(capsys, "messages", "list", "--before", message_id.lower()) == []


def test_a_misspelt_department_had_no_message(message_id, capsys):
    """A department that isn't there is told; one without messages, or one that is only gone, is listed."""
    assert run(["messages", "list", "--department", "busses", "--config", "district.yaml"]) == 1
    assert capsys.readouterr().err == "signpost: there is no department 'busses'\n"
    assert _asked(capsys, "messages", "list", "--department", "office") == []
    path = Path("district.yaml")
    path.write_text(path.read_text().replace("  buses: {name", "  coaches: {name"))
    assert [row["id"] for row in _asked(capsys, "messages", "list", "--department", "buses")] == [message_id]
    assert _asked(capsys, "messages", "list", "--department", "buses", "--before", message_id) == []


def test_deliveries_are_dropped_and_listed(message_id, capsys):
    """A waiting delivery can be dropped, once; by default the list shows what waits for a person."""
    (waiting,) = _asked(capsys, "deliveries", "list", "--state", "waiting")
    assert _asked(capsys, "deliveries", "list") == []
    assert _asked(capsys, "deliveries", "drop", str(waiting["id"])) == {"dropped": [waiting["id"]]}
    assert run(["deliveries", "drop", str(waiting["id"]), "--config", "district.yaml"]) == 1
    assert "is dropped, not waiting" in capsys.readouterr().err


def test_dead_deliveries_are_revived(message_id, capsys):
    """`deliveries retry --all` revives every dead letter."""
    (waiting,) = _asked(capsys, "deliveries", "list", "--state", "waiting")
    asyncio.run(_bury(waiting["id"]))
    assert [dead["id"] for dead in _asked(capsys, "deliveries", "list")] == [waiting["id"]]
    assert _asked(capsys, "deliveries", "retry", "--all") == {"revived": [waiting["id"]]}
    assert _asked(capsys, "deliveries", "list") == []


async def _bury(delivery_id):
    store = open_store("sqlite:///var/signpost.db")
    await store.open()
    try:
        now = store.clock.now()
        leased = await store.write(lambda c: deliveries.lease(c, "relay", "d1", now, 10))
        (delivery,) = [each for each in leased if each.id == delivery_id]
        await store.write(lambda c: deliveries.settle(c, delivery, DeliveryState.DEAD, now, error="no such mailbox"))
    finally:
        await store.close()


def test_only_a_held_message_is_released(message_id, capsys):
    """Releasing what isn't held is refused in a sentence."""
    assert run(["messages", "release", message_id, "--config", "district.yaml"]) == 1
    assert "isn't held" in capsys.readouterr().err


def test_a_store_that_somebody_else_owns_is_told_so(message_id, tmp_path, capsys):
    """Where another process holds the file and no daemon answers, the sentence says what may be the matter."""
    lock = FileLock(tmp_path / "var" / "signpost.db.lock")
    assert lock.acquire()
    try:
        assert run(["status", "--config", "district.yaml"]) == 1
    finally:
        lock.release()
    said = capsys.readouterr().err
    assert "in use by another Signpost process" in said
    assert "try again" in said


def test_a_stored_decision_is_explained_without_its_model(message_id, capsys):
    """A message that no model was asked about is explained by its step alone."""
    view = _asked(capsys, "explain", message_id)
    assert (view["department"], view["reason"], view["model"]) == ("buses", "model", None)
    assert run(["explain", message_id, "--config", "district.yaml"]) == 0
    assert "decided by  model" in capsys.readouterr().out


def test_logs_stay_as_they_are():
    """Commands don't set up logging: only the daemon does."""
    assert not structlog.is_configured()
