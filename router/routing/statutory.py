"""Mark requests that start a clock the law sets: evaluations for special education, and requests for records.

It goes by the words of `statutory_words.yaml`, in English and Spanish. A mark that is wrong costs a glance; the message
itself goes where it goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.routing.answer import Answer, Tagged
from router.routing.phrases import shipped
from router.routing.turns import one_by_one

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.records import Content, Message

EVALUATION, RECORDS = "evaluation-request", "records-request"


class Statutory:
    """Remarks on such requests; never ends the list of steps."""

    name = "statutory"

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Tag each message that makes such a request."""
        found = await one_by_one(tags_of, (message.content for message in batch), lambda content: content)
        return [Tagged(tags) if tags else None for tags in found]


def tags_of(content: Content) -> tuple[str, ...]:
    """Return which of these requests a message makes."""
    phrases = shipped("statutory_words.yaml")
    return tuple(found.category for found in phrases.find_all(content.subject, content.text, content.html_text))
