"""Train the second opinion: a logistic regression on an encoder's vectors, and how far each language listens to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from classifiers._calibrate import fit_temperature, softmax
from classifiers._corpus import OUT_OF_SCOPE
from classifiers._embed import embedded_text, open_encoder
from classifiers._embed_cache import embeddings
from classifiers._fusion import UNKNOWN, WORDS_ALONE, Share, language_group
from classifiers._tried import LACKING, calibrate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from classifiers._confidence import Words
    from classifiers._trainer import Rows
    from classifiers.linear import LinearSettings
    from router.interfaces import Progress

    Floats = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

HEAD_C_CHOICES = (1.0, 3.0, 10.0)
"""How closely the head follows the training rows: the choice with the least log-loss on the first fold counts."""

WEIGHTS = tuple(step / 10 for step in range(11))
_ENOUGH_ROWS = 30  # of a language, to learn its weight from
_WORTH = 1e-3  # of log-loss a row: less gain isn't worth asking the encoder
_MOST_RATIO = 2.0  # between two languages' temperatures: a few rows that are all right would ask for any
_NO_ROWS = -20.0  # the logit of a label of which a fold's training rows held none
_MOST_STEPS, _TOLERANCE = 200, 1e-3  # of the solver; a closer fit changed no figure


def with_encoder(
    meta: Mapping[str, Any],
    arrays: Mapping[str, Any],
    rows: Rows,
    words: Floats,
    columns: Sequence[str],
    *,
    settings: LinearSettings,
    progress: Progress,
    said: Sequence[Words],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the words' report becomes with an encoder beside them.

    `words` are the words' out-of-fold margins (tried rows × columns), `said` what else they say. The head learns from
    the rows as they were written: noisy copies and glossaries taught it nothing. The words' own thresholds are kept
    under `alone`, for a machine that lacks the encoder. Raise `NoEncoder` if it can't be used here.
    """
    truth = _Truth.of(rows, words, columns)
    encoder = open_encoder(Path(str(settings.encoder)))
    inputs = [row for row, tried in zip(rows.inputs, rows.tried, strict=True) if tried]
    vectors = embeddings([embedded_text(row) for row in inputs], encoder, _part(progress, 0.9, 0.97))
    progress("training beside the encoder", 0.97)
    heads = _Heads(vectors, rows.labels[rows.tried], rows.weights[rows.tried], rows.folds[rows.tried], columns)
    c, logits = heads.out_of_fold(truth)
    temperature = float(meta["temperature"])
    scale = temperature / truth.fit(logits, truth.known)[0]
    coefficients, bias = heads.fit(np.ones(len(inputs), dtype=bool), c)
    groups = np.array([language_group(row.language) for row in inputs])
    mix = _Mix(words, logits * scale, temperature, groups)
    shares = mix.shares(truth)
    both = np.where(words == LACKING, words, mix.served(shares, truth.labels, settings.encoder_below))
    labels = [*columns[: truth.labels]]
    own_meta, own_arrays = calibrate(rows, both, labels, temperature, said).report(labels, settings.out_of_scope_share)
    own_meta["alone"] = {name: value for name, value in meta.items() if name != "metrics"}
    own_meta["encoder"] = {
        "name": encoder.about.name,
        "sha256": encoder.about.sha256,
        "folder": str(settings.encoder),
        "sure": settings.encoder_below,
        "shares": {group: [share.words, share.encoder, share.shift] for group, share in shares.items()},
        "asked": round(float((both != words).any(axis=1).mean()), 4),
        "c": c,
    }
    own_arrays["encoder_coefficients"] = (coefficients * scale).astype(np.float32)
    own_arrays["encoder_bias"] = (bias * scale).astype(np.float32)
    return {**meta, **own_meta}, {**arrays, **own_arrays}


@dataclass(frozen=True, slots=True)
class _Truth:
    """Which tried rows have a label that their fold's models knew, and its number."""

    known: Mask
    number: NDArray[np.intp]
    weights: Floats
    labels: int

    @classmethod
    def of(cls, rows: Rows, words: Floats, columns: Sequence[str]) -> _Truth:
        """Look at the words' margins for what their models knew."""
        labels = [column for column in columns if column != OUT_OF_SCOPE]
        named = rows.labels[rows.tried]
        inside = named != OUT_OF_SCOPE
        number = np.searchsorted(labels, named) * inside
        fair = inside & (words[np.arange(len(named)), number] != LACKING)
        return cls(fair, number, rows.typical[rows.tried], len(labels))

    def fit(self, margins: Floats, chosen: Mask) -> tuple[float, float]:
        """Return the best temperature of the chosen rows, and the log-loss with it."""
        chosen = chosen & self.known
        return fit_temperature(margins[chosen][:, : self.labels], self.number[chosen], self.weights[chosen])


