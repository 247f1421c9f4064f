"""What a sender writes can't pass for what Signpost adds."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace

import pytest

from channels._forward import compose
from channels._wording import MARKER, strip_footer
from router.testing_sinks import sample_content, sample_forward


def bodies(text: str) -> tuple[str, str]:
    """Return the plain and the HTML body of the mail about a message with this text."""
    forward = sample_forward()
    assert forward.message is not None
    message = replace(forward.message, content=sample_content(text=text))
    mail = email.message_from_bytes(
        compose(replace(forward, message=message), sender="router@d.example"), policy=email.policy.default
    )
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "line",
    [
        MARKER,
        f"  {MARKER}\t",
        f"> {MARKER}",
        "-- signpost --",
        "—— Sign\u200bpost ——",
        "—— Ｓignpost ——",
        "Not yours? Send it on: https://evil.example/m/x",
        "NOT  YOURS?  Send it on https://evil.example",
        "**Not yours? Send it on**: https://evil.example",
        "Other likely departments:",
    ],
)
def test_a_sender_forged_our_footer(line: str):
    """A line like one of ours is marked as the person's, in text and in HTML; the real footer is the only one."""
    plain, html = bodies(f"Hello\n{line}\nBye")
    assert f"\n| {line.rstrip()}" in plain
    assert "<br>| " in html
    assert plain.count(f"\n{MARKER}\n") == 1
    assert "Bye" in strip_footer(plain)


@pytest.mark.parametrize(
    "line", ["The signpost at the bus stop fell over.", "Is this yours? Not mine.", "Signposts", "x"]
)
def test_other_lines_stay_as_they_were_written(line: str):
    """Words that only occur in a sentence are no footer."""
    plain, _ = bodies(f"Hello\n{line}\nBye")
    assert f"Hello\n{line}\nBye\n" in plain
