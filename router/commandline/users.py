"""`signpost users`: who may sign in to the console, and what they saw and did there."""

from __future__ import annotations

from typing import Any

import click

from router.commandline import show
from router.commandline.frame import DONE, NO, CommandGroup, Invocation, login_name
from router.commandline.reach import ask
from router.user_commands import ROLES

_MOST_PASSWORD = 4096


@click.group(cls=CommandGroup)
def users() -> None:
    """Say who may sign in to the console, and see what they did there."""


_role = click.option(
    "--role",
    type=click.Choice(ROLES),
    required=True,
    help="What they may do; each may all that the former may.",
)


_departments = click.option(
    "--department",
    "departments",
    multiple=True,
    metavar="ID",
    help="Only this department's messages; repeatable.",
)
_schools = click.option(
    "--school", "schools", multiple=True, metavar="ID", help="Only this school's messages; repeatable."
)


@users.command(prints=True)
@click.argument("email")
@_role
@_departments
@_schools
@click.option("--name", default="", help="How others read of them.")
@click.pass_obj
def add(
    invocation: Invocation, email: str, *, role: str, departments: tuple[str, ...], schools: tuple[str, ...], name: str
) -> None:
    """Let somebody sign in: at a provider that confirms this address, or once they have a password."""
    given = {"role": role, "departments": list(departments) or None, "schools": list(schools) or None, "name": name}
    account = ask(invocation.configuration(), "users_add", email=email, by=login_name(), **given)
    _told(invocation, account, "may sign in")


@users.command("list", prints=True)
@click.pass_obj
def list_(invocation: Invocation) -> None:
    """List the accounts."""
    found = ask(invocation.configuration(), "users_list")
    if invocation.json:
        show.as_json(found)
        return
    columns = [">", "who", "role", "departments", "schools", "signs in", "last", ""]
    show.table(columns, [_row(account) for account in found])


def _row(account: dict[str, Any]) -> list[Any]:
    ids = ["all" if account[key] is None else ", ".join(account[key]) for key in ("departments", "schools")]
    last, off = (account["signed_in_at"] or "")[:10] or "never", "disabled" if account["disabled_at"] else ""
    return [account["id"], account["email"], account["role"], *ids, account["signs_in"] or "not yet", last, off]


@users.command(prints=True)
@click.argument("account", metavar="EMAIL")
@_role
@_departments
@_schools
@click.pass_obj
def change(
    invocation: Invocation, account: str, role: str, departments: tuple[str, ...], schools: tuple[str, ...]
) -> None:
    """Give somebody another role and scope; they are signed out and sign in again."""
    given = {"role": role, "departments": list(departments) or None, "schools": list(schools) or None}
    changed = ask(invocation.configuration(), "users_change", account=account, by=login_name(), **given)
    _told(invocation, changed, f"is {role} now")


@users.command(prints=True)
@click.argument("account", metavar="EMAIL")
@click.pass_obj
def disable(invocation: Invocation, account: str) -> None:
    """Let somebody sign in no more, and sign them out everywhere at once."""
    changed = ask(invocation.configuration(), "users_disable", account=account, by=login_name())
    _told(invocation, changed, "may not sign in any more")


@users.command(prints=True)
@click.argument("account", metavar="EMAIL")
@click.pass_obj
def enable(invocation: Invocation, account: str) -> None:
    """Let somebody sign in again."""
    changed = ask(invocation.configuration(), "users_enable", account=account, by=login_name())
    _told(invocation, changed, "may sign in again")


@users.command("sign-out", prints=True)
@click.argument("account", metavar="EMAIL")
@click.pass_obj
def sign_out(invocation: Invocation, account: str) -> None:
    """End all sessions of somebody."""
    changed = ask(invocation.configuration(), "users_sign_out", account=account, by=login_name())
    _told(invocation, changed, "is signed out everywhere")


@users.command(prints=True)
@click.argument("account", metavar="EMAIL")
@click.option(
    "--file", "file", type=click.File("r"), help="Read it from the first line of a file; - is standard input."
)
@click.pass_obj
def password(invocation: Invocation, account: str, file: Any) -> None:
    """Set somebody's password: typed here, or read from a file; only its hash is kept."""
    from router.console import passwords  # noqa: PLC0415  argon2 is needed here alone

    configuration = invocation.configuration()
    if file is not None:
        given = file.readline(_MOST_PASSWORD).rstrip("\r\n")
    else:
        given = click.prompt("New password", hide_input=True, confirmation_prompt="The same again", err=True)
    wrong = passwords.fault(given, account, configuration.organization.name)
    if wrong:
        raise click.ClickException(wrong)
    hashed = passwords.hashed(given)
    changed = ask(configuration, "users_password", account=account, hashed=hashed, by=login_name())
    _told(invocation, changed, "has a new password, and is signed out")


@users.command(prints=True)
@click.option("--limit", default=50, show_default=True, help="At most so many rows.")
@click.option("--before", type=int, help="Only rows older than this number.")
@click.option("--about", default="", help='Only about this, such as "message 3K7QXW2NPT4D".')
@click.option("--by", "account", default="", metavar="EMAIL", help="Only what this person did.")
@click.option("--verify", is_flag=True, help="Look through all of it: whether anything was changed or taken out.")
@click.pass_obj
def log(invocation: Invocation, *, limit: int, before: int | None, about: str, account: str, verify: bool) -> int:
    """Show who saw and did what in the console, the newest first."""
    if verify:
        return _verified(invocation)
    rows = ask(invocation.configuration(), "users_log", limit=limit, before=before, about=about, account=account)
    if invocation.json:
        show.as_json(rows)
    else:
        columns = [">", "at", "who", "what", "about", "", "from"]
        keys = ("id", "at", "who", "action", "about", "detail", "address")
        show.table(columns, [[row[key] for key in keys] for row in rows])
    return DONE


def _verified(invocation: Invocation) -> int:
    found = ask(invocation.configuration(), "users_verify")
    if invocation.json:
        show.as_json(found)
    elif found["broken_at"] is not None:
        click.echo(f"Row {found['broken_at']} doesn't fit: it, or one before it, was changed or taken out.")
    else:
        click.echo(f"All {found['rows']} rows are as they were written. The last digest, to keep elsewhere:")
        click.echo(found["digest"])
    return DONE if found["broken_at"] is None else NO


def _told(invocation: Invocation, account: dict[str, Any], what: str) -> None:
    if invocation.json:
        show.as_json(account)
    else:
        click.echo(f"{account['email']} {what}.")
