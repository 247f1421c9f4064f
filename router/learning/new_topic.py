"""What messages that the model couldn't place have in common lately: words that such didn't use before. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.learning.proofs import fisher_test

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FEWEST = 4  # people who use a word; a family that writes five times is no topic
_CHANCE = 0.001  # of naming a word that is as common as before, over all words
_MOST_WORDS, _MOST_MESSAGES = 8, 5
_SHORTEST = 3  # letters


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message: who wrote it ("" if unknown) and which words it uses."""

    message_id: str
    sender: str
    words: frozenset[str]

    @property
    def by(self) -> str:
        """Who wrote it; a message without a sender stands for itself."""
        return self.sender or self.message_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """Words, the most telling ones first; how many messages share some of them, and those that have the most."""

    words: tuple[str, ...]
    n: int
    messages: tuple[str, ...]


def new_topic(lately: Sequence[Said], before: Sequence[Said]) -> Topic | None:
    """Return what messages are about that came lately and not before, None if no word says so.

    Words are compared by how many people used them (Fisher's exact test, by Bonferroni over all words that enough
    people used). The topic is the surest word and those that stand beside it in at least a third of its messages.
    """
    people, people_before = _people(lately), _people(before)
    n, n_before = len({each.by for each in lately}), len({each.by for each in before})
    common = {word: count for word, count in people.items() if count >= FEWEST and len(word) >= _SHORTEST}
    chances = {word: fisher_test((people_before[word], n_before), (count, n)) for word, count in common.items()}
    telling = [word for word, chance in chances.items() if chance <= _CHANCE / len(common)]
    if not telling:
        return None
    telling.sort(key=lambda word: (chances[word], -people[word], word))
    words = _together(telling, lately)[:_MOST_WORDS]
    least = min(2, len(words))
    about = [each for each in lately if len(each.words & set(words)) >= least]
    return Topic(words=tuple(words), n=len(about), messages=tuple(_examples(about, set(words))))


def _people(messages: Iterable[Said]) -> Counter[str]:
    used: defaultdict[str, set[str]] = defaultdict(set)
    for each in messages:
        for word in each.words:
            used[word].add(each.by)
    return Counter({word: len(by) for word, by in used.items()})


def _together(telling: Sequence[str], messages: Iterable[Said]) -> list[str]:
    """Return the first word and those that are often used together with it."""
    with_first = [each for each in messages if telling[0] in each.words]
    return [word for word in telling if 3 * sum(word in each.words for each in with_first) >= len(with_first)]


def _examples(about: Sequence[Said], words: set[str]) -> list[str]:
    """Return the messages that have most of the words, one of each writer."""
    best: dict[str, Said] = {}
    for each in sorted(about, key=lambda each: -len(each.words & words)):
        best.setdefault(each.by, each)
    return [each.message_id for each in best.values()][:_MOST_MESSAGES]
