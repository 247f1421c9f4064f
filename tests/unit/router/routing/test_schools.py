"""Which school a message is about: names, short names, initials, slips, and what only looks like a school."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.contacts import Contacts, read
from router.interfaces import SystemClock
from router.records import Content, Medium, Message, School
from router.routing.route import Router
from router.routing.rules import Rule, Rules
from router.routing.school_forms import distance, tokens_of
from router.routing.schools import MAX_TEXT, Schools, _Reading

DISTRICT = "Maple Valley School District"
SCHOOLS = (
    School(id="lincoln", name="Lincoln Elementary", aliases=("Lincoln", "LES")),
    School(id="grove", name="Cedar Grove Elementary", aliases=("Cedar Grove", "CGES")),
    School(id="parks", name="Rosa Parks Elementary", aliases=("Rosa Parks",)),
    School(id="jefferson", name="Jefferson Middle School", aliases=("Jefferson", "JMS")),
    School(id="high", name="Maple Valley High School", aliases=("Maple Valley High",)),
    School(id="north", name="Northside High School", aliases=("Northside",)),
    School(id="washington", name="Washington Elementary", aliases=("Washington",)),
)
IDS = {school.id for school in SCHOOLS}


def message(text="", **content):
    """Return a mail."""
    fields = {"sender": "ana@home.example", "text": text} | content
    return Message(
        id="1", channel="mail", medium=Medium.EMAIL, received_at=datetime(2026, 3, 2, tzinfo=UTC),
        content=Content(**fields),
    )  # fmt: skip


@pytest.fixture(scope="module")
def schools():
    """What recognises the schools of the district."""
    return Schools(SCHOOLS, organization=DISTRICT)


@pytest.mark.parametrize(
    ("text", "school", "how"),
    [
        ("my son at Lincoln Elementary is sick", "lincoln", "name"),
        ("LINCOLN ELEMENTARY SCHOOL", "lincoln", "name"),
        ("he goes to lincoln", "lincoln", "alias"),
        ("Lincoln's office won't pick up", "lincoln", "alias"),
        ("my son at lincoln elem. room 4", "lincoln", "name"),
        ("va a la primaria Lincoln", "lincoln", "name"),
        ("la escuela Rosa Parks", "parks", "name"),
        ("mi hijo de Lincoln", "lincoln", "alias"),
        ("la secundaria Jefferson", "jefferson", "name"),
        ("Jefferson MS, 7th grade", "jefferson", "name"),
        ("Northside HS", "north", "name"),
        ("rosaparks elementary", "parks", "name"),
        ("north side high", "north", "name"),
        ("Lincoln 3rd grade, Ms Ortiz", "lincoln", "alias"),
        ("Lincoln and 3rd grader", "lincoln", "alias"),
        ("School: Lincoln. Student: Ana Paz", "lincoln", "alias"),
        ("mi hija va a Lincoln", "lincoln", "alias"),
        ("he attends Lincoln", "lincoln", "alias"),
        ("the bus from Lincoln never came", "lincoln", "alias"),
        ("Northside game", "north", "alias"),  # nobody's given name
        ("LES 2nd grade", "lincoln", "alias"),
        ("LES: the bus was late", "lincoln", "alias"),
        ("LES - the bus was late", "lincoln", "alias"),
        ("Pick-up at LES?", "lincoln", "alias"),
        ("Pick-up at L.E.S. today", "lincoln", "alias"),
        ("she is at cges now", "grove", "alias"),
        ("MVHS band", "high", "initials"),
        ("M.V.H.S. band", "high", "initials"),
        ("mv high class of 03", "high", "initials"),
        ("RPES office", "parks", "initials"),
        ("my kid at Linclon", "lincoln", "spelling"),
        ("Rosa Park", "parks", "spelling"),
        ("Jeferson middle", "jefferson", "spelling"),
        ("Jeffersen Midle", "jefferson", "spelling"),
        ("ceder grove", "grove", "spelling"),
        ("la primaria Lincon", "lincoln", "spelling"),
        ("mapel valley high", "high", "spelling"),
        ("northisde high school", "north", "spelling"),
    ],
)
def test_a_school_is_recognised_however_families_write_it(schools, text, school, how):
    """By its name, another name, initials or with a slip; how is told."""
    seen = schools.look(message(text))

    assert (seen.school, seen.how) == (school, how)
    assert seen.words


@pytest.mark.parametrize(
    "text",
    [
        "a pothole on Lincoln Street",
        "412 Lincoln St",
        "he lives at 12 Jefferson Ave.",
        "corner of Lincoln and Main",
        "the stop at Lincoln & 4th",
        "on Jefferson by the gas station",
        "Lincoln Park pool",
        "we are moving to Jefferson County",
        "the class trip to Washington DC",
        "the class trip to Washington, D.C.",
        "Washington state",
        "calle Lincoln 12",
        "Mr. Jefferson gave her a B",
        "Abraham Lincoln report",
        "my son Lincoln is sick",
        "Lincoln was absent today because of a fever",
        "Lincoln's out sick today",
        "Student: Lincoln Hayes",
        "student name: Jefferson Ramos",
        "Jeferson esta enfermo hoy",
        "this is the mom of Lincoln",
        "soy la mamá de Lincoln",
        "a note from Lincoln Hayes",
        "what happened to Lincoln",
        "voy a recoger a Lincoln",
        "mi hijo Lincoln está enfermo",
        "ask coach Jefferson",
        "the north side of the building",
        "Lincoln High beat us",  # another district's
        "the Maple Valley School District",
        "Maple Valley school",  # the district, not its high school
        "the Lincoln school district",
        "les aviso que no va a ir",  # Spanish: LES inside a sentence
        "NO LES LLEGO EL CAMION",
        "Buenas tardes LES informo que no va",
        "NO LES LLEGO EL CAMION. Gracias",
        "lessons",
        "mvhs",  # initials that nobody declared, in small letters
        "please submit the linked form",
        "jane@lincoln.example wrote, see www.lincoln.example and https://rosaparks.example",
        "peterson middle",
        "",
    ],
)
def test_what_only_looks_like_a_school_is_none(schools, text):
    """Streets, towns, people, other districts' schools, and words of every day."""
    assert schools.look(message(text)).school == ""


