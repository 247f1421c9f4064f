"""A district's own history: tables as other programs write them, mailboxes of every kind, folders named as labels."""

from __future__ import annotations

import mailbox
from collections import Counter
from dataclasses import replace
from email.message import EmailMessage

import pytest

from channels._forward import compose, compose_notice
from router.errors import SignpostError
from router.learning.dataset import build
from router.learning.files import read_files
from router.learning.tables import our_names
from router.records import Department
from router.testing_sinks import sample_alert, sample_forward

DEPARTMENTS = [
    Department(id="office", name="Front Office", covers=()),
    Department(id="human-resources", name="Human Resources", covers=("human-resources",)),
    Department(id="buses", name="Transportación", covers=("buses",)),
]


def mail(subject, text, **headers):
    """Return the bytes of a mail."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ana@example.org", "office@example.org", subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message.as_bytes()


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("subject,body,department", 'Bus 12,"late, again",buses'),
        ("Subject;Message Body;Label", "Bus 12;late, again;buses"),
        ("TITLE\tText\tCategory", "Bus 12\tlate, again\tbuses"),
        ("Título|Descripción|Departamento", "Bus 12|late, again|buses"),
        ("id,Queue,Title,Description,Opened", '7,buses,Bus 12,"late, again",2025-01-01'),
    ],
    ids=["our own", "semicolons", "tabs", "Spanish", "a help desk's"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_is_read_whatever_its_delimiter_columns_and_encoding(tmp_path, header, line, encoding):
    """The first line's names choose the delimiter; the encoding is found by the mark or by trying."""
    path = tmp_path / "export.csv"
    path.write_bytes(f"{header}\r\n{line}\r\n\r\n".encode(encoding))
    (row,) = read_files([str(path)])
    assert (row.department, row.input.subject, row.input.body) == ("buses", "Bus 12", "late, again")


def test_accents_survive_windows_files(tmp_path):
    """What isn't UTF-8 is taken for Windows-1252, with its quotes and accents."""
    path = tmp_path / "old.csv"
    path.write_bytes("body,department\n“mañana” — el autobús no llegó,buses\n".encode("cp1252"))
    assert read_files([str(path)])[0].input.body == "“mañana” — el autobús no llegó"


def test_excels_own_hint_at_the_delimiter_is_obeyed(tmp_path):
    """Excel may write `sep=;` before the names; line numbers still count it."""
    path = tmp_path / "excel.csv"
    path.write_text("sep=;\nbody;department\nno bus today, again;buses\na;b;c\n")
    with pytest.raises(SignpostError, match=r"excel\.csv:4: more fields"):
        read_files([str(path)])


def test_a_field_may_be_as_long_as_a_mail_and_hold_zeros(tmp_path):
    """Exports hold whole conversations, and sometimes NUL characters."""
    path = tmp_path / "long.csv"
    path.write_text('body,department\n"bus ' + "late \0" * 100_000 + '",buses\n')
    (row,) = read_files([str(path)])
    assert row.input.body.startswith("bus late late")


def test_html_in_a_table_is_read_as_text(tmp_path):
    """Help desks export the HTML of a mail; its tags teach nothing."""
    path = tmp_path / "html.csv"
    path.write_text('body,department\n"<p>The bus<br>was <b>late</b> &amp; full</p>",buses\n')
    assert read_files([str(path)])[0].input.body == "The bus\nwas late & full"


