"""`audit`: label messages chosen at random, and learn from that how often messages go wrong, flagged or not."""

from __future__ import annotations

from typing import Any

import click

from router.commandline import show
from router.commandline.desk import said_by
from router.commandline.frame import CommandGroup, Invocation
from router.commandline.reach import ask

_DAY = click.DateTime(["%Y-%m-%d"])
_GROUPS = ("period", "department", "language", "channel")


@click.group(cls=CommandGroup)
def audit() -> None:
    """Label messages chosen at random, and see how often messages go wrong."""


@audit.command("list", prints=True)
@click.option("--answered", is_flag=True, help="The last answers instead, and where each message had been sent.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.pass_obj
def audit_list(invocation: Invocation, answered: bool, limit: int) -> None:
    """List the messages that wait for a label, the oldest first."""
    rows = ask(invocation.configuration(), "audit_list", limit=limit, answered=answered)
    if invocation.json:
        show.as_json(rows)
        return
    columns = ["id", "received_at", "channel", "language", "subject", "beginning"]
    if answered:
        columns = ["id", "answered_at", "by", "answer", "urgent", "routed_to", "misrouted", "note"]
    empty = "Nobody has labelled a message yet." if answered else "No message waits for a label."
    show.table(columns, ([row[name] for name in columns] for row in rows), empty=empty)


@audit.command("show", prints=True)
@click.argument("message_id", metavar="ID")
@click.pass_obj
def audit_show(invocation: Invocation, message_id: str) -> None:
    """Show a message that waits for a label; where the router sent it isn't told before the answer."""
    view = ask(invocation.configuration(), "audit_show", message_id=message_id)
    if invocation.json:
        show.as_json(view)
        return
    text, departments = view.pop("text"), view.pop("departments")
    show.facts([(name, ", ".join(value) if isinstance(value, list) else value) for name, value in view.items()])
    click.echo(f"\n{show.plain(text).rstrip()}\n")
    click.echo(f"signpost audit answer {view['id']} DEPARTMENT [--urgent]   with one of: {', '.join(departments)}")


@audit.command("answer", prints=True)
@click.argument("message_id", metavar="ID")
@click.argument("department", metavar="DEPARTMENT")
@click.option("--urgent", is_flag=True, help="Somebody had to be told of it at once.")
@said_by
@click.option("--note", default="", metavar="TEXT", help="Why, in a few words.")
@click.pass_obj
def audit_answer(invocation: Invocation, /, **said: Any) -> None:
    """Say which department a message belongs to; the fallback if it is no department's business.

    It is learnt from like a confirmed correction. The message stays where it is.
    """
    told = ask(invocation.configuration(), "audit_answer", **said)
    if invocation.json:
        show.as_json(told)
        return
    verdict = f"it was sent to {told['routed_to']}" + (", wrongly" if told["misrouted"] else ", too")
    sentences = [f"Message {told['id']} belongs to {told['answer']}; {verdict}."]
    if told["urgent"] and not told["was_urgent"]:
        sentences.append("It wasn't taken for urgent, so nobody was alerted.")
    if told["now_with"] != told["answer"]:
        sentences.append(f"To send it on:  signpost misroute {told['id']} --to {told['answer']}")
    click.echo(show.plain("\n".join(sentences)))


@audit.command("rate", prints=True)
@click.option("--since", type=_DAY, metavar="DATE", help="Messages received from this day on (default: 90 days ago).")
@click.option("--until", type=_DAY, metavar="DATE", help="Messages received until the end of this day.")
@click.pass_obj
def audit_rate(invocation: Invocation, since: Any, until: Any) -> None:
    """Tell how often messages go wrong: estimated by audits, and beside it what people flagged."""
    days = {name: f"{day:%Y-%m-%d}" for name, day in (("since", since), ("until", until)) if day}
    told = ask(invocation.configuration(), "audit_rate", **days)
    if invocation.json:
        show.as_json(told)
        return
    audited, flagged = told["audited"], told["flagged"]
    rows = [_row("all", "", audited, flagged)]
    for name in _GROUPS:
        chosen, noticed = audited[f"per_{name}"], flagged[f"per_{name}"]
        rows += [_row(name, key, chosen.get(key), noticed.get(key)) for key in sorted({*chosen, *noticed})]
    columns = ["", "", ">audited", ">went wrong", ">95 % interval", ">routed", ">flagged", ">share"]
    show.table(columns, rows)
    click.echo(f"\n{_about(audited)}")


def _row(name: str, key: str, audited: dict[str, Any] | None, flagged: dict[str, Any] | None) -> list[Any]:
    audited, flagged = audited or {"n": 0}, flagged or {"routed": 0, "flagged": 0, "rate": None}
    interval = " to ".join(map(show.percent, audited.get("interval") or ()))
    rate = show.percent(audited.get("rate"))
    return [
        name,
        key,
        audited["n"],
        rate,
        interval,
        flagged["routed"],
        flagged["flagged"],
        show.percent(flagged["rate"]),
    ]


def _about(audited: dict[str, Any]) -> str:
    """Return what else the audits say, and whether they may be believed."""
    fallback, urgent = audited["fallback"], audited["urgent"]
    lines = [
        f"Chosen at random {audited['offered']}, labelled {audited['answered']}.",
        f"Of {fallback['n']} that the router left to people, {fallback['had_a_department']} belonged to a department.",
        f"Of {urgent['n']} urgent ones {urgent['missed']} raised no alert; {urgent['needless']} alerts were needless.",
    ]
    if audited["answered"] < audited["offered"]:
        lines.append("The rates are unbiased only once all that were chosen are labelled.")
    return "\n".join(lines)
