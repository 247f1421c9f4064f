"""Where people disagree about a message, nothing is learnt until one of them takes it back. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol

from classifiers._text import prepare
from router.learning.duplicates import beginning
from router.records import CorrectionState
from router.store.codec import content_from_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from router.records import Correction


class Word(Protocol):
    """What somebody said of a message: a confirmed correction, or an audit's answer."""

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def message_id(self) -> str: ...  # noqa: D102
    @property
    def to_department(self) -> str: ...  # noqa: D102
    @property
    def medium(self) -> str: ...  # noqa: D102
    @property
    def content(self) -> Any: ...  # noqa: D102


def conflicts(words: Sequence[Word], corrections: Iterable[Correction] = ()) -> Mapping[str, frozenset[str]]:
    """Return the keys of words that contradict others, each with the keys of those others.

    Two contradict one another if they name different departments for one message, or for messages that begin alike.
    `corrections` are all that nobody withdrew, confirmed or not, the oldest first: where A sent a message to B and it
    was sent back to A, both contradict each other; where B sent it on to C, that contradicts what A said.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for group in _groups(words):
        for word in group:
            found[word.key] |= {other.key for other in group if other.to_department != word.to_department}
    for earlier, later in _passed_on(corrections):
        if earlier.from_department == later.to_department:
            found[key_of(later)].add(key_of(earlier))
        elif earlier.state is not CorrectionState.CONFIRMED:
            continue  # nobody would learn from it
        found[key_of(earlier)].add(key_of(later))
    return {key: frozenset(others) for key, others in found.items() if others}


def _groups(words: Sequence[Word]) -> Iterable[list[Word]]:
    """Return the words about each message, and about each text, where there are different ones."""
    groups: defaultdict[tuple[str, str], list[Word]] = defaultdict(list)
    for word in words:
        groups["message", word.message_id].append(word)
        if text := beginning(prepare(content_from_json(word.content), word.medium)):
            groups["text", text].append(word)
    return [group for group in groups.values() if len({word.to_department for word in group}) > 1]


def _passed_on(corrections: Iterable[Correction]) -> Iterable[tuple[Correction, Correction]]:
    """Return each two corrections of one message, in their order, of which the later names another department."""
    of_message: defaultdict[str, list[Correction]] = defaultdict(list)
    for correction in corrections:
        of_message[correction.message_id].append(correction)
    for said in of_message.values():
        for number, later in enumerate(said):
            for earlier in said[:number]:
                if earlier.to_department != later.to_department:
                    yield earlier, later


def key_of(correction: Correction) -> str:
    """Return what names a correction among all words."""
    return f"correction {correction.id}"
