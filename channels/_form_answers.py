"""What a person filled in: cleaned, checked, and rendered as an original."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import phonenumbers

from channels._forward import is_public_address
from channels._mime import Upload, compose
from channels._mime_fields import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from router.interfaces import Context
    from router.records import Department, School

MAX_MESSAGE_CHARS = 20_000
_LINES = ("name", "email", "topic", "school", "subject")
_SHOWN = ("name", "phone", "topic", "school", "language", "reference")  # as they were typed
_LANGUAGE = re.compile(r"[a-z]{2,3}")


@dataclass(slots=True, kw_only=True)
class Answers:
    """The form's fields, cleaned; `phone` is E.164, `topic` a department's id, `school` a school's, where known."""

    name: str = ""
    email: str = ""
    phone: str = ""
    topic: str = ""
    school: str = ""
    subject: str = ""
    message: str = ""
    language: str = ""
    reference: str = ""  # of an earlier message, as its receipt shows it

    def facts(self, suspicion: str) -> dict[str, str]:
        """Return what the channel knows beside the original (see `channels._mime`)."""
        known = {
            "sender": self.email or self.phone,
            "sender_name": self.name,
            "phone": self.phone,
            "subject": self.subject,
            "topic": self.topic,
            "school": self.school,
            "language": self.language,
            "reference": self.reference,
            "suspicion": suspicion,
        }
        return {name: value for name, value in known.items() if value}

    def original(
        self, form: str, typed: Mapping[str, str], date: datetime, mail_id: str, files: Sequence[Upload]
    ) -> bytes:
        """Return the original: the message, and every field as it was `typed`."""
        shown = {name: one_line(typed[name], 200) for name in _SHOWN if typed.get(name)}
        return compose(
            text=self.message,
            date=date,
            subject=self.subject,
            sender=self.email,
            sender_name=self.name,
            message_id=mail_id,
            fields={"form": form, **shown},
            uploads=files,
        )


def check(
    typed: Mapping[str, str], context: Context, region: str, topics: Mapping[str, str] | None = None
) -> tuple[Answers, dict[str, str]]:
    """Return the cleaned answers, and by field the key of the text that says what is wrong with it.

    `topics` are the departments of the form's own topics, by names in small letters.
    """
    name, email, topic, school, subject = [one_line(typed[key], 300) if typed.get(key) else "" for key in _LINES]
    phone, raw_phone = "", one_line(typed.get("phone", ""), 60)
    errors: dict[str, str] = {}
    message = clean(typed.get("message", "")).strip()
    if not message:
        errors["message"] = "error_message_missing"
    elif len(message) > MAX_MESSAGE_CHARS:
        errors["message"] = "error_message_long"
    if email and not is_public_address(email):
        errors["email"] = "error_email"
    if raw_phone and not (phone := e164(raw_phone, region)):
        errors["phone"] = "error_phone"
    if not email and not raw_phone:
        errors["email"] = "error_no_way_to_answer"
    language = typed.get("language", "").strip().lower()
    answers = Answers(
        name=name,
        email=email,
        phone=phone,
        topic=topic and ((topics or {}).get(topic.lower()) or _topic(topic, context.departments)),
        school=school and _school(school, context.schools),
        subject=subject,
        message=message,
        language=language if language and _LANGUAGE.fullmatch(language) else "",
        reference=one_line(typed.get("reference", ""), 60),
    )
    return answers, errors


def e164(text: str, region: str) -> str:
    """Return a phone number in E.164 form, "" if it can't be one; `region` is where numbers without "+" are from."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _topic(chosen: str, departments: Sequence[Department]) -> str:
    """Return the department's id; a topic nobody knows (any more) stays as it was written, as a hint."""
    wanted = chosen.lower()
    for department in departments:
        if wanted in (department.id.lower(), department.name.lower()):
            return department.id
    return chosen


def _school(chosen: str, schools: Sequence[School]) -> str:
    wanted = chosen.lower()
    for school in schools:
        if wanted in (school.id.lower(), school.name.lower(), *(alias.lower() for alias in school.aliases)):
            return school.id
    return ""
