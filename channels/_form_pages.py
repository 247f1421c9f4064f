"""Render the families' pages in the languages there are texts for; the texts lie in `_pages/texts.yaml`."""

from __future__ import annotations

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

_FOLDER = Path(__file__).parent / "_pages"


class Pages:
    """The pages of one form. `root` is the site's path, `base` the path the form is posted to."""

    def __init__(self, context: Context, root: str, base: str, limits: Limits) -> None:
        texts: dict[str, dict[str, str]] = YAML(typ="safe", pure=True).load(_FOLDER / "texts.yaml")
        self._texts = texts
        self.languages = [code for code in context.languages if code in texts] or ["en"]
        self._context = context
        self._root = root
        self._base = base
        self._limits = limits
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip

    def language(self, asked: str, accepted: str) -> str:
        """Return the page's language: the one asked for, else the first accepted one there is (RFC 9110), else ours."""
        if asked in self.languages:
            return asked
        codes = [part.partition(";")[0].strip().lower().partition("-")[0] for part in accepted[:200].split(",")]
        return next((code for code in codes if code in self.languages), self.languages[0])

    def text(self, language: str, key: str, otherwise: str = "") -> str:
        """Return one text with the limits filled in; `otherwise` if there is none of that key."""
        limits = self._limits
        return (self._texts[language].get(key) or otherwise).format(
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
