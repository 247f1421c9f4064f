"""What units of work leave for the end of their transaction: there it is done once for all of them.

Whatever takes a lock that every daemon wants belongs there: held to the commit and no longer, and with nothing waited
for after it, so that no two daemons can wait for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    Last = Callable[[Connection, list[Any]], None]

_LEFT = "signpost left"  # in a connection's `info`


def begin(connection: Connection) -> None:
    """Begin a transaction with nothing left; what one that failed had left is forgotten, like all that it did."""
    connection.info[_LEFT] = (connection.get_transaction(), {})


def leave(connection: Connection, work: Last, item: Any) -> None:
    """Have `work` run on this item, and all others that were left for it, before the commit.

    What `work` raises undoes the transaction. Only within `Store.write`: elsewhere nobody would come back to it.
    """
    transaction, left = connection.info.get(_LEFT, (None, {}))
    if transaction is None or transaction is not connection.get_transaction():
        raise RuntimeError("this is no unit of work of Store.write")
    left.setdefault(work, []).append(item)


def finish(connection: Connection) -> None:
    """Do what was left."""
    left: dict[Last, list[Any]] = connection.info.pop(_LEFT)[1]
    for work, items in left.items():
        work(connection, items)
