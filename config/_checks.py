"""What no single setting can know: faults, and warnings, that show only when sections are looked at together.

The checks for faults read plain data, not models, so that they speak up even where another section is wrong.
"""

from __future__ import annotations

from email.utils import parseaddr
from typing import TYPE_CHECKING, Any

from config import _acknowledge
from config._console import on_this_machine
from config._document import dotted
from config._types import takes_in
from config.schema import Http
from router.settings import parse_listen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config._document import Document, Place
    from config._types import Names
    from config.schema import ConfigurationFile, ConfiguredChannel
    from router.errors import Problem
    from router.interfaces import Settings
    from router.settings import Address


def faults(document: Document, names: Names, file: ConfigurationFile | None) -> list[Problem]:
    """Return the problems between sections; `file` is None where a single setting is wrong already."""
    found = [problem for check in _CHECKS for problem in check(document, names)]
    if file and not any(_takes_in(each) for each in file.channels.values()):
        found.append(_no_source(document))
    found += _acknowledge.faults(document, file.channels) if file else ()
    return found


def warnings(document: Document, file: ConfigurationFile) -> tuple[Problem, ...]:
    """Return what a valid file should better say otherwise."""
    return tuple(sorted(problem for check in _REMARKS for problem in check(document, file)))


def block(value: object, *keys: str) -> dict[str, Any]:
    """Return the block of settings below some keys, {} if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _fallback_covers(document: Document, _names: Names) -> Iterator[Problem]:
    fallback = block(document.data, "routing").get("fallback")
    if isinstance(fallback, str) and block(document.data, "departments", fallback).get("covers"):
        place = ("departments", fallback, "covers")
        yield document.problem(place, "must be empty: this is the fallback, the model never chooses it", "write []")


def _covered_twice(document: Document, _names: Names) -> Iterator[Problem]:
    fallback = block(document.data, "routing").get("fallback")
    first: dict[str, str] = {}
    for department, settings in block(document.data, "departments").items():
        covers = block(settings).get("covers")
        own = covers is None and department != fallback
        for index, label in enumerate([department] if own else _listed(covers)):
            if not isinstance(label, str):
                continue
            place: Place = ("departments", department) + (() if own else ("covers", index))
            if label in first:
                twice = first[label] == department
                by = f"names '{label}' twice" if twice else f"covers '{label}', as '{first[label]}' does: only one can"
                yield document.problem(place, by, "name other labels in covers, or [] for none" if own else "")
            first.setdefault(label, department)


def _school_names_twice(document: Document, _names: Names) -> Iterator[Problem]:
    first: dict[str, Place] = {}
    for school, settings in block(document.data, "schools").items():
        own = block(settings)
        places: list[tuple[Place, object]] = [(("schools", school, "name"), own.get("name"))]
        places += [(("schools", school, "aliases", i), alias) for i, alias in enumerate(_listed(own.get("aliases")))]
        for place, name in places:
            if not isinstance(name, str):
                continue
            if (known := first.setdefault(name.casefold(), place)) != place:
                yield document.problem(place, f"'{name}' is already a name of the school '{known[1]}'")


def _rule_names_twice(document: Document, _names: Names) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, rule in enumerate(_listed(document.data.get("rules"))):
        name = block(rule).get("name")
        if isinstance(name, str) and first.setdefault(name, index) != index:
            yield document.problem(("rules", index, "name"), f"'{name}' is already the name of rule {first[name] + 1}")


def _nothing_comes_in(document: Document, names: Names) -> Iterator[Problem]:
    known = [channel for channel in names.channels.values() if channel]
    if names.channels and len(known) == len(names.channels) and not any(takes_in(channel) for channel in known):
        yield _no_source(document)


def _no_source(document: Document) -> Problem:
    hint = "add one, such as a web_form or an smtp_server"
    return document.problem(("channels",), "no channel takes messages in", hint)


def _takes_in(each: ConfiguredChannel) -> bool:
    """Tell whether messages come in by a channel as it is set up."""
    return bool(each.channel.webhook or each.channel.source) and each.channel.takes_in(each.settings)


def _reads_mail(each: ConfiguredChannel) -> bool:
    return bool(each.channel.source) and each.channel.takes_in(each.settings)


def _address_taken(document: Document, names: Names) -> Iterator[Problem]:
    """Two listeners can't share an address; one on every address of the machine takes the port of all."""
    taken: list[tuple[Address, Place]] = []
    for place, value in _listeners(document, names):
        try:
            address = parse_listen(value)
        except ValueError:
            continue  # said where the address is
        first = next((holder for other, holder in taken if _collide(address, other)), None)
        if first:
            yield document.problem(place, f"{address} is taken by {dotted(first)}", "choose another port")
        taken.append((address, place))