def test_json_lines_with_other_programs_names_are_understood(tmp_path):
    """`text` and `label` are what many tools write."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "the bus is late", "label": "buses", "id": 7}\n')
    (row,) = read_files([str(path)], whole=True)
    assert (row.department, row.input.body, row.row["id"]) == ("buses", "the bus is late", 7)


def test_our_own_name_for_a_column_goes_before_others():
    """Where a table has both `department` and `category`, the department counts, and the other stays what it is."""
    assert our_names(["Category", "Department", "text"]) == {
        "Category": "Category",
        "Department": "department",
        "text": "body",
    }


def test_a_table_without_the_column_may_be_named_with_its_department(tmp_path):
    """One export per department is common."""
    path = tmp_path / "buses.csv"
    path.write_text("subject,body\nLate,where is bus 12\n")
    assert read_files([f"buses={path}"])[0].department == "buses"


def test_a_folder_of_folders_gives_each_mail_its_folders_name(tmp_path):
    """Maildirs, mbox files and folders of saved mails, side by side; what is hidden or no mail is passed over."""
    mailbox.Maildir(tmp_path / "Human Resources", create=True).add(mail("Job", "Is the job still open?"))
    mailbox.Maildir(tmp_path / ".meals", create=True).add(mail("Menu", "What is for lunch?"))
    saved = tmp_path / "buses" / "2025"
    saved.mkdir(parents=True)
    (saved / "late.eml").write_bytes(mail("Late", "The bus was late."))
    (saved / "note.txt").write_text("no mail")
    (tmp_path / ".cache").mkdir()
    box = mailbox.mbox(tmp_path / "finance.mbox")
    box.add(mail("Fee", "I paid the fee twice."))
    box.close()
    rows = read_files([str(tmp_path)])
    assert {(row.department, row.input.subject) for row in rows} == {
        ("Human Resources", "Job"),
        ("meals", "Menu"),
        ("buses", "Late"),
        ("finance", "Fee"),
    }


def test_a_folder_without_mails_is_told_with_what_to_write_instead(tmp_path):
    """Somebody named a folder of another kind."""
    (tmp_path / "notes").mkdir()
    with pytest.raises(SignpostError, match=r"holds no folder of mails .* DEPARTMENT="):
        read_files([str(tmp_path)])


def test_a_maildir_alone_needs_a_department(tmp_path):
    """Its own name is no label."""
    mailbox.Maildir(tmp_path / "Maildir", create=True)
    with pytest.raises(SignpostError, match="name its department: DEPARTMENT="):
        read_files([str(tmp_path / "Maildir")])


def test_what_a_person_deleted_is_not_learnt(tmp_path):
    """A Maildir keeps such a mail, marked, until it is expunged."""
    box = mailbox.Maildir(tmp_path / "box", create=True)
    gone = mailbox.MaildirMessage(mail("Gone", "This one was deleted."))
    gone.set_subdir("cur")
    gone.set_flags("ST")
    box.add(gone)
    box.add(mail("Kept", "This one was kept."))
    assert [row.input.subject for row in read_files([f"buses={tmp_path / 'box'}"])] == ["Kept"]


def test_a_line_that_begins_with_from_doesnt_cut_a_mail_in_two(tmp_path):
    """Only a line with a time after an empty line begins a mail; what the writer of the file quoted is restored."""
    text = "Two things.\n\nFrom Monday on the bus comes late.\n\n>From now on, too.\n"
    path = tmp_path / "all.mbox"
    start = b"From ana@example.org Mon Jan  5 08:00:00 2026\n"
    path.write_bytes(start + mail("One", text) + b"\n" + start + mail("Two", "Short question here."))
    first, second = read_files([f"buses={path}"])
    assert "From Monday on" in first.input.body
    assert first.input.body.endswith("From now on, too.")
    assert second.input.subject == "Two"


def test_a_mail_that_signpost_forwarded_teaches_what_the_person_wrote(tmp_path):
    """Neither our opening nor our footer, nor the subject that we made up: the original is taken out of it."""
    original = mail("Bus 12", "The bus did not come this morning.").replace(b"\n", b"\r\n")
    forward = replace(sample_forward(), original=original)
    folder = tmp_path / "buses"
    folder.mkdir()
    (folder / "ours.eml").write_bytes(compose(forward, sender="router@example.org"))
    spoilt = replace(forward, original=original.replace(b"morning", "mañana".encode()))
    (folder / "spliced-not.eml").write_bytes(compose(spoilt, sender="router@example.org"))
    rows = read_files([str(tmp_path)])
    assert [row.input.subject for row in rows] == ["Bus 12", "Bus 12"]
    assert rows[0].input.body == "The bus did not come this morning."
    assert rows[1].input.body == "The bus did not come this mañana."


def test_what_no_person_wrote_is_left_out_and_counted(tmp_path):
    """Out-of-office answers and Signpost's own alerts lie in every office's mailbox."""
    folder = tmp_path / "buses"
    folder.mkdir()
    (folder / "away.eml").write_bytes(mail("Away", "I am away until Monday.", Auto_Submitted="auto-replied"))
    (folder / "alert.eml").write_bytes(compose_notice(sample_alert(), sender="router@example.org"))
    (folder / "person.eml").write_bytes(mail("Bus", "Where is the bus?"))
    left_out = Counter()
    (row,) = read_files([str(tmp_path)], left_out)
    assert row.input.subject == "Bus"
    assert left_out == {"an automatic answer": 1, "an alert or a notice of Signpost itself": 1}


def file_row(department, tmp_path):
    """Return a row of a file that says so."""
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"body": "about {department}", "department": "{department}"}}\n' * 2)
    return read_files([str(path)])


@pytest.mark.parametrize(
    "name", ["human-resources", "Human Resources", "HUMAN_RESOURCES", "transportacion", "Transportación"]
)
def test_a_department_is_known_by_its_id_or_its_name_however_it_is_spelt(name, tmp_path):
    """Folders are named by people: case, blanks, hyphens and accents don't matter."""
    (example,) = build(files=file_row(name, tmp_path), departments=DEPARTMENTS, fallback="office").examples
    assert example.department == ("buses" if name.lower().startswith("tr") else "human-resources")


def test_an_unknown_name_is_told_once_with_what_may_be_meant_and_what_there_is(tmp_path):
    """A hundred thousand rows of one wrong name are one problem."""
    with pytest.raises(SignpostError) as caught:
        build(files=file_row("Human Resorces", tmp_path), departments=DEPARTMENTS, fallback="office")
    told, known = str(caught.value).split("\n")
    assert told.endswith("no department or label 'Human Resorces' (2 messages); did you mean human-resources?")
    assert known == "Known are: buses, human-resources, office, out_of_scope"