def test_several_schools_are_none_and_named_in_the_answer(schools):
    """Nobody guesses between two."""
    seen = schools.look(message("We move from Lincoln to Jeferson middle"))

    assert (seen.school, set(seen.several)) == ("", {"lincoln", "jefferson"})


def test_two_schools_of_one_name_are_told_apart_by_their_level():
    """Without a level neither is meant; initials that both have are no one's."""
    pair = Schools([School(id="e", name="Oak Hill Elementary"), School(id="m", name="Oak Hill Middle School"),
                    School(id="e2", name="Owl Hollow Elementary")])  # fmt: skip

    found = {
        text: pair.recognise(message(text))
        for text in ("oak hill elem", "Oak Hill MS", "oak hill", "at OHE", "at OHMS")
    }

    assert found == {"oak hill elem": "e", "Oak Hill MS": "m", "oak hill": "", "at OHE": "", "at OHMS": "m"}


def test_initials_that_are_words_of_every_day_are_not_derived():
    """A woman is no school, and an IEP is something else."""
    district = Schools([School(id="s", name="Sunny Hill Elementary"), School(id="i", name="Iron Edge Primary")])

    assert district.recognise(message("SHE said so")) == ""
    assert district.recognise(message("the IEP meeting")) == ""


def test_a_school_whose_name_says_only_what_it_is_needs_the_whole_name():
    """Small districts have a "High School" and nothing else."""
    district = Schools([School(id="h", name="High School"), School(id="e", name="Elementary School")])

    assert district.recognise(message("the high school gym")) == "h"
    assert district.recognise(message("the elementary school")) == "e"
    assert district.recognise(message("a high fever")) == ""


# --- the contact list -------------------------------------------------------------------------------------------------


@pytest.fixture
def with_contacts(tmp_path):
    """The same schools with a contact list: Ana's child is at Lincoln, Kim's at two schools."""
    path = tmp_path / "contacts.csv"
    path.write_text(
        "Student,School,Guardian Email,Guardian Phone\n"
        "A,Lincoln Elementary,Ana@home.example,(555) 555-0111\n"
        "B,LES,kim@home.example,\n"
        "C,jefferson,kim@home.example,\n"
    )
    return Schools(SCHOOLS, organization=DISTRICT, contacts=read(path, SCHOOLS))


@pytest.mark.parametrize(
    ("content", "school", "how"),
    [
        ({"text": "he is sick"}, "lincoln", "contact"),
        ({"text": "he is sick", "sender": "ana+school@HOME.example"}, "lincoln", "contact"),
        ({"text": "he is sick", "sender": "+15555550111"}, "lincoln", "contact"),
        ({"text": "he is sick", "sender": "whatsapp:+15555550111"}, "lincoln", "contact"),
        ({"text": "he is sick", "sender": "", "phone": "+15555550111"}, "lincoln", "contact"),
        ({"text": "he is sick", "sender": "eve@home.example"}, "", ""),
        ({"text": "he is sick", "sender": "kim@home.example"}, "", ""),  # children at two schools
        ({"text": "about the game at Northside"}, "north", "alias"),  # the text counts for more
        ({"text": "from Lincoln to Northside"}, "lincoln", "contact"),  # of those named, her own
        ({"text": "from Jefferson to Northside"}, "", ""),
        ({"text": "he is sick", "school": "grove"}, "grove", "form"),
        ({"text": "Jefferson was absent today"}, "lincoln", "contact"),  # a child called like another school
    ],
)
def test_the_contact_list_knows_who_writes(with_contacts, content, school, how):
    """The sender's school counts where the message names none, or several of which it is one."""
    seen = with_contacts.look(message(**content))

    assert (seen.school, seen.how) == (school, how)
    assert "ana" not in repr(seen).casefold()