def _listeners(document: Document, names: Names) -> Iterator[tuple[Place, object]]:
    """Yield where `listen` is set, or what it is without: the web server first, then channels that have it."""
    yield ("http", "listen"), block(document.data, "http").get("listen") or Http().listen
    for name, channel in names.channels.items():
        field = channel.settings.model_fields.get("listen") if channel else None
        if field:
            yield ("channels", name, "listen"), block(document.data, "channels", name).get("listen") or field.default


def _collide(one: Address, other: Address) -> bool:
    everywhere = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not listened on
    return one.port == other.port != 0 and (one.host == other.host or bool({one.host, other.host} & everywhere))


def _console_in_the_clear(document: Document, _names: Names) -> Iterator[Problem]:
    """Passwords and sessions need a connection that nobody listens in on."""
    url = block(document.data, "organization").get("public_url")
    clear = isinstance(url, str) and url.startswith("http://") and not on_this_machine(url)
    if clear and block(document.data, "console"):
        what = "needs an organization.public_url with https: passwords would be sent in the clear"
        yield document.problem(("console",), what)


_CHECKS: tuple[Callable[[Document, Names], Iterator[Problem]], ...] = (
    _fallback_covers,
    _covered_twice,
    _school_names_twice,
    _rule_names_twice,
    _nothing_comes_in,
    _address_taken,
    _console_in_the_clear,
)


def _unread_senders(document: Document, file: ConfigurationFile) -> Iterator[Problem]:
    """Replies and delivery reports come back to a sink's `from`: some channel should read that mailbox."""
    readers = [each for each in file.channels.values() if _reads_mail(each)]
    for name, each in file.channels.items():
        address = _from_address(each.settings) if each.channel.sink else ""
        if address and not any(reader.channel.reads(reader.settings, address) for reader in readers):
            what = "no channel reads this mailbox: replies and delivery reports will be lost"
            yield document.problem(("channels", name, "from"), what)


def _from_address(settings: Settings) -> str:
    for key, field in type(settings).model_fields.items():
        if "from" in (key, field.alias):
            return parseaddr(str(getattr(settings, key) or ""))[1]
    return ""


def _same_names(document: Document, file: ConfigurationFile) -> Iterator[Problem]:
    """People tell departments apart by their names: on the form, in mails, on the misroute page."""
    first: dict[str, str] = {}
    for id_, department in file.departments.items():
        known = first.setdefault(department.name.casefold(), id_)
        if known != id_:
            yield document.problem(
                ("departments", id_, "name"), f"'{known}' has this name too: people can't tell them apart"
            )


def _unspoken(document: Document, file: ConfigurationFile) -> Iterator[Problem]:
    """A language that families' pages have no texts in."""
    speaking = {each.type: set(each.channel.languages(each.settings)) for each in file.channels.values()}
    for index, language in enumerate(file.organization.languages):
        mute = sorted(name for name, languages in speaking.items() if languages and language not in languages)
        if mute:
            what = f"{' and '.join(mute)} has no texts in '{language}': its pages come in another language"
            yield document.problem(("organization", "languages", index), what)


def _untold(document: Document, file: ConfigurationFile) -> Iterator[Problem]:
    if not file.operations.alerts:
        yield document.problem(("operations", "alerts"), "nobody is told when something goes wrong", "name somebody")
    if not file.routing.urgent.notify:
        what = "nobody is told at once of urgent messages"
        yield document.problem(("routing", "urgent", "notify"), what, "name somebody")


_REMARKS: tuple[Callable[[Document, ConfigurationFile], Iterator[Problem]], ...] = (
    _unread_senders,
    _untold,
    _same_names,
    _unspoken,
)
