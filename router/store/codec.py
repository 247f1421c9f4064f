"""Records to JSON columns and back."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from router.records import Attachment, Content, Fate, Notice, Prediction, Report

_PLAIN = tuple(f.name for f in fields(Content) if f.name not in {"attachments", "headers", "report"})

_LISTS = ("recipients", "references")


def content_to_json(content: Content) -> dict[str, Any]:
    """Return a JSON value; empty fields are left out."""
    value = {name: getattr(content, name) for name in _PLAIN if getattr(content, name)}
    if content.attachments:
        value["attachments"] = [asdict(attachment) for attachment in content.attachments]
    value |= {name: list(value[name]) for name in _LISTS if name in value}
    if content.headers:
        value["headers"] = {name: list(values) for name, values in content.headers.items()}
    if content.report:
        value["report"] = asdict(content.report)
    return value


def content_from_json(value: dict[str, Any] | None) -> Content:
    """Return the record of `content_to_json`."""
    known = dict(value or {})
    if "attachments" in known:
        known["attachments"] = tuple(Attachment(**attachment) for attachment in known["attachments"])
    known |= {name: tuple(known[name]) for name in _LISTS if name in known}
    if "headers" in known:
        known["headers"] = {name: tuple(values) for name, values in known["headers"].items()}
    if "report" in known:
        known["report"] = report_from_json(known["report"])
    return Content(**known)


def report_from_json(value: dict[str, Any]) -> Report:
    """Return the record that `asdict` turned into a JSON value; raise KeyError or TypeError."""
    fates = (Fate(**{**each, "recipients": tuple(each["recipients"])}) for each in value["fates"])
    return Report(kind=value["kind"], mail_id=value["mail_id"], fates=tuple(fates))


def prediction_to_json(prediction: Prediction | None) -> dict[str, Any] | None:
    """Return a JSON value with probabilities to six digits."""
    if prediction is None:
        return None
    ranking = [[label, round(p, 6)] for label, p in prediction.ranking]
    value: dict[str, Any] = {"ranking": ranking, "score": round(prediction.score, 6), "model": prediction.model}
    return value if prediction.confidence is None else value | {"confidence": round(prediction.confidence, 6)}


def prediction_from_json(value: dict[str, Any] | None) -> Prediction | None:
    """Return the record of `prediction_to_json`."""
    if value is None:
        return None
    ranking = tuple((str(label), float(p)) for label, p in value["ranking"])
    confidence = value.get("confidence")
    return Prediction(ranking=ranking, score=value["score"], model=value["model"], confidence=confidence)


def notice_to_json(notice: Notice | None) -> dict[str, str] | None:
    """Return a JSON value."""
    return None if notice is None else asdict(notice)


def notice_from_json(value: dict[str, str] | None) -> Notice | None:
    """Return the record of `notice_to_json`."""
    return None if value is None else Notice(**value)
