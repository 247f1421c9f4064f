"""How fast a model answers, one message at a time on one core, and how long ten thousand and a million rows take.

`python -m benchmarks.speed ROWS` learns that many rows in a process of its own, so that its memory can be told.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.accuracy import VALIDATION
from benchmarks.figures import Figure
from benchmarks.fresh import learn
from benchmarks.model import TYPE, bundled_model
from benchmarks.processes import ROOT, Failed
from benchmarks.public import DATA, clinc150, hwu64
from classifiers import linear
from classifiers._text import from_row, from_text
from router.interfaces import Example, ModelInput
from router.plugins import classifier_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.public import Row
    from router.interfaces import Classifier

ROUNDS, ASKED = 5, 600
_ABSENT = "skipped: the public sets aren't beside this repository (they are for measuring and aren't shipped)"
_GREETINGS = ("hi, ", "hello ", "good morning, ", "please help: ", "")
_CLOSINGS = (" thanks", " thank you very much", " please", "", " asap")
MILLION = 1_000_000


def measure(*, quick: bool = False) -> list[Figure]:
    """Return the figures of answering and, unless `quick`, of learning ten thousand rows."""
    return [*_full_length(), *(_short(quick=quick) if (DATA / "intents").is_dir() else _skipped("speed.short"))]


def _skipped(name: str) -> list[Figure]:
    return [Figure(name=name, value=None, unit="messages/s", n=0, note=_ABSENT)]


def asked_alone(name: str, model: Classifier, inputs: Sequence[ModelInput], limit: float | None = None) -> Figure:
    """Return how many messages a second of processor time a model answers, one at a time in one thread."""
    rate = median(_rate(inputs, lambda one: model.predict([one])) for _ in range(ROUNDS))
    letters = sum(len(one.body) for one in inputs) / len(inputs)
    return _rates(name, rate, None, limit, n=len(inputs), detail={"mean_characters": round(letters)})


def _full_length() -> list[Figure]:
    """Ask the bundled model about messages of full length."""
    if not VALIDATION.exists():
        return _skipped("speed.full_length")
    rows = [json.loads(line) for line in VALIDATION.read_text(encoding="utf-8").splitlines() if line.strip()]
    asked = [from_row(row) for row in rows]
    return [asked_alone("speed.full_length", linear.load(bundled_model()), asked, 1_500)]


def _short(*, quick: bool) -> Iterator[Figure]:
    """Ask a model of short texts, beside scikit-learn's own pipeline and fastText on the same texts."""
    data = hwu64()
    fresh = learn(data.train[:10_000])
    asked = [from_text("", text) for text, _label in data.test[:ASKED]]
    texts = [text for text, _label in data.test[:ASKED]]
    pipeline = _pipeline(data.train[:10_000])
    fast, why_not = _fast_text(data.train[:10_000])
    rates: dict[str, list[float]] = {"ours": [], "pipeline": [], "fasttext": []}
    for _ in range(ROUNDS):
        rates["ours"].append(_rate(asked, lambda one: fresh.model.predict([one])))
        rates["pipeline"].append(_rate(texts, lambda one: pipeline.predict([one])))
        if fast is not None:
            rates["fasttext"].append(_rate(texts, fast))
    detail: dict[str, Any] = {"fasttext": round(median(rates["fasttext"])) if fast else why_not}
    yield _rates("speed.short", median(rates["ours"]), median(rates["pipeline"]), 8_000, n=ASKED, detail=detail)
    if not quick:
        yield Figure(
            name="speed.learn_10000", value=round(fresh.seconds, 1), unit="s", n=10_000, better="lower", limit=20.0,
            note="reading, choosing, three-fold calibration and the model; the processor time is in detail",
            detail={"cpu_s": round(fresh.cpu_s, 1), "labels": len(fresh.model.labels)},
        )  # fmt: skip


def _rates(
    name: str, ours: float, peer: float | None, limit: float | None, *, n: int, detail: dict[str, Any]
) -> Figure:
    return Figure(
        name=name,
        value=round(ours),
        unit="messages/s",
        n=ROUNDS * n,
        limit=limit,
        peer=None if peer is None else round(peer),
        note="one message at a time in one thread, text preparation left out; the peer is scikit-learn's Pipeline",
        detail=detail,
    )


