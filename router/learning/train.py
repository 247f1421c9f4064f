"""Train a challenger, measure it on the messages no model trains on, and put it before the gate: `signpost train`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from classifiers._artifact import Artifact, save, unpack
from classifiers._corpus import load_corpus
from router.errors import SignpostError
from router.interfaces import Clock, SystemClock
from router.learning.basis import BASIS, RELEASE, basis, release
from router.learning.caution import careful
from router.learning.dataset import Dataset, build, fingerprint, split
from router.learning.files import read_files
from router.learning.gate import compare, is_open
from router.learning.helped import compare_sources, sources_of
from router.learning.lessons import SILENCE, TACIT
from router.learning.measure import answered, figures, points_of, replay
from router.learning.rehearsal import as_before, rehearse
from router.learning.rollback import FIRM
from router.learning.verdicts import Verdict, verdict_from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from classifiers._corpus import Corpus
    from router.interfaces import Classifier, ClassifierType, Example, Progress, Settings
    from router.learning.gate import Answered
    from router.learning.lessons import Lesson
    from router.learning.outvote import Terms
    from router.records import Department

    Champion = tuple[Classifier, Mapping[str, Any]]
    """A model ready to answer, with its metadata."""

_FEW = 20  # examples of a label
_OUTSIDE = "This model stands outside the registry; no gate was asked."
_MEASURES = (
    "held_out",
    "metrics",
    "urgent",
    "counts",
    BASIS,
    RELEASE,
    "left_out",
    "outvoted",
    "learnt",
    "parameters",
    "libraries",
    FIRM,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model ready to be registered. `parent` is the version it was compared with, "" if there was none.

    `metrics` has `held_out` (the figures of `signpost evaluate` on the held-out messages, with the `target_error` that
    its thresholds were meant for), `metrics` (what the classifier measured by itself, such as out-of-fold figures),
    `urgent` (its thresholds for urgency, and what these held out of fold),
    `counts` (rows by source), `left_out` (rows that were not used, by why), `outvoted` (which of the bundled
    ones, see `Outvoted`), `learnt` (the people's words it was made of, see `Lesson.key`), `parameters` and `libraries`
    (what makes the same model again), and `sources`, if they were compared.
    """

    artifact: bytes = field(repr=False)
    sha256: str
    version: str
    type: str
    fingerprint: str
    metrics: Mapping[str, Any]
    verdict: Verdict
    parent: str = ""


def trained(artifact: Artifact, verdict: Verdict, parent: str = "") -> Trained:
    """Return what the registry needs to know of an artifact that `train` made."""
    return Trained(
        artifact=artifact.packed,
        sha256=artifact.sha256,
        version=artifact.version,
        type=artifact.type,
        fingerprint=str(artifact.meta.get("fingerprint", "")),
        metrics={name: artifact.meta[name] for name in _MEASURES if name in artifact.meta},
        verdict=verdict,
        parent=parent,
    )


