"""What is urlencoded is read as the standard library reads it."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl, urlencode

from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from channels._form_body import FIELDS, TOKEN_FIELD, Limits, Submission, read_into
from channels._room import Room

NAMES = st.sampled_from([*FIELDS, TOKEN_FIELD, "unknown", "", "m%65ssage", "e+mail", "%"])
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20) | st.sampled_from(
    ["%", "%2", "%zz", "a%20b", "+", "a+b", "=", "a=b", "%C3%B1", "é", "%00%41", "%3D%0A.", "_%0d%0a ", "=%0A"]
)


def read(body: bytes) -> dict[str, str]:
    """Return the fields of a body that has come in whole."""

    async def reading() -> Submission:
        loop = asyncio.get_running_loop()
        content = StreamReader(BaseProtocol(loop), 2**16, loop=loop)
        content.feed_data(body)
        content.feed_eof()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        request = make_mocked_request("POST", "/forms/contact", headers=headers, payload=content)
        submission = Submission()
        limits = Limits(files=0, file_bytes=0, files_bytes=0, seconds=5)
        await read_into(submission, request, limits, Room(0))
        return submission

    return asyncio.run(reading()).fields


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_odd_escapes_were_read_otherwise(pairs: list[tuple[str, str]]):
    """Whatever is escaped, half escaped or not escaped at all: the same text, and of a repeated field the first."""
    body = "&".join(f"{name}={value}" for name, value in pairs).encode()

    wanted: dict[str, str] = {}
    for name, value in parse_qsl(body.decode(), keep_blank_values=True):
        if name in (*FIELDS, TOKEN_FIELD):
            wanted.setdefault(name, value)
    assert read(body) == wanted


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_what_a_browser_escapes_comes_back(fields: dict[str, str]):
    """What was typed is what is read."""
    assert read(urlencode(fields).encode()) == fields
