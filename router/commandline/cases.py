"""`test`: whether messages written down as cases go where they are expected to."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import click
import structlog

from channels._keywords import keyword_of
from channels._mime import understand
from config.cases import load_cases
from router.commandline import show
from router.commandline.frame import DONE, NO, Command, Invocation
from router.commandline.model import from_directory, serving
from router.errors import ConfigError, Problem
from router.interfaces import SystemClock
from router.records import Attachment, Content, Medium, Message, State
from router.serving import thresholds
from router.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from config.cases import Case, LocatedCase
    from config.load import Configuration
    from router.routing.route import Verdict

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_MODEL = click.Path(path_type=Path, exists=True, file_okay=False)


class Difference(NamedTuple):
    """Something that isn't as expected."""

    case: str
    line: int
    what: str
    expected: str
    found: str
    why: str


@click.command(cls=Command, prints=True)
@click.argument("cases", type=_FILE, metavar="CASES")
@click.option("--model", type=_MODEL, metavar="DIR", help="Ask a model that stands in a directory, not the champion.")
@click.pass_obj
def test(invocation: Invocation, cases: Path, model: Path | None) -> int:
    """Test whether messages go where they are expected to.

    CASES is a YAML file of messages with the routes expected. Prints what differs, and ends with 1 if anything does.
    Nothing is stored and nothing is sent.
    """
    configured = invocation.configuration()
    located = load_cases(cases, configured)
    messages = _messages(cases, located, configured)
    verdicts = _trial(configured, model).verdicts(messages)
    found = [
        difference
        for each, verdict in zip(located, verdicts, strict=True)
        for difference in _differences(each, verdict)
    ]
    if invocation.json:
        different = len({difference.line for difference in found})
        rows = [difference._asdict() for difference in found]
        show.as_json({"cases": len(located), "as_expected": len(located) - different, "differences": rows})
    else:
        _print(cases, len(located), found)
    return NO if found else DONE


def _trial(configured: Configuration, model: Path | None) -> Trial:
    classifier, meta = from_directory(model) if model else serving(configured)
    limits = thresholds(meta, configured.routing.target_error)
    log = structlog.wrap_logger(structlog.PrintLogger(), wrapper_class=structlog.make_filtering_bound_logger("error"))
    return Trial(classifier, limits, clock=SystemClock(), log=log, configuration=configured)


def _print(cases: Path, count: int, found: Sequence[Difference]) -> None:
    if found:
        rows = [[f"{each.case} (line {each.line})", *each[2:]] for each in found]
        show.table(["case", "what", "expected", "found", "why"], rows)
        click.echo()
    different = len({each.line for each in found})
    click.echo(f"{cases}: {count} cases, {count - different} as expected, {different} not.")


# --- from a case to a message -----------------------------------------------------------------------------------------


def _messages(path: Path, located: Sequence[LocatedCase], configured: Configuration) -> list[Message]:
    """Return the cases' messages; raise `ConfigError` for mails that can't be read."""
    zone, problems, messages = ZoneInfo(configured.organization.timezone), list[Problem](), list[Message]()
    for number, each in enumerate(located):
        try:
            content = _content(each.case, path.parent)
        except OSError as error:
            what = f"the mail can't be read: {error.strerror or error}"
            problems.append(Problem(str(path), each.line, f"cases[{number}].mail", what))
            continue
        messages.append(
            Message(
                id=f"case-{number}",
                channel=each.case.channel or "",
                medium=_medium(each.case),
                received_at=each.case.moment(zone),
                content=content,
            )
        )
    if problems:
        raise ConfigError(problems)
    return messages


def _medium(case: Case) -> Medium:
    return case.medium or (Medium.SMS if case.from_.startswith("+") else Medium.EMAIL)


def _content(case: Case, folder: Path) -> Content:
    if case.mail:
        return understand((folder / case.mail).read_bytes(), _facts(case), Medium.EMAIL.value)
    return Content(
        sender=case.from_,
        reply_to=case.from_ if "@" in case.from_ else "",
        phone=case.phone,
        recipient=case.to,
        subject=case.subject,
        text=case.text,
        language=case.language or "",
        school=case.school or "",
        topic=case.topic,
        attachments=tuple(_attachment(name) for name in case.files),
        auto_submitted=case.automatic,
        keyword=keyword_of(case.text) if _medium(case) is Medium.SMS and not case.files else "",
    )


def _facts(case: Case) -> dict[str, Any]:
    known = {"sender": case.from_, "recipient": case.to, "school": case.school, "language": case.language}
    return {name: value for name, value in known.items() if value}


def _attachment(name: str) -> Attachment:
    return Attachment(name=name, content_type=mimetypes.guess_type(name)[0] or "application/octet-stream", size=1)


# --- from a verdict to what differs -----------------------------------------------------------------------------------


def _differences(each: LocatedCase, verdict: Verdict) -> Iterator[Difference]:
    decision, found = verdict.decision, _found(verdict)
    why = decision.detail if decision else verdict.detail
    for what, wanted in each.case.expect.model_dump(mode="json", exclude_defaults=True).items():
        accepted = wanted if isinstance(wanted, list) else [wanted]
        if found[what] not in accepted:
            shown = " or ".join(show.cell(value) or "none" for value in accepted)
            yield Difference(each.name, each.line, what, shown, show.cell(found[what]) or "none", why)


def _found(verdict: Verdict) -> dict[str, Any]:
    decision = verdict.decision
    return {
        "department": decision.department if decision else verdict.state.value,
        "reason": decision.reason.value if decision else verdict.state.value,
        "urgent": bool(verdict.urgent),
        "school": decision.school if decision else verdict.school,
        "language": verdict.message.content.language,
        "held": verdict.state is State.HELD,
        "filed": verdict.state is State.FILED,
    }
