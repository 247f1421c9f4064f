"""What people at the router's desk do: look at messages and deliveries, release, retry, flag, confirm."""

from __future__ import annotations

from typing import Any

import click

from config.files import store_url_of
from router.commandline import show
from router.commandline.frame import Command, CommandGroup, Invocation, login_name
from router.commandline.originals import messages_export
from router.commandline.reach import NoDaemon, ask, ask_daemon
from router.errors import ConfigError
from router.records import CorrectionState, DeliveryState, State

_LIMIT = click.IntRange(1, 1000)
_DAY_S = 86_400


def _choice(states: type[State] | type[DeliveryState] | type[CorrectionState]) -> click.Choice[str]:
    return click.Choice([state.value for state in states])


def _named(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Return who says so: what people change is recorded with a name, never with none."""
    if not value.strip():
        raise click.BadParameter("say who it is")
    return value.strip()


said_by = click.option(
    "--by", default=login_name, metavar="EMAIL", callback=_named, help="Who says so (default: the login name)."
)


@click.command(cls=Command, prints=True)
@click.pass_obj
def status(invocation: Invocation) -> None:
    """Show the ledger: what was received, and what became of it."""
    ledger = _ledger(invocation)
    if invocation.json:
        show.as_json(ledger)
        return
    for name in ("messages", "deliveries", "answers", "corrections"):
        counts = ", ".join(f"{count} {state}" for state, count in ledger.get(name, {}).items())
        show.facts([(name.ljust(14), counts or "none")])
    waiting = ledger.get("urgent", {})
    alarms = waiting.get("waiting_for_acknowledgement")
    show.facts(
        [("urgent".ljust(14), f"{alarms} not acknowledged, for {waiting['oldest_s']:.0f} s" if alarms else "none open")]
    )
    show.facts([("misroutes".ljust(14), _misroutes(ledger["misroutes"], ledger["audits"]["waiting"]))])
    if waiting := ledger.get("models", {}).get("waiting"):
        show.facts([("models".ljust(14), f"{waiting[0]} waits for a person: signpost models show {waiting[0]}")])
    show.facts([("drift".ljust(14), _drift(ledger.get("drift") or {}))])
    show.facts([("oldest waiting", f"{ledger['oldest_waiting_s']:.0f} s" if ledger["oldest_waiting_s"] else "nothing")])
    _configuration(ledger.get("configuration"))
    _channels(ledger.get("channels", []))


def _ledger(invocation: Invocation) -> dict[str, Any]:
    """Return the ledger; of a running daemon even if the file has a problem now, for it runs with an earlier one."""
    try:
        configuration = invocation.configuration()
    except ConfigError as error:
        try:
            ledger: dict[str, Any] = ask_daemon(store_url_of(invocation.config), "status")
        except NoDaemon:
            raise error from None
        return ledger
    counted: dict[str, Any] = ask(configuration, "status")
    return counted


def _misroutes(told: dict[str, Any], waiting: int) -> str:
    """Return how often messages go wrong: of those that chance chose, and what was flagged; never one for the other."""
    audited, flagged = told["audited"], told["flagged"]
    parts = [f"{flagged['flagged']} of {flagged['routed']} flagged by people in {told['days']} days"]
    if audited["n"]:
        low, high = audited["interval"]
        estimate = f"{audited['rate']:.1%} ({low:.1%} to {high:.1%}) by audit of {audited['n']}"
        parts.insert(0, estimate)
    if waiting:
        parts.append(f"{waiting} to audit: signpost audit list")
    return "; ".join(parts)


def _drift(told: dict[str, Any]) -> str:
    """Return whether what families write, or how the model does with it, has changed lately."""
    if not told.get("compared"):
        return "not looked yet" if not told else f"too few messages to tell: {told['messages']} since {told['since']}"
    topic = told["topic"]
    about = f"new: {', '.join(topic['words'])}, such as {' '.join(topic['messages'])}" if topic else ""
    found = "; ".join([*(each["sentence"] for each in told["changes"]), *filter(None, [about])])
    days = f"{told['since']} to before {told['until']}, {told['messages']} messages"
    return f"{found or 'nothing has changed'} ({days}, against {told['reference_messages']} before)"


def _configuration(told: dict[str, Any] | None) -> None:
    """Show which configuration the daemon runs, and whether a newer one is refused."""
    if told is None:
        return
    refused = told["refused_at"]
    newer = f"; the file of {refused} isn't used:" if refused else ""
    show.facts([("configuration ", f"that of {told['since']}{newer}")])
    for problem in told["problems"]:
        click.echo(f"  {show.plain(problem)}")


def _channels(rows: list[dict[str, Any]]) -> None:
    """Show how each channel is: the last proof that it works, and what went wrong since."""
    if not rows:
        return
    show.heading("Channels, as last seen:")
    columns = ["channel", "direction", "health", "proven", "last error", "runs out"]
    shown = (
        [
            row["channel"],
            row["direction"],
            "no proof yet" if row["health"] == "unproven" else row["health"],
            f"{show.age(row['proven_ago_s'])} ago" if row["proven_at"] else "",
            row["error"],
            ", ".join(f"{each['what']}: {each['at']}" for each in row["expires"]),
        ]
        for row in rows
    )
    show.table(columns, shown, empty="")
    _refusals([row for row in rows if row.get("refused_at") and row["refused_ago_s"] < _DAY_S])


def _refusals(rows: list[dict[str, Any]]) -> None:
    """Show what was sent by nobody knows whom: noise, or a secret or address that is set differently on both sides."""
    if not rows:
        return
    show.heading("Requests refused, for they didn't prove whose they are (noise, or a wrong secret or address):")
    columns = ["channel", ">since the last proof", "last", "why"]
    show.table(
        columns,
        ([row["channel"], row["refused"], f"{show.age(row['refused_ago_s'])} ago", row["refusal"]] for row in rows),
    )


# --- messages ---------------------------------------------------------------------------------------------------------


@click.group(cls=CommandGroup)
def messages() -> None:
    """Look at messages, and release what is held."""


@messages.command("list", prints=True)
@click.option("--state", type=_choice(State), help="Only those in this state.")
@click.option("--department", metavar="DEPT", help="Only those that are with this department.")
@click.option("--limit", type=_LIMIT, default=50, show_default=True, help="At most so many.")
@click.option("--before", default="", metavar="ID", help="Only those older than this one (the next page).")
@click.pass_obj
def messages_list(invocation: Invocation, /, **wanted: Any) -> None:
    """List messages, newest first."""
    rows = ask(invocation.configuration(), "messages_list", **wanted)
    if invocation.json:
        show.as_json(rows)
        return
    columns = ["id", "received", "channel", "state", "department", ">confidence", "reason", "subject"]
    shown = (
        [
            row["id"],
            row["received_at"],
            row["channel"],
            row["state"] + (" (urgent)" if row["urgent"] else ""),
            row["department"],
            show.percent(row["confidence"]),
            row["reason"],
            (row["subject"] or row["beginning"])[:60],
        ]
        for row in rows
    )
    show.table(columns, shown, empty="No message.")


messages.add_command(messages_export)


@messages.command("show", prints=True)
@click.argument("message_id", metavar="ID")
@click.pass_obj
def messages_show(invocation: Invocation, message_id: str) -> None:
    """Show one message with its decisions, deliveries and corrections."""
    view = ask(invocation.configuration(), "messages_show", message_id=message_id)
    if invocation.json:
        show.as_json(view)
        return
    lists = {name: view.pop(name) for name in ("decisions", "deliveries", "corrections")}
    text, attached, alarm = view.pop("text"), view.pop("attachments"), view.pop("alarm")
    show.facts([*view.items(), ("attachments", ", ".join(f"{a['name']} ({a['size']} bytes)" for a in attached))])
    click.echo(f"\n{show.plain(text).rstrip()}")
    _rows(
        "Decisions", lists["decisions"], ["decided_at", "department", "reason", "detail", "urgent", "school", "model"]
    )
    _rows("Alarm", [alarm] if alarm else [], ["raised_at", "why", "told_at", "acknowledged_at", "acknowledged_by"])
    _rows("Deliveries", lists["deliveries"], ["id", "kind", "state", "via", "to", "attempts", "last_error"])
    _rows("Corrections", lists["corrections"], ["id", "at", "from", "to", "by", "via", "state", "note"])


def _rows(title: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    if rows:
        show.heading(f"{title}:")
        show.table(columns, ([row[name] for name in columns] for row in rows))


@messages.command("release", prints=True)
@click.argument("message_id", metavar="ID")
@click.option("--to", metavar="DEPT", help="The department that gets it (default: wherever the steps send it).")
@said_by
@click.pass_obj
def messages_release(invocation: Invocation, /, **what: Any) -> None:
    """Let a held message go."""
    done = ask(invocation.configuration(), "messages_release", **what)
    _tell(invocation, done, f"Message {done['message_id']} is released.")


# --- deliveries -------------------------------------------------------------------------------------------------------


@click.group(cls=CommandGroup)
def deliveries() -> None:
    """Look at deliveries, and revive or drop those that are stuck."""


@deliveries.command("list", prints=True)
@click.option(
    "--state", "states", multiple=True, type=_choice(DeliveryState), help="Only those (default: dead, unclear)."
)
@click.option("--limit", type=_LIMIT, default=50, show_default=True, help="At most so many.")
@click.pass_obj
def deliveries_list(invocation: Invocation, states: tuple[str, ...], limit: int) -> None:
    """List deliveries, newest first; by default those that wait for a person."""
    rows = ask(invocation.configuration(), "deliveries_list", states=list(states) or None, limit=limit)
    if invocation.json:
        show.as_json(rows)
        return
    columns = ["id", "kind", "message_id", "department", "via", "to", "state", "attempts", "last_error"]
    empty = "No delivery." if states else "No delivery waits for a person."
    show.table(columns, ([row[name] for name in columns] for row in rows), empty=empty)


@deliveries.command("retry", prints=True)
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every dead or unclear delivery.")
@click.pass_obj
def deliveries_retry(invocation: Invocation, ids: tuple[int, ...], every: bool) -> None:
    """Revive dead or unclear deliveries: they are tried again at once."""
    if bool(ids) == every:
        raise click.UsageError("name the deliveries, or say --all")
    done = ask(invocation.configuration(), "deliveries_retry", ids=None if every else list(ids))
    _tell(invocation, done, f"{_count(done['revived'])} tried again.")


@deliveries.command("drop", prints=True)
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
@click.pass_obj
def deliveries_drop(invocation: Invocation, ids: tuple[int, ...]) -> None:
    """End deliveries: they are not tried again."""
    done = ask(invocation.configuration(), "deliveries_drop", ids=list(ids))
    _tell(invocation, done, f"{_count(done['dropped'])} dropped.")


def _count(ids: list[int]) -> str:
    return "1 delivery is" if len(ids) == 1 else f"{len(ids)} deliveries are"


# --- misroutes --------------------------------------------------------------------------------------------------------


@click.command(cls=Command, prints=True)
@click.argument("message_id", metavar="ID")
@click.option("--to", required=True, metavar="DEPT", help="The department it belongs to.")
@said_by
@click.option("--note", default="", metavar="TEXT", help="Why, in a few words.")
@click.pass_obj
def misroute(invocation: Invocation, /, **flag: Any) -> None:
    """Flag a message as misrouted: it moves to the right department at once."""
    moved = ask(invocation.configuration(), "misroute", **flag)
    where = f"Message {moved['message_id']} goes to {moved['department']}"
    if moved["held"]:
        where = f"Message {moved['message_id']} is held: it was passed on too often, a person decides"
    elif moved["disputed"]:
        where += ", where a person decides: it was passed on too often"
    _tell(invocation, moved, f"{where}. Correction {moved['correction']} is proposed.")


@click.group(cls=CommandGroup)
def corrections() -> None:
    """Govern which flags become training data."""


@corrections.command("list", prints=True)
@click.option("--state", type=_choice(CorrectionState), help="Only those in this state.")
@click.option("--conflicts", is_flag=True, help="Only those that others contradict: nothing is learnt from them.")
@click.option("--limit", type=_LIMIT, default=100, show_default=True, help="At most so many.")
@click.pass_obj
def corrections_list(invocation: Invocation, /, **wanted: Any) -> None:
    """List corrections, newest first."""
    rows = ask(invocation.configuration(), "corrections_list", **wanted)
    if invocation.json:
        show.as_json(rows)
        return
    columns = ["id", "at", "message_id", "from", "to", "by", "via", "state", "confirmed_by", "confirmed_via", "note"]
    if wanted["conflicts"]:
        columns.append("conflicts_with")
    empty = "Nobody contradicts anybody." if wanted["conflicts"] else "No correction."
    show.table(columns, ([_listed(row[name]) for name in columns] for row in rows), empty=empty)


def _listed(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


@corrections.command("confirm", prints=True)
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
@said_by
@click.pass_obj
def corrections_confirm(invocation: Invocation, ids: tuple[int, ...], by: str) -> None:
    """Let corrections become training data."""
    _settle(invocation, "corrections_confirm", ids, by)


@corrections.command("withdraw", prints=True)
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
@said_by
@click.pass_obj
def corrections_withdraw(invocation: Invocation, ids: tuple[int, ...], by: str) -> None:
    """Keep corrections out of training; the messages stay where they are."""
    _settle(invocation, "corrections_withdraw", ids, by)


def _settle(invocation: Invocation, command: str, ids: tuple[int, ...], by: str) -> None:
    rows = ask(invocation.configuration(), command, ids=list(ids), by=by)
    _tell(invocation, rows, "\n".join(f"Correction {row['id']} is {row['state']}." for row in rows))


def _tell(invocation: Invocation, answer: Any, sentence: str) -> None:
    if invocation.json:
        show.as_json(answer)
    else:
        click.echo(show.plain(sentence))
