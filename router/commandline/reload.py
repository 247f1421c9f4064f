"""`reload`: the running daemon reads its configuration again, and its answer is shown."""

from __future__ import annotations

import click

from router.commandline import show
from router.commandline.frame import CONFIG_ERROR, DONE, NO, Command, Invocation
from router.commandline.reach import ask_daemon
from router.errors import ConfigError

_CHANGES = (("started", "now runs"), ("stopped", "is gone"), ("changed", "runs with its new settings"))


@click.command(cls=Command, prints=True)
@click.pass_obj
def reload(invocation: Invocation) -> int:
    """Have the running daemon read its configuration again.

    All of it is used or nothing: exit status 78 if the file has a problem, 1 if it can't be used now; the daemon goes
    on with what it has then. No message is lost or refused meanwhile.
    """
    try:
        outcome = ask_daemon(invocation.configuration().store.url, "reload")
    except ConfigError as error:
        if not invocation.json:
            raise
        outcome = {"applied": False, "invalid": True, "problems": [str(problem) for problem in error.problems]}
    if invocation.json:
        show.as_json(outcome)
    elif outcome["applied"]:
        changes = [f"{channel} {what}" for kind, what in _CHANGES for channel in outcome[kind]]
        click.echo(show.plain("\n".join(["The configuration is in force.", *changes])))
    else:
        click.echo(show.plain("\n".join([*outcome["problems"], "The daemon goes on with what it has."])), err=True)
    return DONE if outcome["applied"] else CONFIG_ERROR if outcome["invalid"] else NO
