"""`classify` and `explain`: where a message would go, or why it went there."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from router.commandline import show
from router.commandline.frame import Command, Invocation
from router.commandline.model import trial
from router.commandline.reach import ask
from router.errors import SignpostError
from router.records import Medium
from router.trial import Trial, answer, message_of_row, message_of_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.records import Message

_MODEL = click.Path(path_type=Path, exists=True, file_okay=False)
_MEDIUM = click.Choice([medium.value for medium in Medium])
_MOST_WORDS = 8


@click.command(cls=Command, prints=True)
@click.argument("file", type=click.File("rb"), default="-")
@click.option(
    "--jsonl", is_flag=True, help='FILE holds rows {"id", "channel", "subject", "body"}; print a row for each.'
)
@click.option("--model", type=_MODEL, metavar="DIR", help="Use a model that stands outside the configuration.")
@click.option("--channel", type=_MEDIUM, default="email", help="How the person wrote (for a single text).")
@click.pass_obj
def classify(invocation: Invocation, file: BinaryIO, jsonl: bool, model: Path | None, channel: str) -> None:
    """Tell where messages would go.

    FILE is a text, a mail (.eml) or, with --jsonl, rows of JSON; without FILE standard input is read.
    """
    deciding = trial(invocation, model)
    if jsonl:
        _classify_rows(deciding, file)
        return
    message = message_of_text(file.read(), _name(file), Medium(channel), datetime.now(UTC))
    row = answer(*next(iter(deciding.decide([message]))))
    if invocation.json:
        show.as_json(row)
    else:
        _print_answer(row)


def _classify_rows(deciding: Trial, file: BinaryIO) -> None:
    ids: list[Any] = []
    for number, decided in enumerate(deciding.decide(_messages(file, ids))):
        given, ids[number] = ids[number], None
        click.echo(json.dumps({"id": given, **answer(*decided)}, ensure_ascii=False))


def _messages(file: BinaryIO, ids: list[Any]) -> Iterator[Message]:
    """Yield the rows' messages and note each row's id; raise `SignpostError` with the line of one that is none."""
    now = datetime.now(UTC)
    for number, row in _rows(file):
        try:
            message = message_of_row(row, number, now)
        except SignpostError as error:
            raise SignpostError(f"{_name(file)}:{number}: {error}") from error
        ids.append(row.get("id", number))
        yield message


def _rows(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    name = _name(file)
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise SignpostError(f"{name}:{number}: this line isn't UTF-8") from None
        except (ValueError, RecursionError) as error:
            raise SignpostError(f"{name}:{number}: this line isn't JSON: {error}") from None
        if not isinstance(row, dict):
            raise SignpostError(f"{name}:{number}: this line must be a JSON object")
        yield number, row


def _name(file: BinaryIO) -> str:
    return str(getattr(file, "name", "<stdin>"))


def _print_answer(row: dict[str, Any]) -> None:
    show.facts(
        [
            ("department", row["department"] or "none: the model abstains"),
            ("also", ", ".join(row["also"])),
            ("confidence", show.percent(row["confidence"])),
            ("reason", f"{row['reason']} ({row['detail']})" if row["detail"] else row["reason"]),
            ("urgent", row["urgent_reason"]),
            ("tags", ", ".join(row["tags"])),
            ("school", row["school"]),
            ("language", row["language"]),
            ("ranking", ", ".join(f"{label} {p:.1%}" for label, p in row["ranking"][:3])),
        ]
    )


@click.command(cls=Command, prints=True)
@click.argument("what", metavar="ID|FILE")
@click.option("--model", type=_MODEL, metavar="DIR", help="Use a model that stands outside the configuration.")
@click.option("--channel", type=_MEDIUM, default="email", help="How the person wrote (for a text in a file).")
@click.pass_obj
def explain(invocation: Invocation, what: str, model: Path | None, channel: str) -> None:
    """Explain why a message goes where it goes, and what would change that.

    ID is a message's reference; FILE is a text or a mail (.eml), `-` standard input.
    """
    if what == "-" or Path(what).exists():
        text = sys.stdin.buffer.read() if what == "-" else Path(what).read_bytes()
        message = message_of_text(text, what, Medium(channel), datetime.now(UTC))
        view = trial(invocation, model).explain(message)
    elif os.sep in what or "." in what:
        raise SignpostError(f"there is no file '{what}'")
    else:
        view = ask(invocation.configuration(), "explain", message_id=what)
    if invocation.json:
        show.as_json(view)
    else:
        _print_explanation(view)


def _print_explanation(view: dict[str, Any]) -> None:
    school = f"{view['school']} {view['school_by']['said']}" if view["school_by"]["said"] else view["school"]
    name = f"{view['department_name']} ({view['department']})" if view["department_name"] else view["department"]
    show.facts(
        [
            ("message", view["id"]),
            ("goes to", name or "none: the model abstains"),
            ("also to", ", ".join(view["also"])),
            ("why", view["because"]),
            ("decided by", view["step"]),
            ("reason", f"{view['reason']} ({view['detail']})" if view["detail"] else view["reason"]),
            ("confidence", show.percent(view["confidence"])),
            ("urgent", f"{view['urgent']}: people are told at once, besides" if view["urgent"] else ""),
            ("tags", ", ".join(view["tags"])),
            ("school", school),
            ("language", view["language"]),
        ]
    )
    if view["model"]:
        _print_model(view["model"])
    if view["urgency"]["phrase"] or view["urgency"].get("words"):
        _print_urgency(view["urgency"])
    if view["step"] == "suspicion":
        _print_spam(view["spam"])
    if view["would_change"]:
        show.heading("What would change it:")
        for sentence in view["would_change"]:
            click.echo(f"  {show.plain(sentence)}")


def _print_urgency(said: dict[str, Any]) -> None:
    show.heading("Is it urgent?")
    model = (
        f"{show.percent(said['likely'])}; it counts from {show.percent(said['threshold'])}" if "likely" in said else ""
    )
    words = ", ".join(f"{word} {weight:+.2f}" for word, weight in said.get("words", ())[:_MOST_WORDS])
    phrase = f"{said['phrase']}, a weak sign" if said.get("weak") else said["phrase"] or "none"
    show.facts([("phrase", phrase), ("likely", model), ("words", words)])


def _print_spam(said: dict[str, Any]) -> None:
    show.heading("Why does it look like spam?")
    score = "" if said["score"] is None else f"{said['score']:.2f}; below 0 it is no department's business"
    enough = "" if said["threshold"] is None else f", below {said['threshold']:.2f} that is enough"
    words = ", ".join(f"{word} {weight:+.2f}" for word, weight in said["words"][:_MOST_WORDS])
    signs = ", ".join(filter(None, [said["channel"], *said["signs"]]))
    show.facts([("signs", signs or "none"), ("score", score and score + enough), ("words", words)])


def _print_model(model: dict[str, Any]) -> None:
    show.heading(f"The model {model['version']} ranks:")
    needed = {
        name: "never alone" if need is None else show.percent(need) for name, need in model.get("needed", {}).items()
    }
    rows = [[name, show.percent(p), needed.get(name, "")] for name, p in model["departments"]]
    show.table(["department", ">share", ">needed"], rows)
    if several := model.get("matters"):
        click.echo("It has several matters: " + ", ".join(f"{name} {p:.1%}" for name, p in several))
    for label, words in model.get("words", {}).items():
        show.heading(f"Words for (+) and against (-) {label}:")
        click.echo("  " + show.plain(", ".join(f"{word} {weight:+.2f}" for word, weight in words[:_MOST_WORDS])))
