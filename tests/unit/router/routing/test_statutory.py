"""Requests with a legal deadline: which messages are tagged, and which only sound like it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from router.records import Content, Medium, Message
from router.routing.answer import Tagged
from router.routing.statutory import EVALUATION, RECORDS, Statutory, tags_of

HITS = {
    EVALUATION: [
        "I am requesting that my son be evaluated for special education.",
        "Please consider this my formal written request for a full psychoeducational evaluation of my daughter.",
        "can u test my daughter for dyslexia, she is in 2nd and cant read",
        "We would like Theo assessed for a 504 plan because of his ADHD",
        "I want my child tested for an IEP",
        "How do I get my son evaluated for autism?",
        "I disagree with your report and request an independent educational evaluation at public expense",
        "he needs to be evaluated for speech, nobody understands him",
        "My pediatrician says ask the school for an IEP evaluation",
        "please evaluate my son for a learning disability",
        "I formally ask you to test him.",
        "Solicito por escrito una evaluación para educación especial de mi hijo Daniel",
        "quiero que evaluen a mi niña para dislexia",
        "necesito que lo valoren por problemas de aprendizaje",
        "pido que le hagan pruebas de lenguaje a mi hijo",
        "Quiero pedir una evaluación para mi hija, va en segundo y no lee",
        "Our doctor thinks he has autism. Can the school do an evaluation?",
        "I want to start the process for a 504 plan for my daughter, she has type 1 diabetes",
        "how do i start the IEP process for my kid",
        "I suspect that my child has ADHD and am requesting testing",
        "mi niño no aprende y quiero que la escuela le haga una evaluación",
        "necesito que le hagan pruebas a mi hijo, creo que tiene autismo",
        "Quiero empezar el proceso del plan 504 para mi hija",
    ],
    RECORDS: [
        "Under FERPA I request to inspect my daughter's education records.",
        "This is a public records request for all emails between the board and the vendor",
        "Pursuant to the open records act, please send the bids",
        "I'd like a copy of my son's entire file",
        "FOIA request: bus contracts 2022",
        "I want to review his cumulative folder and get copies",
        "please send me copies of all incident reports with my son's name",
        "I am asking for my daughter's complete special education records",
        "Conforme a la ley de registros públicos solicito los contratos",
        "quiero ver el expediente completo de mi hijo",
        "solicito copia de todos los registros de mi hija",
        "bajo FERPA pido copia del expediente",
        "I would like to see everything in my son's file",
        "As a parent I have the right to inspect my daughter's records and want to do that this week",
        "This is a CPRA request",
        "tengo derecho a ver el expediente escolar de mi niña, cuando puedo ir",
        "mándenme copia de todos los correos que hablan de mi hijo",
    ],
}

NEAR_MISSES = [
    "When is my son's IEP meeting?",
    "Teacher evaluation forms are due Friday",
    "is there gifted testing this fall",
    "she tested positive for strep",
    "Please fax his immunization records",
    "I need my transcript for college",
    "send my son's records to his new school please",
    "he broke the school record in the 400",
    "for the record I am against this",
    "the state testing calendar",
    "My daughter needs her eyes tested",
    "we don't want him evaluated for special education",
    "what does the 504 plan say about breaks",
    "speech therapy was cancelled again",
    "request for a bus change",
    "La junta del IEP es el martes?",
    "examen de la vista",
    "mi hijo necesita ayuda con el habla?",
    "una copia de la boleta",
    "please update our file with the new address",
    "can I get a copy of the handbook",
    "police records check for volunteers",
    "When will his evaluation results be ready? We signed in March",
    "evaluación de medio año de matemáticas",
    "Not a records request, a plea about the book list",
    "The coach's evaluation of my son at tryouts was unfair",
    "My daughter was evaluated last year and has a 504 already, when's the review?",
    "Can I get my attendance record from last year for court",
    "Can you test the water fountain for lead?",
    "¿cuándo sale el resultado de la evaluación de mi hijo?",
    "quiero que lo evalúen para el programa de dotados",
    "mande los registros a la escuela nueva por favor",
    "",
]


@pytest.mark.parametrize(("tag", "text"), [(tag, text) for tag, texts in HITS.items() for text in texts])
def test_a_request_is_tagged(tag: str, text: str) -> None:
    """What families, lawyers and reporters write, in English and Spanish."""
    assert tags_of(Content(text=text)) == (tag,)


@pytest.mark.parametrize("text", NEAR_MISSES)
def test_what_only_sounds_like_one_is_not(text: str) -> None:
    """Meetings, other tests, other records, refusals."""
    assert tags_of(Content(text=text)) == ()


def test_subject_and_html_count_and_one_message_may_be_both() -> None:
    """Both requests in one mail are two tags, wherever they stand."""
    content = Content(subject="FERPA request", text="see below", html_text="please evaluate my son for dyslexia")
    assert tags_of(content) == (EVALUATION, RECORDS)


async def test_the_step_remarks_and_ends_nothing() -> None:
    """A tag, or nothing to say, per message."""
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)
    batch = [
        Message(id=str(n), channel="c", medium=Medium.EMAIL, received_at=now, content=Content(text=text))
        for n, text in enumerate(["FOIA request: emails", "when is lunch"])
    ]
    assert await Statutory().decide(batch) == [Tagged((RECORDS,)), None]
