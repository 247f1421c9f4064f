"""Departments are renamed and merged, and what people said of the former ones still holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.records import Department


def heirs(departments: Iterable[Department]) -> dict[str, str]:
    """Return, by the id of a department that is gone, the one that covers the label of that name now."""
    desks = {desk.id: desk.covers for desk in departments}
    return {label: desk for desk, covers in desks.items() for label in covers if label not in desks}
