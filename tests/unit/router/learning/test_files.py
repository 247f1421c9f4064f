"""Training files: what is read from each kind, and what is said about rows that can't be used."""

from __future__ import annotations

import json
import mailbox
from collections import Counter
from email.message import EmailMessage

import pytest

from router.errors import SignpostError
from router.learning.files import read_files


def mail(subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ana@example.org", "office@example.org", subject
    message.set_content(text)
    return message


def test_a_jsonl_file_gives_its_rows_in_order(tmp_path):
    """Null and missing fields count as empty, blank lines and a byte order mark are passed over, urgent is kept."""
    path = tmp_path / "rows.jsonl"
    rows = [
        {"department": "buses", "subject": None, "body": "The bus was late today", "language": "en", "channel": "sms"},
        {"department": "meals", "subject": "Menu", "body": "What is for lunch?", "urgent": True, "group": "g1"},
    ]
    path.write_text("\ufeff" + json.dumps(rows[0]) + "\n\n" + json.dumps(rows[1]), encoding="utf-8")
    first, second = read_files([str(path)])
    assert (first.department, first.input.body, first.input.medium) == ("buses", "The bus was late today", "sms")
    assert (second.where, second.urgent, second.group) == (f"{path}:3", True, "g1")


def test_a_csv_file_with_the_same_header_gives_the_same(tmp_path):
    """A field with a line break is one row, and its line number is where it ends."""
    path = tmp_path / "rows.csv"
    path.write_text(
        'subject,body,department,urgent\nHi,"one more\nbus, please",buses,no\n,lunch menu today,meals,yes\n'
    )
    first, second = read_files([str(path)])
    assert (first.input.subject, first.input.body, first.where) == ("Hi", "one more\nbus, please", f"{path}:3")
    assert (second.department, second.urgent) == ("meals", True)


def test_an_mbox_is_read_with_the_department_it_is_named_with(tmp_path):
    """Every mail of `DEPARTMENT=PATH` is a row: the text as routing would see it."""
    box = mailbox.mbox(tmp_path / "old.mbox")
    box.add(mail("Late bus", "The bus was late again."))
    box.add(mail("Stop", "Where is the new stop?"))
    box.close()
    rows = read_files([f"buses={tmp_path / 'old.mbox'}"])
    assert [(row.department, row.input.subject) for row in rows] == [("buses", "Late bus"), ("buses", "Stop")]
    assert rows[0].input.body == "The bus was late again."


def test_a_maildir_is_read_likewise(tmp_path):
    """A folder with `cur` is a Maildir."""
    box = mailbox.Maildir(tmp_path / "kept", create=True)
    box.add(mail("Menu", "What is for lunch on Friday?"))
    box.close()
    (row,) = read_files([f"meals={tmp_path / 'kept'}"])
    assert (row.department, row.input.subject, row.input.medium) == ("meals", "Menu", "email")


def test_every_bad_row_is_told_at_once_with_file_and_line(tmp_path):
    """One error names each row that can't be used."""
    path = tmp_path / "bad.jsonl"
    path.write_bytes(
        b"\n".join(
            [
                b'{"department": "buses", "body": "a good row"}',
                b"{not json",
                b"[1, 2]",
                b'{"body": "no department"}',
                b'{"department": "buses", "body": 7}',
                b'{"department": "buses", "body": "x", "urgent": "maybe"}',
                b'{"department": "buses", "body": "\xff"}',
            ]
        )
    )
    with pytest.raises(SignpostError) as caught:
        read_files([str(path)])
    lines = str(caught.value).split("\n")
    assert [line.removeprefix(f"{path}:").split(":")[0] for line in lines] == ["2", "3", "4", "5", "6", "7"]
    words = ["JSON", "object", "department is missing", "body", "urgent", "UTF-8"]
    for line, word in zip(lines, words, strict=True):
        assert word in line


def test_after_twenty_problems_the_rest_is_counted(tmp_path):
    """A file of another kind altogether doesn't flood the screen."""
    path = tmp_path / "bad.jsonl"
    path.write_text("nonsense\n" * 30)
    with pytest.raises(SignpostError, match="… and 10 more") as caught:
        read_files([str(path)])
    assert str(caught.value).count("\n") == 20


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("rows.csv", "subject,text\nHi,there\n", "must name the columns"),
        ("rows.csv", "department,body\nbuses,hi,and,more\n", "more fields"),
        ("rows.txt", "hello", "name its department"),
        ("rows.jsonl", None, "can't be read"),
    ],
)
def test_a_file_of_the_wrong_kind_is_told_in_a_sentence(tmp_path, name, content, word):
    """Wrong header, too many fields, unknown suffix, missing file."""
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(SignpostError, match=word):
        read_files([str(path)])


@pytest.mark.parametrize(
    ("source", "word"), [("buses={}/none", "can't be read"), ("buses={}", "is no Maildir"), ("={}", "missing")]
)
def test_a_mailbox_that_is_none_is_told_in_a_sentence(tmp_path, source, word):
    """A missing path, a plain folder, no department."""
    with pytest.raises(SignpostError, match=word):
        read_files([source.format(tmp_path)])


def test_a_message_without_text_is_counted_and_passed_over(tmp_path):
    """Nothing can be learnt from an empty mail or row, and old mail holds some: that stops nothing."""
    box = mailbox.mbox(tmp_path / "old.mbox")
    box.add(mail("", ""))
    box.close()
    (tmp_path / "rows.csv").write_text("department,subject,body\nbuses,,\nbuses,Late,bus\n")
    left_out = Counter()
    (row,) = read_files([f"buses={tmp_path / 'old.mbox'}", str(tmp_path / "rows.csv")], left_out)
    assert (row.input.subject, left_out) == ("Late", {"the message holds no text": 2})


def test_a_path_with_an_equals_sign_that_exists_is_a_path(tmp_path):
    """`a=b.jsonl` is read as the file it is."""
    path = tmp_path / "a=b.jsonl"
    path.write_text('{"department": "buses", "body": "where is the bus"}\n')
    assert read_files([str(path)])[0].department == "buses"