def _rate(items: Sequence[Any], ask: Callable[[Any], object]) -> float:
    """Return answers per second of processor time: other work on the machine doesn't count."""
    began = time.process_time()
    for item in items:
        ask(item)
    return len(items) / (time.process_time() - began)


def _pipeline(rows: Sequence[Row]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415  slow to import
    from sklearn.pipeline import make_pipeline, make_union  # noqa: PLC0415  as above
    from sklearn.svm import LinearSVC  # noqa: PLC0415  as above

    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", sublinear_tf=True, min_df=2)
    parts = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
    pipeline = make_pipeline(make_union(words, parts), LinearSVC(C=0.3))
    return pipeline.fit([text for text, _label in rows], [label for _text, label in rows])


def _fast_text(rows: Sequence[Row]) -> tuple[Callable[[str], object] | None, str]:
    """Return how to ask fastText, trained on the same rows; or None, and why not."""
    try:
        import fasttext  # noqa: PLC0415  a peer that isn't a dependency
    except ImportError:
        return None, "skipped: the package fasttext-wheel isn't installed (it is only a peer)"
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.writelines(f"__label__{label.replace(' ', '_')} {text.lower()}\n" for text, label in rows)
        file.flush()
        model = fasttext.train_supervised(
            file.name, epoch=25, lr=0.5, wordNgrams=2, minn=2, maxn=5, thread=1, verbose=0
        )
    return lambda text: model.f.predict(text + "\n", 1, 0.0, "strict"), ""


# --- a million rows ---------------------------------------------------------------------------------------------------


async def million(*, quick: bool = False) -> list[Figure]:
    """Return time and memory of learning a million rows, in a process of its own."""
    if quick or not (DATA / "intents").is_dir():
        note = "left out of the quick run" if quick else _ABSENT
        return [Figure(name="scale.million", value=None, unit="s", n=0, note=note)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.speed", str(MILLION)), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    said, _nothing = await process.communicate()
    if process.returncode:
        raise Failed(f"learning a million rows ended with status {process.returncode}")
    found = json.loads(said)
    note = "CLINC150's rows resampled, with words left out, greetings, numbers and typing errors; asked: its clean test"
    seconds, megabytes = found.pop("seconds"), found.pop("peak_mb")
    return [
        Figure(name="scale.million", value=seconds, unit="s", n=MILLION, better="lower", limit=300.0, note=note,
               detail=found),
        Figure(name="scale.million_memory", value=megabytes, unit="MB", n=MILLION, better="lower", limit=1500.0,
               note="peak resident memory of the whole process, the rows themselves included"),
    ]  # fmt: skip


def grown(rows: Sequence[Row], count: int, random: Random) -> Iterator[Example]:
    """Yield rows drawn from others, none quite like the one it came from."""
    for _ in range(count):
        text, label = random.choice(rows)
        words = [word for word in text.split() if random.random() > 0.1] or text.split()
        said = random.choice(_GREETINGS) + " ".join(words) + random.choice(_CLOSINGS)
        if random.random() < 0.1:
            said += f" ref {random.randrange(10**6)}"
        if random.random() < 0.3:
            said = "".join(char for char in said if random.random() > 0.03)
        yield Example(input=ModelInput(subject="", body=said), department=label)


def _learn(count: int) -> dict[str, Any]:
    data, kind = clinc150(), classifier_types().get(TYPE)
    rows = list(grown(data.train, count, Random(0)))
    before = _peak_mb()
    began, cpu = time.perf_counter(), time.process_time()
    artifact = kind.train(rows, [], kind.settings(), lambda *_: None)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    peak = _peak_mb()
    answers = kind.load(artifact).predict([from_text("", text) for text, _label in data.test])
    right = sum(answer.ranking[0][0] == label for answer, (_text, label) in zip(answers, data.test, strict=True))
    return {
        "seconds": round(seconds, 1),
        "cpu_s": round(cpu_s, 1),
        "peak_mb": round(peak),
        "rows_mb": round(before),
        "accuracy": round(right / len(data.test), 4),
        "labels": len(artifact.meta["labels"]),
        "terms": int(artifact.arrays["idf"].shape[0]),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    print(json.dumps(_learn(int(sys.argv[1]))))