def trained_elsewhere(data: bytes, sha256: str, verdict: dict[str, Any], parent: str) -> Trained:
    """Return what another process has trained; raise `SignpostError` if it is damaged. Tens of MB: for a thread."""
    return trained(unpack(data, sha256), verdict_from_json(verdict), parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """How a model is made, whatever it is made of."""

    classifier: ClassifierType
    settings: Settings
    descriptions: Mapping[str, str]
    basis: str
    seed: int

    def about(self, dataset: Dataset) -> dict[str, Any]:
        """Return what the registry shows of a model's making; the same for the same messages and settings."""
        rows = (*dataset.examples, *dataset.out_of_scope, *dataset.terms)
        return {
            "fingerprint": dataset.fingerprint,
            FIRM: fingerprint(replace(row, group="") for row in rows if row.source not in {SILENCE, TACIT}),
            "counts": dict(dataset.counts),
            "left_out": dict(dataset.left_out),
            "outvoted": [asdict(each) for each in dataset.outvoted],
            "learnt": list(dataset.learnt),
            BASIS: self.basis,
            RELEASE: release(),
            "parameters": {"seed": self.seed, **self.settings.model_dump(mode="json")},
        }

    def fit(self, examples: Sequence[Example], out_of_scope: Sequence[Example], progress: Progress) -> Artifact:
        """Train; raise `SignpostError` if there is nothing to learn from."""
        if not examples:
            raise SignpostError("there is nothing to learn from: no corpus, no confirmed correction, no file")
        everything = (*examples, *out_of_scope)
        artifact = self.classifier.train(
            everything, (), self.settings, progress, seed=self.seed, descriptions=self.descriptions
        )
        if not isinstance(artifact, Artifact):
            raise SignpostError(f"the classifier's training returned a {type(artifact).__name__}, not an Artifact")
        return artifact


def train(
    classifier: ClassifierType,
    settings: Settings,
    departments: Sequence[Department] = (),
    fallback: str = "",
    *,
    progress: Progress,
    store_rows: Sequence[Lesson] = (),
    left_out: Mapping[str, int] | None = None,
    files: Sequence[str] = (),
    champion: Champion | None = None,
    reference: Champion | None = None,
    corpus: Corpus | None = None,
    no_corpus: bool = False,
    out_dir: Path | None = None,
    target_error: float = 0.05,
    compare_too: bool = False,
    outvoting: Terms | None = None,
    seed: int = 0,
    clock: Clock | None = None,
) -> Trained:
    """Train on corpus (the bundled one unless given), confirmed corrections and files; return the judged model.

    What is returned was trained without the held-out messages, and is what was measured on them. The gate compares it
    with the champion, and with a reference that it may be a little worse than, however many champions lie between.
    With `out_dir` the model stands outside the registry: any labels, all rows, no gate, the classifier's own figures,
    and it is saved there as a directory. With `compare_too` it is trained once more without each source of messages
    (`metrics["sources"]`, see `router.learning.helped`). Takes seconds to minutes of one processor. Raise
    `SignpostError` for files that can't be read and for too little to learn from.
    """
    progress("reading the messages", 0.0)
    unread = Counter(left_out or {})
    rows = read_files(files, unread, progress)
    if corpus is None and not no_corpus:
        corpus = load_corpus()
    standalone = out_dir is not None and no_corpus
    put_together = partial(
        build,
        corpus=None if no_corpus else corpus,
        files=rows,
        departments=() if standalone else departments,
        fallback="" if standalone else fallback,
        rank=champion[0].predict if champion else None,
        any_label=out_dir is not None,
        outvoting=outvoting,
    )
    dataset = put_together(lessons=store_rows)
    dataset = replace(dataset, left_out=dict(unread + Counter(dataset.left_out)))
    recipe = _Recipe(
        classifier=classifier,
        settings=settings,
        descriptions=_names(dataset.examples) if standalone else _descriptions(departments, dataset.examples),
        basis=basis(classifier, settings, corpus) if corpus is not None and not no_corpus else "",
        seed=seed,
    )
    own = part_of(progress, 0.0, 1 / (1 + len(sources_of(dataset.examples)))) if compare_too else progress
    if out_dir is None:
        beside, before = (champion, reference), partial(_known_before, champion, store_rows, put_together)
        result = _challenger(recipe, dataset, beside, own, before=before, target_error=target_error)
    else:
        result = _saved(recipe, dataset, out_dir, (clock or SystemClock()).now(), own)
    if compare_too:
        compared = _compared(recipe, dataset, result if out_dir is None else None, progress)
        result = replace(result, metrics={**result.metrics, "sources": compared})
    progress("done", 1.0)
    return result


def _compared(
    recipe: _Recipe, dataset: Dataset, challenger: Trained | None, progress: Progress
) -> list[dict[str, Any]]:
    """Train once more without each source; a challenger has learnt from all of them but the held-out messages."""
    training, held_out = split(dataset.examples)
    strangers, _held_out_strangers = split(dataset.out_of_scope)
    share = 1 / (1 + len(sources_of(dataset.examples)))

    def fit(examples: Sequence[Example], outside: Sequence[Example], tell: Progress) -> Classifier:
        return recipe.classifier.load(recipe.fit(examples, outside, tell))

    if challenger is not None:
        whole = recipe.classifier.load(unpack(challenger.artifact))
    else:
        whole = fit((*training, *dataset.terms), strangers, part_of(progress, share / 2, share))
    tell = part_of(progress, share, 1.0)
    return compare_sources(
        fit, whole, held_out, tell, training=training, terms=dataset.terms, strangers=strangers, seed=recipe.seed
    )


def _descriptions(departments: Sequence[Department], examples: Sequence[Example]) -> dict[str, str]:
    """Return, by label, what departments that cover exactly one label say of themselves, where examples are few.

    Where there are many, a description teaches nothing and only makes the challenger differ from the champion.
    """
    rows = Counter(row.department for row in examples)
    single = {desk.covers[0]: desk.description for desk in departments if len(desk.covers) == 1}
    return {label: text for label, text in single.items() if text and 0 < rows[label] < _FEW}


def _names(examples: Sequence[Example]) -> dict[str, str]:
    """Return the labels with few examples: where nobody describes them, their names are all that is known of them."""
    return {label: "" for label, count in Counter(row.department for row in examples).items() if count < _FEW}


def _saved(recipe: _Recipe, dataset: Dataset, out_dir: Path, now: datetime, progress: Progress) -> Trained:
    """Train on every row and save the model as a directory."""
    artifact = recipe.fit((*dataset.examples, *dataset.terms), dataset.out_of_scope, part_of(progress, 0.02, 0.98))
    artifact = replace(artifact, meta={**artifact.meta, **recipe.about(dataset)})
    result = trained(artifact, Verdict(passed=True, sentence=_OUTSIDE))
    facts = {"fingerprint": result.fingerprint, "libraries": artifact.meta.get("libraries"), **result.metrics}
    save(artifact, out_dir, {"created_at": now.isoformat(), **facts})
    return result


def _known_before(
    champion: Champion | None, lessons: Sequence[Lesson], put_together: Callable[..., Dataset]
) -> Dataset:
    """Return what the champion has learnt from, as far as it is still there."""
    meta = champion[1] if champion else {}
    learnt = set(meta.get("learnt", ()))
    known = [lesson for lesson in lessons if lesson.source == SILENCE or lesson.key in learnt]
    return as_before(put_together(lessons=known), int(meta.get("counts", {}).get(SILENCE, 0)))


def _challenger(
    recipe: _Recipe,
    dataset: Dataset,
    beside: tuple[Champion | None, Champion | None],
    progress: Progress,
    *,
    before: Callable[[], Dataset],
    target_error: float,
) -> Trained:
    """Train on what isn't held out, and judge; `before` is what the champion has learnt from, as it would be now."""
    champion, reference = beside
    training, held_out = split(dataset.examples)
    strangers, held_out_strangers = split(dataset.out_of_scope)
    artifact = recipe.fit((*training, *dataset.terms), strangers, part_of(progress, 0.02, 0.85))
    progress("measuring it on held-out messages", 0.85)
    if champion is not None:
        artifact = careful(artifact, recipe.classifier.load, champion[0], held_out, held_out_strangers)
    challenger = recipe.classifier.load(artifact)
    meta = {**artifact.meta, **recipe.about(dataset)}
    if "operating_points" not in meta:
        meta["operating_points"] = points_of(challenger, held_out, held_out_strangers)
    meta["held_out"] = figures(challenger, meta, [*held_out, *held_out_strangers], target_error)
    progress("comparing it with the champion" if champion else "judging it", 0.92)
    said = partial(answered, held_out=held_out, strangers=held_out_strangers, target_error=target_error)
    judged = partial(
        compare,
        said(*champion) if champion else None,
        said(challenger, meta),
        held_out,
        strangers=held_out_strangers,
        reference=said(*reference) if reference else None,
        replayed=replay(champion, (challenger, meta), dataset, target_error),
        target_error=target_error,
        seed=recipe.seed,
    )
    verdict = judged()
    if champion and is_open(verdict):
        ask = partial(_asked, recipe, target_error)
        verdict = judged(rehearsed=rehearse(before(), dataset, ask, part_of(progress, 0.92, 1.0)))
    progress("done", 1.0)
    return trained(replace(artifact, meta=meta), verdict, champion[0].version if champion else "")


def _asked(
    recipe: _Recipe,
    target_error: float,
    examples: Sequence[Example],
    strangers: Sequence[Example],
    asked: Sequence[Example],
) -> Answered:
    """Train on some messages and ask about others."""
    artifact = recipe.fit(examples, strangers, lambda _doing, _share: None)
    return answered(recipe.classifier.load(artifact), artifact.meta, asked, (), target_error)


def part_of(progress: Progress, start: float, end: float) -> Progress:
    """Return a progress that moves from `start` to `end` while its own goes from 0 to 1.

    The part's own end isn't told: what a classifier calls "done" would be read as the end of everything.
    """

    def part(what: str, share: float) -> None:
        if share < 1.0:
            progress(what, start + (end - start) * max(0.0, share))

    return part
