"""Who wants no more texts (STOP), across channels: what each telephone number said last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from router.store.tables import opt_outs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from router.records import Message

STOP, START = "stop", "start"


def number_of(address: str) -> str:
    """Return the telephone number of an address ("whatsapp:+15555550111" too), "" if it holds none.

    One person's wish holds for all ways to reach the same telephone.
    """
    number = address.rpartition(":")[2]
    return number if number.startswith("+") and "@" not in number else ""


def note(connection: Connection, messages: Iterable[Message]) -> None:
    """Remember what messages that say STOP or START ask for; of two from one number the later one counts."""
    for message in messages:
        content = message.content
        address = number_of(content.phone) or number_of(content.sender) or content.sender
        if content.keyword not in (STOP, START) or not address:
            continue
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        said = dialect.insert(opt_outs).values(address=address[:320], at=message.received_at, keyword=content.keyword)
        connection.execute(
            said.on_conflict_do_update(
                index_elements=[opt_outs.c.address],
                set_={"at": said.excluded["at"], "keyword": said.excluded["keyword"]},
                where=opt_outs.c.at <= said.excluded["at"],
            )
        )


def among(connection: Connection, addresses: Iterable[str]) -> set[str]:
    """Return those of some addresses whose owners want no more texts."""
    numbers = {address: number for address in addresses if (number := number_of(address))}
    if not numbers:
        return set()  # mail needs no query
    statement = select(opt_outs.c.address).where(
        opt_outs.c.address.in_(sorted(set(numbers.values()))), opt_outs.c.keyword == STOP
    )
    found = set(connection.execute(statement).scalars())
    return {address for address, number in numbers.items() if number in found}