# --- any text ---------------------------------------------------------------------------------------------------------


@given(st.text(max_size=300))
def test_no_text_breaks_the_recognition(text):
    """Any text has an answer."""
    assert Schools(SCHOOLS, organization=DISTRICT).recognise(message(text)) in {"", *IDS}


@given(st.sampled_from(SCHOOLS), st.text(alphabet=" \n.,;!?", min_size=1, max_size=3), st.booleans())
def test_a_full_name_is_always_recognised(school, around, shouted):
    """Whatever stands around it, in any case."""
    name = school.name.upper() if shouted else school.name
    assert Schools(SCHOOLS).recognise(message(f"hello{around}{name}{around}bye")) == school.id


@pytest.mark.parametrize("text", ["lincolx ", "a ", "l.", "cedar grove rosa parks ", "jefferso ", "\n", "é", "l" * 50])
def test_hostile_texts_are_looked_at_to_a_limit(schools, text):
    """What lies beyond 20,000 characters isn't looked at, however long the text is."""
    beyond = text * (MAX_TEXT // len(text) + 1) + " Northside High School"

    assert "north" not in {mention.school for mention in schools.mentions(beyond)}


def test_the_distance_counts_slips():
    """A letter too many, too few, wrong, or two exchanged is one slip."""
    pairs = {
        ("lincoln", "linclon"): 1,
        ("jefferson", "jeferson"): 1,
        ("grove", "drive"): 2,
        ("", "ab"): 2,
        ("a", "a"): 0,
    }

    assert {pair: distance(*pair) for pair in pairs} == pairs


def test_every_single_slip_in_a_long_name_beside_its_level_is_forgiven(schools):
    """Any letter after the first left out, doubled or exchanged with the next."""
    rng, name = Random(7), "jefferson"
    for at in range(1, len(name) - 1):
        exchanged = name[:at] + name[at + 1] + name[at] + name[at + 2 :]
        for slip in (name[:at] + name[at + 1 :], name[:at] + name[at] + name[at:], exchanged):
            assert schools.recognise(message(f"{slip} middle {rng.randrange(9)}")) == "jefferson", slip


def test_without_schools_nothing_is_recognised():
    """An empty district has no answer, also with a contact list."""
    assert Schools((), contacts=Contacts({}, ())).recognise(message("Lincoln Elementary")) == ""


async def test_a_decision_looks_for_the_school_once(log):
    """What the rules asked about isn't looked for again for the destination, also where ids come again."""

    class Counting(Schools):
        looked = 0

        def mentions(self, text):
            self.looked += 1
            return super().mentions(text)

    schools = Counting(SCHOOLS, organization=DISTRICT)
    rules = Rules([Rule(name="r", to="office", conditions={"school": ["lincoln"]})], schools.recognise)
    router = Router([rules], fallback="desk", schools=schools, observe=False, clock=SystemClock(), log=log)
    for school, text in (("lincoln", "he goes to lincoln"), ("north", "she is at Northside High School")):
        [verdict] = await router.decide([message(text)])
        assert verdict.school == school
    assert schools.looked == 2


_PIECES = [*{word for school in SCHOOLS for word in school.name.split()}, "L.E.S.", "L E S", "les", "CGES", "la"]
_PIECES += ["Lincon", "Cedergrove", "northsde", "the", "St.", "ß", "é", "school", "bus", "I", "ana@home.example", "I'm"]


@given(st.lists(st.tuples(st.sampled_from(_PIECES), st.sampled_from([" ", "", ". ", "-", "\n\n", ", "])), max_size=12))
def test_a_short_look_overlooks_no_school(schools, said):
    """Whether any name may stand in a text is found out first, and fast: what a whole reading finds is found."""
    text = "".join(word + gap for word, gap in said)
    tokens = tokens_of(text)
    reading = _Reading(schools._forms, schools._organization, tokens, shouting=text.isupper())
    everywhere = range(len(tokens))
    assert schools.mentions(text) == reading.mentions(everywhere, everywhere)
