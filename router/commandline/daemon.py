"""`run` and `demo`: the daemon in this process."""

from __future__ import annotations

import faulthandler
import os
import socket
from dataclasses import replace
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING

import click

from config.files import files_of
from router import descriptors, failpoints
from router import log as logs
from router.app import Daemon, run_until_signal
from router.commandline.demo import MAIL_IN, Feeder, demo_path, mount, redirected
from router.commandline.frame import Command, Invocation
from router.commandline.model import prepare_first_model
from router.errors import SignpostError
from router.files import FileWatch
from router.interfaces import SystemClock
from router.learning.bundled import bundled
from router.notify import Notify
from router.settings import Address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web
    from structlog.typing import FilteringBoundLogger

    from config.load import Configuration
    from router.parts import Parts

_LEVELS = click.Choice(["debug", "info", "warning", "error"])
_PORT = click.IntRange(1, 65535)


@click.command(cls=Command)
@click.option("--log-level", type=_LEVELS, default="info", show_default=True, help="Log nothing less important.")
@click.pass_obj
def run(invocation: Invocation, log_level: str) -> None:
    """Run the daemon in the foreground.

    It logs to standard output, and stops on SIGTERM or Ctrl-C after it has finished what is under way. On SIGHUP, and
    when the configuration's files change, it reads them again.
    """
    watch = FileWatch(partial(files_of, invocation.config))  # first: what changes from here on is read again
    read = partial(invocation.configuration, secrets=True)
    configuration = read()
    for warning in configuration.warnings:
        click.echo(f"remark: {warning}", err=True)
    log = logs.configure(level=log_level)
    failpoints.switch_on(os.environ, log)
    _start(configuration, log, read=read, watch=watch)


def _start(
    configuration: Configuration,
    log: FilteringBoundLogger,
    extend: Callable[[Parts, web.Application], None] = lambda _parts, _application: None,
    *,
    read: Callable[[], Configuration] | None = None,
    watch: FileWatch | None = None,
) -> None:
    descriptors.allow_enough()
    faulthandler.enable()  # a crash, or a watchdog's SIGABRT: what every thread was doing goes to standard error
    notify = Notify.from_environment(os.environ)
    notify.starting()
    prepare_first_model(configuration)
    configured = configuration.classifier
    provide = partial(bundled, configured.classifier, configured.settings, lambda _doing, _share: None)
    daemon = Daemon(
        configuration,
        provide=provide,
        rng=SystemRandom(),
        log=log,
        clock=SystemClock(),
        notify=notify,
        read=read,
        watch=watch,
    )
    try:
        run_until_signal(daemon, extend)
    finally:
        logs.close()


@click.command(cls=Command)
@click.option("--feed", is_flag=True, help="Send a stream of sample messages over all three channels.")
@click.option("--port", type=_PORT, default=8080, show_default=True, help="Where the pages are, on this machine.")
@click.option("--smtp-port", type=_PORT, default=2525, show_default=True, help="Where mail comes in, on this machine.")
@click.pass_obj
def demo(invocation: Invocation, feed: bool, port: int, smtp_port: int) -> None:
    """Run the embedded demo: no account and no other server is needed.

    Everything it keeps is under var/demo; nothing leaves this machine. It has a configuration of its own.
    """
    if invocation.by_option and invocation.config.absolute() != demo_path().absolute():
        raise click.UsageError("the demo has a configuration of its own; to run yours: signpost run --config PATH")
    if port == smtp_port:
        raise click.UsageError("--port and --smtp-port must differ")
    configuration = redirected(replace(invocation, config=demo_path()).configuration(secrets=True), port, smtp_port)
    for number, option in ((port, "--port"), (smtp_port, "--smtp-port")):
        _refuse_if_taken(Address("127.0.0.1", number), option)
    click.echo("Signpost demo: everything stays on this machine, and everything it keeps is under var/demo.")
    feeder = Feeder(configuration) if feed else None

    def extend(parts: Parts, application: web.Application) -> None:
        mount(configuration, parts, application)
        application.on_startup.append(_welcome(configuration, fed=feed))
        if feeder:
            application.cleanup_ctx.append(feeder.running)

    _start(configuration, logs.configure(level="warning", pretty=True), extend)
    click.echo("The demo has stopped. What it kept is still under var/demo; delete that folder to start afresh.")


def _refuse_if_taken(address: Address, option: str) -> None:
    """Say what to do before anything is set up, rather than after."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            raise SignpostError(
                f"{address} is in use by another program ({error.strerror}); choose another port with {option}, "
                f'for example: make demo DEMO_ARGS="{option} {address.port + 1}"'
            ) from error


def _welcome(configuration: Configuration, *, fed: bool) -> Callable[[web.Application], Awaitable[None]]:
    url = configuration.organization.public_url
    smtp: Address = configuration.channels[MAIL_IN].settings.listen  # type: ignore[attr-defined]  # an smtp_server's
    lines = [
        "",
        f"  Watch messages being routed    {url}/demo",
        f"  Work as staff do               {url}/demo/console",
        f"  Write as a family would        {url}/",
        f"  Send a text message            {url}/webhooks/text-line",
        f"  Send a mail                    to contact@maplevalley.example, SMTP on {smtp}",
        "  Departments' mail              var/demo/departments/ (and on the page of the demo)",
        "",
        "  Sample messages come in by themselves now."
        if fed
        else "  With --feed sample messages come in by themselves.",
        "  Ctrl-C stops the demo.",
        "",
    ]

    async def say(_application: web.Application) -> None:
        click.echo("\n".join(lines))

    return say
