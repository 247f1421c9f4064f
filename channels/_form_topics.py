"""What families come about: topics in plain words, with the departments' own answers, and a search over them.

Nothing here needs a script: the search is a page, found by words whose accents, endings and language don't matter.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

    from channels._form_settings import TopicSettings
    from router.interfaces import Context

LONGEST_QUERY = 100  # characters
_MOST_WORDS = 12
_NAMED, _TOLD = 3.0, 1.0  # how much a word counts in a topic's name or its words, and in its answer
_WORD = re.compile(r"\w+")
_EMPTY = frozenset(  # words that stand in any question, folded
    _WORD.findall("""
    a about an and are at can do does for from get go has have he her his how i in is it me my need not of on or our
    she the their they to was we what when where which who why will with you your
    al como con cual cuando de del donde el ella en es esta hay la las le lo los me mi mis no o para por que quien se
    ser si su sus tengo un una y
    """)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic as the pages show it. Texts are by language; under "" in the district's first language, for all.

    `key` is what the form posts: a department's id, or the name of a topic of the district's own.
    """

    key: str
    department: str
    names: Mapping[str, str]
    about: str = ""
    answers: Mapping[str, Markup] = field(default_factory=dict)
    named: frozenset[str]  # folded words
    told: frozenset[str]

    def name(self, language: str) -> str:
        """Return its name in a language, or in the one there is."""
        return self.names.get(language) or next(iter(self.names.values()))

    def answer(self, language: str) -> Markup:
        """Return the department's answer as HTML, "" if there is none."""
        return self.answers.get(language) or next(iter(self.answers.values()), Markup())

    def language_of(self, texts: Mapping[str, str], language: str, first: str) -> str:
        """Return the language that a text is shown in, where the page is in `language`."""
        return language if language in texts else next((each or first for each in texts), first)


def topics_of(settings: Sequence[TopicSettings], context: Context, *, others: bool) -> list[Topic]:
    """Return the district's own topics in their order, then, with `others`, each department that has none."""
    own = [_own(each) for each in settings]
    spoken_for = {each.department for each in own} | {context.fallback}
    rest = [
        Topic(
            key=department.id,
            department=department.id,
            names={"": department.name},
            about=department.description,
            named=frozenset(words(f"{department.name} {department.description}")),
            told=frozenset(),
        )
        for department in context.departments
        if others and department.id not in spoken_for
    ]
    return own + rest


def _own(settings: TopicSettings) -> Topic:
    names, answers = by_language(settings.name), by_language(settings.answer)
    return Topic(
        key=next(iter(names.values())),
        department=settings.department,
        names=names,
        answers={language: render(text) for language, text in answers.items()},
        named=frozenset(words(" ".join((*names.values(), *settings.words)))),
        told=frozenset(words(" ".join(answers.values()))),
    )


def by_language(text: str | Mapping[str, str]) -> dict[str, str]:
    """Return a text by language; one that is given once stands under ""."""
    return ({"": text} if text else {}) if isinstance(text, str) else dict(text)


# --- search -----------------------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """Return the words of a text in small letters, without accents, without those that say nothing."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return [word for word in _WORD.findall(bare) if word not in _EMPTY]


def found(topics: Iterable[Topic], query: str) -> list[Topic]:
    """Return the topics that a question is about, the likeliest first; a word that few topics have says more."""
    topics = list(topics)
    asked = list(dict.fromkeys(words(query[:LONGEST_QUERY])))[:_MOST_WORDS]
    hits = {word: [_counts(topic, word) for topic in topics] for word in asked}
    common = Counter({word: sum(count > 0 for count in counts) for word, counts in hits.items()})
    says = {word: math.log(1 + len(topics) / (common[word] or 1)) for word in asked}
    score = [sum(hits[word][number] * says[word] for word in asked) for number in range(len(topics))]
    ranked = sorted(range(len(topics)), key=lambda number: -score[number])
    best = max(score, default=0.0)
    return [topics[number] for number in ranked if score[number] and score[number] >= best / 3]


def _counts(topic: Topic, word: str) -> float:
    if any(_alike(word, other) for other in topic.named):
        return _NAMED
    return _TOLD if any(_alike(word, other) for other in topic.told) else 0.0


def _alike(asked: str, other: str) -> bool:
    """Tell whether two words are the same but for an ending; what has four letters may be the beginning of any word."""
    if asked == other:
        return True
    short, long = sorted((asked, other), key=len)
    if len(short) < 3 or not long.startswith(short):
        return False
    return len(long) - len(short) <= 2 or (short == asked and len(short) >= 4)


# --- answers ----------------------------------------------------------------------------------------------------------


def _markdown() -> MarkdownIt:
    """Return what renders answers: CommonMark without HTML, images and headings; links leave a frame they stand in."""
    markdown = MarkdownIt("commonmark", {"html": False}).disable(["image", "heading", "lheading", "code", "fence"])
    markdown.add_render_rule("link_open", _link)
    return markdown


def _link(self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, _env: EnvType) -> str:
    tokens[at].attrSet("target", "_top")
    return self.renderToken(tokens, at, options, _env)


def render(text: str) -> Markup:
    """Return Markdown as HTML; HTML in it is shown as text, and no link leads to a script (`javascript:`)."""
    return Markup(_markdown().render(text))  # noqa: S704  markdown-it escapes all that it doesn't write itself