@dataclass(frozen=True, slots=True)
class _Heads:
    """Fits logistic regressions on parts of the rows."""

    vectors: NDArray[np.float32]
    named: NDArray[np.str_]
    weights: Floats
    folds: NDArray[np.intp]
    columns: Sequence[str]

    def out_of_fold(self, truth: _Truth) -> tuple[float, Floats]:
        """Return C and logits (rows × columns), each from a head that didn't see the row's group."""
        choices: Sequence[float] = HEAD_C_CHOICES
        logits: Floats = np.full((len(self.named), len(self.columns)), _NO_ROWS)
        for fold in sorted(set(self.folds.tolist())):
            held_out = self.folds == fold
            answers = []
            for c in choices:
                coefficients, bias = self.fit(~held_out, c)
                answers.append(np.where(held_out[:, None], self.vectors @ coefficients + bias, logits))
            losses = [truth.fit(answer, held_out)[1] for answer in answers] if len(choices) > 1 else [0.0]
            best = losses.index(min(losses))
            choices, logits = [choices[best]], answers[best]
        return choices[0], logits

    def fit(self, chosen: Mask, c: float) -> tuple[Floats, Floats]:
        """Return coefficients (width × columns) and bias of a head trained on the chosen rows."""
        coefficients = np.zeros((self.vectors.shape[1], len(self.columns)))
        bias = np.full(len(self.columns), _NO_ROWS)
        chosen = chosen & np.isin(self.named, self.columns)
        present = [self.columns.index(label) for label in sorted(set(self.named[chosen].tolist()))]
        if len(present) < 2:
            bias[present] = 0.0
            return coefficients, bias
        head = LogisticRegression(C=c, class_weight="balanced", max_iter=_MOST_STEPS, tol=_TOLERANCE)
        head.fit(self.vectors[chosen], self.named[chosen], sample_weight=self.weights[chosen])
        own, shift = head.coef_, head.intercept_
        if len(present) == 2:  # scikit-learn keeps only the lead of the second label
            own, shift = np.vstack((-own, own)) / 2, np.array([-shift[0], shift[0]]) / 2
        coefficients[:, present], bias[present] = own.T, shift
        return coefficients, bias


@dataclass(frozen=True, slots=True)
class _Mix:
    """Out-of-fold margins of both experts (tried rows × columns), which mean the same under one temperature."""

    words: Floats
    encoder: Floats
    temperature: float
    groups: NDArray[np.str_]  # each row's language group

    def shares(self, truth: _Truth) -> dict[str, Share]:
        """Return each language's share: the weight of least log-loss, with the temperature that fits it worked in.

        A language with too few rows to learn from, or that the encoder is no help with, listens to the words alone;
        messages in an unknown language are treated like all the rows together.
        """
        found = {}
        for group in sorted({UNKNOWN, *self.groups.tolist()}):
            chosen = truth.known & ((self.groups == group) | (group == UNKNOWN))
            if int(chosen.sum()) < _ENOUGH_ROWS:
                continue
            tried = [(*truth.fit((1 - w) * self.words + w * self.encoder, chosen), w) for w in WEIGHTS]
            own, loss, weight = min(tried, key=lambda each: each[1])
            ratio = min(max(self.temperature / own, 1 / _MOST_RATIO), _MOST_RATIO)
            is_help = loss < tried[0][1] - _WORTH
            share = Share((1 - weight) * ratio, weight * ratio)
            found[group] = self._shifted(share, chosen, truth.labels) if is_help else WORDS_ALONE
        return found

    def _shifted(self, share: Share, members: Mask, labels: int) -> Share:
        """Return the share with which members' best margins are in the mean what they are for the words alone.

        Else the score for "none of these" would tell who answered, not how well.
        """
        words, encoder = self.words[members][:, :labels], self.encoder[members][:, :labels]
        shift = words.max(axis=1).mean() - share.mixed(words, encoder).max(axis=1).mean()
        return replace(share, shift=float(shift))

    def served(self, shares: Mapping[str, Share], labels: int, sure: float) -> Floats:
        """Return the margins that would count: the words' where they are sure, else both together."""
        both = self.words.copy()
        unsure = softmax(self.words[:, :labels], self.temperature).max(axis=1) < sure
        for group, share in shares.items():
            chosen = unsure & (self.groups == group)
            if share.encoder:
                both[chosen] = share.mixed(self.words[chosen], self.encoder[chosen])
        return both


def _part(progress: Progress, start: float, end: float) -> Progress:
    return lambda what, share: progress(what, start + (end - start) * share)
