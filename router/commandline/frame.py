"""What every command shares: `--config` before or after the command's name, `--json`, exit statuses."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from config.load import Configuration
    from router.interfaces import Channel
    from router.plugins import Plugins

DONE, NO, CONFIG_ERROR = 0, 1, 78
DEFAULT_CONFIG = "config/signpost.yaml"


@dataclass(slots=True)
class Invocation:
    """What was asked for beside the command itself.

    `named` tells whether somebody named the configuration file, `by_option` whether on this very command line.
    """

    config: Path = Path(DEFAULT_CONFIG)
    named: bool = False
    by_option: bool = False
    json: bool = False

    def configuration(self, *, secrets: bool = False) -> Configuration:
        """Load the configuration; raise `ConfigError`. Commands that connect to nothing need no secrets."""
        from config.load import load  # noqa: PLC0415  pydantic and YAML take longer than `--help` may

        return load(self.config, secrets=secrets, channel_types=_demo_types(self.config))

    def configuration_if_any(self) -> Configuration | None:
        """Load the configuration if one was named or is in its usual place."""
        return self.configuration() if self.named or self.config.exists() else None


def _demo_types(config: Path) -> Plugins[Channel] | None:
    """Return the channel types with the demo's own, for the demo's own configuration only; None for any other."""
    from config import __file__ as package  # noqa: PLC0415  as above

    if config.absolute() != Path(package).absolute().with_name("demo.yaml"):
        return None
    from router.demo.text_line import SIMULATED_TEXT_LINE  # noqa: PLC0415  only the demo has it
    from router.plugins import channel_types  # noqa: PLC0415  as above

    return channel_types({"simulated_text_line": SIMULATED_TEXT_LINE})


def _take_config(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        invocation = context.ensure_object(Invocation)
        invocation.config, invocation.named = value, True
        invocation.by_option |= context.get_parameter_source("config") is ParameterSource.COMMANDLINE


def _take_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Invocation).json = True


def _config_option(*, top: bool) -> click.Option:
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path),
        envvar="SIGNPOST_CONFIG" if top else None,
        metavar="PATH",
        expose_value=False,
        callback=_take_config,
        help=f"The configuration file (default {DEFAULT_CONFIG}, or SIGNPOST_CONFIG).",
    )


def _json_option() -> click.Option:
    return click.Option(["--json"], is_flag=True, expose_value=False, callback=_take_json, help="Print JSON.")


class Command(click.Command):
    """A command with `--config` and, if it `prints` something for reading, `--json`."""

    def __init__(self, *args: Any, prints: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [*([_json_option()] if prints else []), _config_option(top=False)]


class CommandGroup(click.Group):
    """A group of such commands."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_config_option(top=type(self) is not CommandGroup))


def login_name() -> str:
    """Return the name of the user who runs the command, "" if the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
