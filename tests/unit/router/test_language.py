"""Language detection: the languages families write in, texting spelling, and silence where it would be a guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.language import MAX_TEXT, Language

SENTENCES = [
    ("en", "My son will be out sick today, please let his teacher know."),
    ("en", "hi can u tell me wat time the bus comes thx"),
    ("en", "Could you send the form again? The link does not work."),
    ("es", "oiga mi hijo no vino hoy esta enfermo"),
    ("es", "Buenos días, ¿a qué hora sale el camión de la escuela?"),
    ("es", "q dia es la junta d padres, no me llego nada"),
    ("es", "Necesito cambiar la dirección de mi hija porque nos mudamos."),
    ("pt", "Bom dia, meu filho não vai para a escola hoje porque está doente."),
    ("fr", "Bonjour, mon fils est malade et ne sera pas à l'école aujourd'hui."),
    ("ht", "Bonjou, pitit mwen an malad, li pap vini lekòl jodi a."),
    ("so", "Waxaan rabaa inaan ogaado goorma ayaa baska imanayaa, wiilkayga waa xanuunsan yahay."),
    ("vi", "Con tôi bị ốm hôm nay nên không đi học được."),
    ("tl", "Magandang umaga po, may sakit ang anak ko at hindi siya papasok ngayon."),
    ("zh", "我的孩子今天生病了，不能来上学。"),
    ("ko", "우리 아이가 오늘 아파서 학교에 못 갑니다."),
    ("ja", "子どもが今日は病気で学校を休みます。"),
    ("ar", "ابني مريض اليوم ولن يأتي إلى المدرسة"),
    ("ru", "Мой сын сегодня болеет и не придёт в школу."),
]


@pytest.fixture(scope="module")
def language() -> Language:
    """The detector; it keeps nothing between calls."""
    return Language()


@pytest.mark.parametrize(("code", "text"), SENTENCES)
def test_an_ordinary_sentence_is_recognised(language: Language, code: str, text: str) -> None:
    """One sentence is enough in every language that is known, with the district's own as hints or without."""
    assert language.detect(text) == code
    assert language.detect(text, ("en", "es")) == code


@pytest.mark.parametrize("text", ["", "ok", "Gracias", "Wilmer Garcia", "STOP", "?!", "123 456 789", "asdf asdf qwer"])
def test_too_little_is_left_open(language: Language, text: str) -> None:
    """One or two words, names, figures and nonsense give no answer rather than a guess."""
    assert language.detect(text, ("en", "es")) == ""


def test_addresses_and_links_say_nothing(language: Language) -> None:
    """An English link in a Spanish text doesn't count, and links alone are no language."""
    assert language.detect("https://example.org/the/and/for/you about@the.and.example www.you.and.the") == ""
    assert language.detect("mi hijo no puede entrar https://portal.example/what-is-the-and-for-you-this") == "es"


def test_a_foreign_name_does_not_change_the_language(language: Language) -> None:
    """A few letters of another script in an English sentence leave it English."""
    assert language.detect("My daughter 王小明 will be late because of the dentist") == "en"


def test_a_hint_settles_a_near_tie_and_no_more() -> None:
    """Words that two languages share go to the district's own; a clear sentence doesn't."""
    language = Language()
    assert language.detect("my son is sick and will not come today", ("es",)) == "en"


def test_text_beyond_the_cap_is_not_looked_at(language: Language) -> None:
    """Only the first MAX_TEXT characters count, so the time is bounded."""
    assert language.detect("-" * MAX_TEXT + " my son is sick and will not come today") == ""


@given(st.text(max_size=400))
def test_any_text_has_the_same_answer_twice(text: str) -> None:
    """No text raises, and the answer is a function of the text."""
    one, other = Language(), Language()
    assert one.detect(text, ("en", "es")) == other.detect(text, ("en", "es"))
