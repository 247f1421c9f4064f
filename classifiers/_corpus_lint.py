"""Check the bundled corpus: schema, counts, balance, near-duplicates. `python -m classifiers._corpus_lint [FILE]`.

With a FILE of labelled rows that no model may see (a validation set), rows that resemble one of them are told, too.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, defaultdict
from importlib.resources import files
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers._corpus import OUT_OF_SCOPE, load_corpus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Row = Mapping[str, Any]

KEYS = {"department", "language", "medium", "subject", "body", "school", "urgent", "tags"}
TAGS = {"plain", "hard", "urgent", "innocent", "two_topics"}
MEDIA = {"email", "sms", "web_form"}

LEAST_ROWS = 6_000
LEAST_PER_DEPARTMENT = 280
LEAST_OUT_OF_SCOPE = 700
LEAST_SPANISH = 0.25  # of all rows: about as many families write Spanish in districts that need this
MOST_OF_MEAN = 2.0  # the largest department beside the mean: a larger one would win every doubtful message
LEAST_TERMS = 500  # per department and language (English, Spanish)

DUPLICATE = 0.6  # token Jaccard from which two messages are told as one
RESEMBLES = 0.5  # the same, for rows of a set that must stay unseen
_FEWEST_WORDS = 5  # "stop" and "thank you" are alike by nature


def problems(rows: Sequence[Row], unseen: Sequence[Row] = ()) -> Iterator[str]:
    """Return what is wrong with the messages, a sentence each."""
    for number, row in enumerate(rows, start=1):
        yield from (f"message {number} ({_start(row)}): {fault}" for fault in _faults(row))
    yield from _counts(rows)
    texts = [_words(row) for row in rows]
    for first, second in alike(texts, DUPLICATE):
        yield f"two messages are nearly the same: {_start(rows[first])!r} and {_start(rows[second])!r}"
    for first, second in alike([_words(row) for row in unseen], RESEMBLES, texts):
        yield f"a message resembles one that no model may see: {_start(rows[second])!r} ({_start(unseen[first])!r})"


def _faults(row: Row) -> Iterator[str]:
    if set(row) != KEYS:
        yield f"its keys are {sorted(row)}"
        return
    if row["medium"] not in MEDIA:
        yield f"there is no medium {row['medium']!r}"
    if row["medium"] == "sms" and row["subject"]:
        yield "a text message has no subject"
    if not isinstance(row["urgent"], bool) or not set(row["tags"]) <= TAGS:
        yield f"urgent is {row['urgent']!r}, the tags are {row['tags']}"
    elif row["urgent"] and "innocent" in row["tags"]:
        yield "it is urgent and innocent at once"
    if not str(row["body"]).strip() and row["department"] != OUT_OF_SCOPE:
        yield "it says nothing"


def _counts(rows: Sequence[Row]) -> Iterator[str]:
    departments = Counter(str(row["department"]) for row in rows)
    outside = departments.pop(OUT_OF_SCOPE, 0)
    if len(rows) < LEAST_ROWS:
        yield f"there are {len(rows)} messages, fewer than {LEAST_ROWS}"
    if outside < LEAST_OUT_OF_SCOPE:
        yield f"{outside} messages are out of scope, fewer than {LEAST_OUT_OF_SCOPE}"
    mean = sum(departments.values()) / max(1, len(departments))
    for name, count in departments.items():
        if count < LEAST_PER_DEPARTMENT:
            yield f"{name} has {count} messages, fewer than {LEAST_PER_DEPARTMENT}"
        if count > MOST_OF_MEAN * mean:
            yield f"{name} has {count} messages, more than {MOST_OF_MEAN:g} times the mean of {mean:.0f}"
    spanish = sum(row["language"] == "es" for row in rows) / max(1, len(rows))
    if spanish < LEAST_SPANISH:
        yield f"{spanish:.1%} of the messages are Spanish, fewer than {LEAST_SPANISH:.0%}"


def vocabulary_problems(terms: Sequence[tuple[str, str, str]], departments: Sequence[str]) -> Iterator[str]:
    """Return what is wrong with the glossaries' terms (department, language, term)."""
    counts = Counter((department, language) for department, language, _term in set(terms))
    for department in departments:
        for language in ("en", "es"):
            if (count := counts[department, language]) < LEAST_TERMS:
                yield f"the glossary of {department} ({language}) has {count} terms, fewer than {LEAST_TERMS}"


def alike(
    texts: Sequence[frozenset[str]], least: float, known: Sequence[frozenset[str]] | None = None
) -> Iterator[tuple[int, int]]:
    """Yield pairs of numbers whose token Jaccard is at least `least`: within `texts`, or of `texts` and `known`.

    Two sets can only be that much alike if they share one of their rarest words, so few pairs have to be compared
    (prefix filtering: Chaudhuri et al. 2006, A Primitive Operator for Similarity Joins).
    """
    common = Counter(word for text in (*texts, *(known or ())) for word in text)
    holders: dict[str, list[int]] = defaultdict(list)
    if known is not None:
        for number, text in enumerate(known):
            for word in _rarest(text, common, least):
                holders[word].append(number)
    others = texts if known is None else known
    for number, text in enumerate(texts):
        if len(text) < _FEWEST_WORDS:
            continue
        rare = _rarest(text, common, least)
        for other in sorted({other for word in rare for other in holders[word]}):
            shared = len(text & others[other])
            if shared >= least * (len(text) + len(others[other]) - shared):
                yield number, other
        if known is None:
            for word in rare:
                holders[word].append(number)


def _rarest(text: frozenset[str], common: Counter[str], least: float) -> list[str]:
    ordered = sorted(text, key=lambda word: (common[word], word))
    return ordered[: len(text) - ceil(least * len(text)) + 1]


def _words(row: Row) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", f"{row.get('subject') or ''} {row.get('body') or ''}".lower()))


def _start(row: Row) -> str:
    return " ".join(str(row.get("body") or "").split())[:60]


def main(arguments: Sequence[str]) -> int:
    """Print every problem; return 1 if there is one."""
    corpus = load_corpus(files("classifiers") / "corpus")
    unseen = [json.loads(line) for file in arguments for line in Path(file).read_text().splitlines() if line.strip()]
    departments = sorted({str(row["department"]) for row in corpus.rows} - {OUT_OF_SCOPE})
    found = [*problems(corpus.rows, unseen), *vocabulary_problems(corpus.terms, departments)]
    sys.stderr.writelines(f"{problem}\n" for problem in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
