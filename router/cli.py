"""The command `signpost`: which commands there are, and what becomes of an error. Each command is in `commandline/`."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import click

from router.commandline.frame import CONFIG_ERROR, DONE, NO, CommandGroup, Invocation
from router.errors import ConfigError, SignpostError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C stopped
_PIPE_CLOSED = 141  # likewise of one whose reader went away


class Entry(NamedTuple):
    """Where a command is defined, and its help in one sentence: the module is imported only when it is called."""

    module: str
    help: str


COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "run": Entry("daemon", "Run the daemon in the foreground."),
        "demo": Entry("daemon", "Run the embedded demo: no account and no other server is needed."),
        "reload": Entry("reload", "Have the running daemon read its configuration again."),
        "check": Entry("settings", "Check the configuration and list every problem."),
        "status": Entry("desk", "Show the ledger: what was received, and what became of it."),
        "messages": Entry("desk", "Look at messages, and release what is held."),
        "deliveries": Entry("desk", "Look at deliveries, and revive or drop those that are stuck."),
        "misroute": Entry("desk", "Flag a message as misrouted: it moves to the right department at once."),
        "corrections": Entry("desk", "Govern which flags become training data."),
        "audit": Entry("audit", "Label messages chosen at random, and see how often messages go wrong."),
        "classify": Entry("deciding", "Tell where messages would go."),
        "explain": Entry("deciding", "Explain why a message goes where it goes, and what would change that."),
        "test": Entry("cases", "Test whether messages go where they are expected to."),
        "train": Entry("learning", "Train a challenger; it is promoted if the gate passes."),
        "replay": Entry(
            "replay", "Decide past messages again by another model or configuration, and show what would change."
        ),
        "evaluate": Entry("evaluating", "Measure a model on labelled messages."),
        "models": Entry("models", "Look at the registry of models, promote one, or go back."),
        "encoder": Entry("encoder", "List the sentence encoders, or fetch one."),
        "backup": Entry("backup", "Copy the store to a file while the daemon runs."),
        "store": Entry("store", "Move the store from SQLite to PostgreSQL, or say that it was restored."),
        "users": Entry("users", "Say who may sign in to the console, and see what they did there."),
        "channels": Entry("settings", "List the channel types, their settings and defaults."),
        "classifiers": Entry("settings", "List the classifier types, their settings and defaults."),
    }
)


class Root(CommandGroup):
    """The top of the command line; it lists its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Import a command's module and return the command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        found = getattr(import_module(f"router.commandline.{entry.module}"), cmd_name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 the answer is no, 2 wrong usage, 78 the configuration is wrong.",
)
@click.version_option(package_name="signpost-router", prog_name="signpost", message="%(prog)s %(version)s")
def root() -> None:
    """Signpost: every message to the right desk.

    Commands reach the running daemon through its control socket; if none runs, they open the store themselves.
    """


def main() -> None:
    """Run the command line of this process and exit with its status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; what went wrong is said on standard error, without a traceback."""
    try:
        outcome = root.main(args=list(arguments), prog_name="signpost", standalone_mode=False, obj=Invocation())
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except (click.ClickException, SignpostError, OSError) as error:
        return _failed(error)
    return outcome if isinstance(outcome, int) else DONE


def _failed(error: click.ClickException | SignpostError | OSError) -> int:
    """Say what went wrong and return the exit status."""
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has no reader
        return _PIPE_CLOSED
    if isinstance(error, ConfigError):
        _say("\n".join(map(str, error.problems)))
        return CONFIG_ERROR
    _say(f"signpost: {_plain(error) if isinstance(error, OSError) else error}")
    return NO


def _plain(error: OSError) -> str:
    """Return an operating system's error as a sentence."""
    what = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        return f"{what}: another program uses that port. Stop it, or choose another port"
    return f"{error.filename}: {what}" if error.filename else what


def _say(text: str) -> None:
    click.echo(text, err=True)
