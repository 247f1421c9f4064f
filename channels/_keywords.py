"""The words by which people leave a text line, ask what it is, or come back: STOP, HELP, START, English and Spanish.

Carriers look at a single word only; the law asks for any reasonable wording (47 CFR 64.1200(a)(10)). A false alarm
would keep a family's message from its desk, so a sentence counts only if every word of it speaks of text messages:
"please stop texting me" does, "cancel my bus stop" doesn't.
"""

from __future__ import annotations

import re
import unicodedata

_MOST_WORDS = 14


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_POLITE = _set("please pls plz thanks thank you ty now ok okay hi hello hey por favor gracias ya hola")
_EXACT = {
    "stop": (
        "stop", "stop all", "stopall", "unsubscribe", "unsubscribe me", "end", "quit", "cancel", "revoke", "opt out",
        "optout", "opt me out", "remove me", "alto", "parar", "pare", "paren", "cancelar", "detener", "basta", "baja",
        "darme de baja", "dar de baja", "desuscribir", "desuscribirme", "no mas", "salir", "terminar",
    ),
    "help": ("help", "info", "ayuda", "informacion"),
    "start": (
        "start", "unstop", "subscribe", "resume", "opt in", "optin", "iniciar", "comenzar", "empezar", "reanudar",
        "suscribir", "suscribirme",
    ),
}  # fmt: skip
_KEYWORDS = {wording: keyword for keyword, wordings in _EXACT.items() for wording in wordings}
_TYPES = {"STOP": "stop", "HELP": "help", "START": "start"}
_ANSWERS = _set("yes y yeah si s")

# What a sentence that asks to leave is made of.
_ENOUGH = _set("unsubscribe unsubscribed optout desuscribir desuscribirme")  # can mean nothing else
_LEAVING = _ENOUGH | _set(
    "stop stopping quit end cancel revoke remove off out cease discontinue alto pare paren parar detener detengan "
    "cancelar cancelen cancele basta eliminar eliminen quitar quiten quite dejen deje dejar baja"
)
_MESSAGES = _set(
    "text texts texting texted message messages messaging sms msg msgs alerts notifications contacting "
    "mensaje mensajes mensajitos textos texto textear mandar manden mande enviar envien envie escribir escribirme "
    "escriban escriba contactar contactarme contacten contacte notificaciones alertas"
)
_CONTACT = _set("contact contacto")  # a verb after "do not"; elsewhere it may be a contact list
_NOT = _set("no not dont never nunca")
_WANTING = _set("want need like wish quiero quisiera deseo necesito")
_TELLING = _set(  # with "not", and without wanting, these tell of a fault: "I do not get your texts"
    "i im id we yo can will would get getting receive receiving recibir recibo recibiendo"
)
_ASKING = _set(
    "do dont never nunca more mas any anymore again manden mande envien envie escriban escriba contacten contacte"
)
_REST = _set(
    "my me us our your this that these those the a an all further ever to from for of and opt take send sending "
    "subscribe list number phone cell service program future mi mis nos su sus este esta estos estas esa ese los las "
    "el la un una de del al que enviando enviarme mandarme mandando escribiendo lista numero telefono celular servicio"
)
_KNOWN = _LEAVING | _MESSAGES | _CONTACT | _NOT | _WANTING | _TELLING | _ASKING | _REST


def keyword_of(text: str, opt_out_type: str = "") -> str:
    """Return "stop", "help" or "start" if that is all a text message says, else "".

    `opt_out_type` is what the provider made of it (Twilio's OptOutType, Advanced Opt-Out). A plain "yes" stays a
    message even where the provider takes it for START: it is an answer to somebody.
    """
    words = _words(text[:400])
    if len(words) > _MOST_WORDS or (len(words) == 1 and words[0] in _ANSWERS):
        return ""
    told = [word for word in words if word not in _POLITE]
    keyword = _KEYWORDS.get(" ".join(told)) or _TYPES.get(opt_out_type.strip().upper(), "")
    return keyword or ("stop" if _asks_to_leave(frozenset(told)) else "")


def _asks_to_leave(words: frozenset[str]) -> bool:
    """Tell whether words say "no more messages", each of them being one that such a sentence is made of."""
    if not words <= _KNOWN:
        return False
    leaving, about_messages = words & _LEAVING, words & _MESSAGES
    if words & _NOT:  # "do not text me" asks to leave, "do not stop the texts" doesn't
        asking = words & _WANTING or (words & _ASKING and not words & _TELLING)
        return bool(words & (_MESSAGES | _CONTACT) and asking and not leaving)
    return bool(leaving & _ENOUGH or {"opt", "out"} <= words or (leaving and about_messages))


def _words(text: str) -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return re.findall(r"[^\W_]+", re.sub("['’`´]", "", plain))
