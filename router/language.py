"""Guess the language of a message from its script and its commonest words: small, instant and deterministic.

Language is a remark beside a message, never a gate, so no answer is better than a guess.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.records import Content

MAX_TEXT = 2_000  # characters looked at
_MIN_WORDS = 3
_MAX_WORDS = 200  # more of them don't change the answer
_MIN_SCORE = 1.0
_MARGIN = 1.25  # the best language has to lead by this factor
_HINT = 1.1  # what a district's own languages gain: it settles ties and no more
_MIN_SIGNS = 4  # letters of a script that stands for one language
_WORDS = re.compile(r"[^\W\d_]+")
_FOREIGN = re.compile("[\u0400-\u1cff\u3040-\uffff]")
_LINKS = re.compile(r"\S*(?:@|://|www\.)\S*")

# Letters of one script, as a class of an expression, that are one language among those written to US schools.
_SCRIPTS = {
    "zh": "[\u4e00-\u9fff]",
    "ko": "[\uac00-\ud7af\u1100-\u11ff]",
    "ja": "[\u3040-\u30ff]",
    "ar": "[\u0600-\u06ff]",
    "ru": "[\u0400-\u04ff]",
    "am": "[\u1200-\u137f]",
    "hi": "[\u0900-\u097f]",
    "th": "[\u0e00-\u0e7f]",
}

# Letters that only one of the languages below writes.
_LETTERS = {"vi": "ăđơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ", "es": "ñáíóú", "pt": "ãõç", "fr": "œêëîïèç"}

# Endings that mark a word where the word itself isn't common.
_ENDINGS = {
    "en": ("ing", "ight", "tion", "ed"),
    "es": ("cion", "ciones", "ando", "iendo", "aron", "ieron", "amos", "emos", "aba", "ito", "ita"),
    "pt": ("inho", "inha"),
}
_ENDING_WEIGHT = 0.4
_LONG_ENOUGH = 5  # letters of a word whose ending is looked at

_COMMON = {
    "en": """the a an and or but to of in on at for with from by about is are was were be been am do does did not no yes
    i me my mine you your he him his she her it its we us our they them their this that these those there here what
    when where who why how which can could will would should may might must have has had get got need want know please
    thanks thank hi hello if so as than then just only also still any some all more her one two out up off over after
    before because into im ive dont cant didnt doesnt isnt wont hes shes thats u ur pls thx gonna wanna school bus kid
    son daughter child today tomorrow yesterday week back time day home teacher class lunch sick late grade she's he's
    let call said says going go come coming send make like been our someone every until since while were""",
    "es": """el la los las un una unos unas y o pero de del al a en con por para sin sobre es son era fue ser esta estan
    estoy está están estaba no si sí yo me mi mis tu tus su sus se le les lo nos nosotros ella ellos ellas usted ustedes
    que qué q como cómo cuando cuándo donde dónde quien quién cual porque hay ya muy mas más tambien también hoy ayer
    mañana manana ahora aqui aquí alla eso esto ese este esa tiene tienen tengo puede pueden puedo quiero quisiera
    necesito necesita hace hacer va van voy ir vino viene llego llegó fue gracias buenas buenos dias días tardes hola
    favor porfa escuela hijo hija niño niña nino nina maestra maestro camion camión clase casa oiga disculpe señora
    enfermo enferma desde hasta porque pq xq nadie nada algo todo todos solo sólo otra otro cita nos saber sabe dice
    d x pa dijo cuanto cuánto cuantos semana años anos salio salió quedo quedó ni les ustedes han ha he ese""",
    "pt": """o os as um uma e ou mas do da dos das em no na nos nas com por para pra sem sobre é são era foi ser está
    estão estou não sim eu meu minha meus você voce vocês vc ele ela eles elas que quando onde quem qual porque já muito
    mais também hoje ontem amanhã agora aqui isso este esta esse essa tem têm tenho pode podem posso quero preciso
    precisa fazer vai vou obrigado obrigada bom boa dia tarde olá oi escola filho filha professora professor ônibus
    aula casa ao à pelo pela seu sua dele dela só até depois ainda nao gostaria saber""",
    "fr": """le la les un une des et ou mais de du au aux en dans avec pour par sans sur est sont était être je mon ma
    mes tu vous votre vos il elle ils elles nous notre nos que qui quand où quoi comment pourquoi ne pas plus très aussi
    aujourd hui hier demain ici ce cette ces cet a ont ai avez peut peux veux voudrais faire va bonjour merci école fils
    fille enfant professeur bus classe maison été qu à chez bien y on se son sa ses leur""",
    "ht": """mwen m ou li nou yo pitit fi gason ki kisa kote kilè poukisa pa pou nan ak avèk sou te ap pral ka kapab gen
    genyen se sa yon la lan lekòl lekol mèsi mesi bonjou bonswa tanpri jodi a demen yè kounye paske men si tou anpil
    bezwen vle fè di ale vini bis otobis pwofesè lakay kay timoun nan mwa ane konnen jwenn pran bay rele ede moun
    depi lè map w lòt epi malad klas kreyòl kreyol matin""",
    "so": """waa waxaan waxay waxa ma aan ay iyo oo ku ka u la in inaan inay uu ayaa ayuu baa wuxuu si mid kale maanta
    shalay berri dugsiga dugsi iskuulka ilmahayga ilmaha wiilkayga gabadhayda wiilka gabadha macallin macalinka fadlan
    mahadsanid sidee goorma halkee maxaa xagee haddii aad waan karaa kartaa kara rabaa doonayaa baska basku caawimo
    iska wali maxaad lahaa leh yahay tahay ahay ahayd anigu aniga soo sanad jir ugu kaga lagu loo""",
    "vi": """tôi con của và là không có được cho với này đó khi ở trường học xin cảm ơn chào cô thầy em cháu hôm nay mai
    bị đi về đến một các những nhưng vì nếu thì đã đang sẽ ai gì sao nào bao giờ phải muốn cần giúp biết toi khong cua
    truong cam on hom nay xe buýt buyt lớp nhà anh chị rất cũng để từ ra vào""",
    "tl": """ang ng mga sa na ay at ko mo niya namin natin nila ako ikaw siya kami tayo sila po opo hindi wala may meron
    ba kung kasi dahil para lang din rin naman pa pero anak ngayon kahapon bukas salamat magandang umaga paaralan guro
    saan kailan sino ano paano bakit nasa yung iyong aking ito iyan gusto kailangan pwede si ni kay""",
}


_ALL_COMMON = frozenset(word for words in _COMMON.values() for word in words.split())


def is_common(word: str) -> bool:
    """Tell whether a word, in small letters, is among the commonest of one of these languages ("les" is)."""
    return word in _ALL_COMMON


class Language:
    """Tells about fifteen languages apart by script, letters and common words."""

    def __init__(self) -> None:
        self._scripts = [(code, re.compile(letters)) for code, letters in _SCRIPTS.items()]
        self._letters = [(code, re.compile(f"[{letters}]")) for code, letters in _LETTERS.items()]
        self._weights = _weights({code: frozenset(words.split()) for code, words in _COMMON.items()})

    def of(self, content: Content) -> Content:
        """Return a content with its language, if it doesn't say one and it can be told."""
        if content.language or not (found := self.detect(f"{content.subject}\n{content.text}")):
            return content
        return replace(content, language=found)

    def detect(self, text: str, hint_languages: Sequence[str] = ()) -> str:
        """Return an ISO 639-1 code, or "" for fewer than three words or where no language leads clearly.

        `hint_languages` (the district's own) are preferred where two are nearly equal.
        """
        words = _LINKS.sub(" ", text[:MAX_TEXT].lower().replace("’", "").replace("'", ""))
        script = self._by_script(words)
        if script:
            return script
        found = _WORDS.findall(words)
        return self._by_words(found[:_MAX_WORDS], hint_languages) if len(found) >= _MIN_WORDS else ""

    def _by_script(self, text: str) -> str:
        """Return the language whose script a good part of the letters are in."""
        if _FOREIGN.search(text) is None:
            return ""
        signs = {code: len(letters.findall(text)) for code, letters in self._scripts}
        if signs["ja"] and signs["ja"] * 4 > signs["zh"]:
            signs["ja"] += signs.pop("zh")  # Japanese mixes its syllables with Chinese signs
        best = max(signs, key=lambda code: signs[code])
        latin = sum(char.isascii() and char.isalpha() for char in text)
        return best if signs[best] >= _MIN_SIGNS and signs[best] * 2 > latin else ""

    def _by_words(self, words: Sequence[str], hints: Sequence[str]) -> str:
        scores = dict.fromkeys(_COMMON, 0.0)
        for word in words:
            for code, weight in self._weights.get(word) or self._by_look(word):
                scores[code] += weight
        for code in hints:
            scores[code] = scores.get(code, 0.0) * _HINT
        second, best = sorted(scores, key=lambda code: scores[code])[-2:]
        clear = scores[best] >= max(_MIN_SCORE, _MARGIN * scores[second])
        return best if clear else ""

    def _by_look(self, word: str) -> list[tuple[str, float]]:
        """Return what the letters and the ending of a word that isn't common say."""
        if not word.isascii():
            return [(code, 1.0) for code, letters in self._letters if letters.search(word)]
        if len(word) < _LONG_ENOUGH:
            return []
        return [(code, _ENDING_WEIGHT) for code, endings in _ENDINGS.items() if word.endswith(endings)]


def _weights(common: Mapping[str, frozenset[str]]) -> dict[str, list[tuple[str, float]]]:
    """Return what each word says for each language: the less, the more languages have it."""
    owners: dict[str, list[str]] = {}
    for code, words in common.items():
        for word in words:
            owners.setdefault(word, []).append(code)
    return {word: [(code, 1 / len(codes) ** 2) for code in codes] for word, codes in owners.items()}
