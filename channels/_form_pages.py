"""Render the families' pages in the languages there are texts for; the texts lie in `_pages/texts.yaml`."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from ruamel.yaml import YAML

from channels._form_body import FIELDS, TRAP_FIELD
from channels._mime_fields import clean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from channels._form_body import Limits
    from router.interfaces import Context

_WEIGHT = re.compile(r"^\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)", re.IGNORECASE)
_FOLDER = Path(__file__).parent / "_pages"


def languages() -> list[str]:
    """Return the codes of the languages there are texts in."""
    return list(_texts())


def _texts() -> dict[str, dict[str, str]]:
    texts: dict[str, dict[str, str]] = YAML(typ="safe", pure=True).load(_FOLDER / "texts.yaml")
    return texts


def _by_preference(accepted: str) -> list[str]:
    """Return the language codes of an Accept-Language, the most wanted first (RFC 9110, section 12.5.4)."""
    weighed = [(code, _weight(rest)) for code, _, rest in (part.partition(";") for part in accepted.split(","))]
    wanted = sorted((pair for pair in weighed if pair[1] > 0), key=lambda pair: -pair[1])
    return [code.strip().lower().partition("-")[0] for code, _ in wanted]


def _weight(parameters: str) -> float:
    found = _WEIGHT.search(parameters)
    return float(found[1]) if found else 1.0


class Pages:
    """The pages of one form. `root` is the site's path, `base` the path the form is posted to."""

    def __init__(self, context: Context, root: str, base: str, limits: Limits) -> None:
        self._texts = _texts()
        self.languages = [code for code in context.languages if code in self._texts] or ["en"]
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
    ) -> str:
        """Return the form with what was typed; `errors` are texts' keys by field, `sentence` is any other trouble."""
        return self._render(
            "form.html",
            language,
            token=token,
            trap=TRAP_FIELD,
            typed={field: clean(typed.get(field, "")) for field in FIELDS},
            spoken=typed.get("language", ""),
            errors=defaultdict(str, {field: self.text(language, key) for field, key in errors.items()}),
            sentence=sentence,
            topics=[(item.id, item.name) for item in self._context.departments if item.id != self._context.fallback],
            schools=[(item.id, item.name) for item in self._context.schools],
            spoken_languages=self._named(self._context.languages),
            max_files=self._limits.files,
            files_hint=self.text(language, "files_hint"),
        )

    def receipt(self, language: str, reference: str) -> str:
        """Return the page that says that a message is in, and what happens next."""
        return self._render("receipt.html", language, reference=reference)

    def refusal(self, language: str, sentence: str) -> str:
        """Return a page with one sentence."""
        return self._render("refusal.html", language, sentence=sentence)

    def _named(self, codes: Sequence[str]) -> list[tuple[str, str]]:
        return [(code, self._texts.get(code, {}).get("language_name", code)) for code in codes]

    def _render(self, template: str, language: str, **values: Any) -> str:
        return self._environment.get_template(template).render(
            t=self._texts[language],
            lang=language,
            languages=self._named(self.languages),
            organization=self._context.organization,
            root=self._root,
            base=self._base,
            **values,
        )
