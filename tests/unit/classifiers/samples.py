"""Invented messages with known labels, for tests that need a model but not a good one."""

from __future__ import annotations

from random import Random

from router.interfaces import Example, ModelInput

TOPICS = {
    "lunch": ("menu", "cafeteria", "almuerzo", "comida", "tray", "milk", "snack", "hungry"),
    "bus": ("stop", "driver", "route", "autobús", "parada", "seat", "late", "ride"),
    "nurse": ("fever", "medicine", "vacuna", "tos", "inhaler", "rash", "dose", "sick"),
}
STRANGERS = ("warranty", "invest", "bitcoin", "seo", "pharmacy", "casino", "loan", "roofing")
COMMON = ("hola", "please", "my", "son", "the", "school", "when", "is", "para", "gracias", "today", "señor", "help")


def sentence(words: tuple[str, ...], random: Random) -> str:
    """Return common words with two of the given words among them."""
    chosen = random.choices(COMMON, k=random.randrange(4, 9)) + random.sample(words, 2)
    random.shuffle(chosen)
    return " ".join(chosen)


def examples(per_label: int = 40, seed: int = 0) -> list[Example]:
    """Return messages about lunch, buses and the nurse, every second one with a subject."""
    random = Random(seed)
    return [
        Example(
            input=ModelInput(subject=sentence(words, random) if number % 2 else "", body=sentence(words, random)),
            department=label,
            group=f"{label}{number // 2}",
        )
        for label, words in TOPICS.items()
        for number in range(per_label)
    ]


def strangers(n: int = 30, seed: int = 0) -> list[ModelInput]:
    """Return messages about nothing that a school does."""
    random = Random(seed)
    return [ModelInput(subject="", body=sentence(STRANGERS, random)) for _ in range(n)]


def silent(_what: str, _share: float) -> None:
    """Tell nobody about progress."""
