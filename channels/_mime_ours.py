"""Find the original in a mail that Signpost itself forwarded: a department's folder holds those, and little else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from channels._mime_fields import Fields, split_header, unbase64
from channels._mime_parts import walk

if TYPE_CHECKING:
    from channels._mime_parts import Part

_NAME = "original.eml"  # as `channels._forward` names it


def forwarded_original(original: bytes) -> bytes | None:
    """Return the bytes of the original in a mail that Signpost forwarded to a department; None in any other mail."""
    block, _body = split_header(original, 0, len(original))
    fields = Fields(block)
    if not (fields.first("x-signpost-message") and fields.first("x-signpost-department")):
        return None
    return next((_bytes(part) for part in walk(original).parts if not part.message and part.name() == _NAME), None)


def _bytes(part: Part) -> bytes:
    data = part.original[part.start : part.end]
    return unbase64(data) if part.encoding() == "base64" else data
