"""The second opinion: what a sentence encoder says beside the words, asked only where the words are unsure.

Both experts give margins over the same columns. The encoder's are scaled, when it is trained, to mean as much as the
words' do, so that a weighted sum of both goes through the same temperature and the same out-of-scope score.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers._calibrate import softmax
from classifiers._embed import embedded_text, open_encoder
from router.errors import BadArtifact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from classifiers._artifact import Artifact
    from classifiers._embed import Encoder
    from router.interfaces import ModelInput

    Floats = NDArray[np.floating[Any]]

OWN_GROUP = ("en", "es")
OTHER, UNKNOWN = "other", ""


def language_group(language: str) -> str:
    """Return the group of languages whose weights hold: `en`, `es`, `other`, or "" where the language is unknown."""
    code = language.partition("-")[0].lower()
    return code if code in OWN_GROUP or not code else OTHER


@dataclass(frozen=True, slots=True)
class Share:
    """How much each expert's margins count, and what is added to all so that a member's best margin stays the same."""

    words: float
    encoder: float
    shift: float = 0.0

    def mixed(self, words: Floats, encoder: Floats) -> Floats:
        """Return the margins of both together."""
        result: Floats = self.words * words + self.encoder * encoder + self.shift
        return result


WORDS_ALONE = Share(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """An encoder with the head that was learnt for it (width × columns, and bias), and each language's share."""

    encoder: Encoder
    coefficients: Floats
    bias: Floats
    shares: Mapping[str, Share]
    sure: float  # the words' confidence from which the encoder isn't asked

    def heard(self, model_input: ModelInput, margins: Floats, labels: int, temperature: float) -> Floats:
        """Return the words' margins as they are if they are sure, else together with the encoder's."""
        share = self.shares.get(language_group(model_input.language), WORDS_ALONE)
        if not share.encoder or softmax(margins[:labels], temperature).max() >= self.sure:
            return margins
        vector = self.encoder.embed(embedded_text(model_input)).astype(np.float64)
        return share.mixed(margins, vector @ self.coefficients + self.bias)


def load_second_opinion(artifact: Artifact, columns: int) -> SecondOpinion:
    """Return what an artifact says of its encoder, with the encoder opened.

    Raise `NoEncoder` if the encoder isn't there or is another one, `BadArtifact` if the parts don't fit together.
    """
    said = artifact.meta["encoder"]
    coefficients, bias = (artifact.arrays[f"encoder_{name}"].astype(np.float64) for name in ("coefficients", "bias"))
    shares = {str(group): Share(*map(float, share)) for group, share in said["shares"].items()}
    numbers = (coefficients, bias, [(share.words, share.encoder, share.shift) for share in shares.values()])
    if coefficients.ndim != 2 or {coefficients.shape[1], *bias.shape} != {columns} or bias.ndim != 1:
        raise BadArtifact("the encoder's arrays don't fit the model's labels")
    if not all(np.isfinite(part).all() for part in numbers):
        raise BadArtifact("the encoder's part of the model holds numbers that aren't finite")
    encoder = open_encoder(Path(said["folder"]), str(said["sha256"]))
    return SecondOpinion(encoder, coefficients, bias, shares, float(said["sure"]))
