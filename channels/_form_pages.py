"""Render the families' pages in the languages there are texts for (`channels/_form_texts.py`)."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from channels._form_body import FIELDS, TRAP_FIELD
from channels._form_texts import all_texts, shipped
from channels._form_topics import LONGEST_QUERY, found, topics_of
from channels._mime_fields import clean, one_line
from router.secrets import secret_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from channels._form_body import Limits
    from channels._form_settings import WebFormSettings
    from router.interfaces import Context
    from router.whereabouts import Whereabouts

_WEIGHT = re.compile(r"^\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)", re.IGNORECASE)
_FOLDER = Path(__file__).parent / "_pages"
_TOPICS_AT_ONCE = 8  # so many are shown at first: on a telephone the form must not be far below
EMBEDDED = "&embed=1"


def languages(settings: WebFormSettings) -> list[str]:
    """Return the codes of the languages there are texts in."""
    return list(all_texts(_file(settings)) if settings.texts_file else shipped())


def _file(settings: WebFormSettings) -> Path | None:
    return secret_path(settings.texts_file) if settings.texts_file else None


def _by_preference(accepted: str) -> list[str]:
    """Return the language codes of an Accept-Language, the most wanted first (RFC 9110, section 12.5.4)."""
    weighed = [(code, _weight(rest)) for code, _, rest in (part.partition(";") for part in accepted.split(","))]
    wanted = sorted((pair for pair in weighed if pair[1] > 0), key=lambda pair: -pair[1])
    return [code.strip().lower().partition("-")[0] for code, _ in wanted]


def _weight(parameters: str) -> float:
    found = _WEIGHT.search(parameters)
    return float(found[1]) if found else 1.0


class Pages:
    """The pages of one form. `root` is the site's path, `base` the path the form is posted to.

    `more` is what every link of a page carries on: `EMBEDDED` where it stands in a frame.
    """

    def __init__(self, settings: WebFormSettings, context: Context, root: str, base: str, limits: Limits) -> None:
        self._texts = all_texts(_file(settings))
        self.languages = [code for code in context.languages if code in self._texts] or ["en"]
        self.topics = topics_of(settings.topics, context, others=settings.other_topics)
        self._context = context
        self._root = root
        self._base = base
        self._limits = limits
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip

    def language(self, asked: str, accepted: str) -> str:
        """Return the page's language: the one asked for, else the most wanted one there is, else ours."""
        if asked in self.languages:
            return asked
        if not accepted:
            return self.languages[0]
        wanted = _by_preference(accepted[:200])
        return next((code for code in wanted if code in self.languages), self.languages[0])

    def text(self, language: str, key: str, otherwise: str = "") -> str:
        """Return one text with the limits filled in; `otherwise`, as it is, if there is none of that key."""
        limits, text = self._limits, self._texts[language].get(key)
        if not text:
            return otherwise
        return text.format(
            count=limits.files, each=limits.file_bytes // 1_000_000, together=limits.files_bytes // 1_000_000
        )

    def form(
        self,
        language: str,
        *,
        token: str,
        typed: Mapping[str, str],
        errors: Mapping[str, str],
        sentence: str = "",
        query: str = "",
        more: str = "",
    ) -> str:
        """Return the form with what was typed; `errors` are texts' keys by field, `sentence` is any other trouble.

        `query` is what was searched for among the topics.
        """
        query = one_line(query, LONGEST_QUERY)
        shown = found(self.topics, query) if query else self.topics
        return self._render(
            "form.html",
            language,
            more,
            skip_to="write",
            token=token,
            trap=TRAP_FIELD,
            typed={field: clean(typed.get(field, "")) for field in FIELDS},
            spoken=typed.get("language", ""),
            errors=defaultdict(str, {field: self.text(language, key) for field, key in errors.items()}),
            sentence=sentence,
            query=query,
            found_sentence=self._texts[language]["search_found" if shown else "search_found_none"].format(query=query),
            topics=self.topics,
            shown=shown,
            most=_TOPICS_AT_ONCE,
            first_language=self._context.languages[0],
            choices=[(topic.key, topic.name(language)) for topic in self.topics],
            schools=[(item.id, item.name) for item in self._context.schools],
            spoken_languages=self._named(self._context.languages),
            max_files=self._limits.files,
            files_hint=self.text(language, "files_hint"),
        )

    def receipt(self, language: str, reference: str, token: str, where: Whereabouts | None, more: str = "") -> str:
        """Return the page that says that a message is in, how far it is, and what happens next."""
        steps = [(state, self.text(language, f"status_{key}"), time) for state, key, time in _steps(where)]
        return self._render("receipt.html", language, more, reference=reference, token=token, steps=steps)

    def refusal(self, language: str, sentence: str, more: str = "", **values: str) -> str:
        """Return a page with one sentence."""
        return self._render("refusal.html", language, more, sentence=sentence, **values)

    def _named(self, codes: Sequence[str]) -> list[tuple[str, str]]:
        return [(code, self._texts.get(code, {}).get("language_name", code)) for code in codes]

    def _render(self, template: str, language: str, more: str, **values: Any) -> str:
        return self._environment.get_template(template).render(
            t=self._texts[language],
            lang=language,
            here=f"?lang={language}{more}",
            more=more,
            embedded=more == EMBEDDED,
            languages=self._named(self.languages),
            organization=self._context.organization,
            root=self._root,
            base=self._base,
            **values,
        )


def _steps(where: Whereabouts | None) -> Iterator[tuple[str, str, datetime | None]]:
    """Yield how far a message is: done, now or later, the text's key, and when that was."""
    if where is None:
        return
    yield "done", "received", where.received_at
    if where.decided_at is None:
        yield "now", "person" if where.waits_for_person else "finding", None
        yield "later", "delivered", None
        return
    yield "done", "decided", where.decided_at
    if where.delivered_at is None:
        yield "now", "person" if where.waits_for_person else "sending", None
    yield "done" if where.delivered_at else "later", "delivered", where.delivered_at
