"""Words and encoder together: better where the encoder knows the language, never worse for want of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from classifiers._artifact import Artifact, pack, save, unpack
from classifiers._calibrate import min_confidence_for
from classifiers._embed_cache import CACHE_FILE
from classifiers._fusion import Share, language_group
from classifiers.linear import CLASSIFIER, LinearSettings, load, train
from router.errors import BadArtifact, SignpostError
from router.interfaces import ModelInput
from tests.unit.classifiers.samples import examples, silent, strangers
from tests.unit.classifiers.tiny_encoder import invented, make_encoder

SPANISH = [replace(row, input=replace(row.input, language="es")) for row in examples(30)]
ENGLISH = invented(60)
UNHEARD = [row.input for row in invented(30, seed=7, first=300, last=400)]  # words that no training row has
UNHEARD_LABELS = [row.department for row in invented(30, seed=7, first=300, last=400)]
ROWS = [*ENGLISH, *SPANISH]
PLAIN = LinearSettings(augment=False, c=1.0, bayes=0.0, rarity=1.0)  # chosen settings would take time


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_encoder(tmp_path_factory.mktemp("encoders") / "tiny")


@pytest.fixture(scope="module")
def artifact(folder):
    return taught(folder)


@pytest.fixture(scope="module")
def alone():
    return load(train(ROWS, strangers(), PLAIN, silent))


def taught(folder, **settings):
    return train(ROWS, strangers(), PLAIN.model_copy(update={"encoder": str(folder), **settings}), silent)


def right(model, inputs, labels):
    """Return the share of right first choices."""
    answers = model.predict(inputs)
    return np.mean([answer.ranking[0][0] == label for answer, label in zip(answers, labels, strict=True)])


def rankings(model, inputs):
    return [answer.ranking for answer in model.predict(inputs)]


def test_the_encoder_knows_words_that_no_training_message_had(artifact, alone):
    """Of messages in unheard-of words the words alone make little, both together nearly everything."""
    assert right(alone, UNHEARD, UNHEARD_LABELS) < 0.6
    assert right(load(artifact), UNHEARD, UNHEARD_LABELS) > 0.9


def test_a_language_that_the_encoder_does_not_know_is_left_to_the_words(artifact, alone):
    """Its Spanish weight is nothing, and Spanish messages are answered as without it."""
    shares = artifact.meta["encoder"]["shares"]
    assert shares["es"] == [1.0, 0.0, 0.0]
    assert shares["en"][1] > 0
    fresh = [replace(row.input, language="es-MX") for row in examples(10, seed=5)]
    assert rankings(load(artifact), fresh) == rankings(alone, fresh)


def test_a_language_with_too_few_rows_is_left_to_the_words(artifact, alone):
    """Nothing is known of how well the encoder reads it."""
    assert "other" not in artifact.meta["encoder"]["shares"]
    vietnamese = [replace(row, language="vi") for row in UNHEARD]
    assert rankings(load(artifact), vietnamese) == rankings(alone, vietnamese)


def test_a_message_in_an_unknown_language_is_treated_like_all_together(artifact, alone):
    """The encoder is heard with the weight that serves the whole of the rows."""
    unknown = [replace(row, language="") for row in UNHEARD]
    assert right(load(artifact), unknown, UNHEARD_LABELS) > right(alone, unknown, UNHEARD_LABELS)


@pytest.mark.parametrize(
    ("language", "group"),
    [("", ""), ("en", "en"), ("es-US", "es"), ("EN", "en"), ("zh", "other"), ("zh-Hant", "other")],
)
def test_languages_fall_into_groups(language, group):
    """English and Spanish count by themselves, with their regions."""
    assert language_group(language) == group


def test_the_encoder_is_asked_only_where_the_words_are_unsure(folder, alone):
    """Where they are sure from the start, the answer is theirs, to the last digit."""
    cautious = load(taught(folder, encoder_below=0.4))
    inputs = [row.input for row in ENGLISH] + UNHEARD
    sure = [answer.ranking[0][1] >= 0.4 for answer in alone.predict(inputs)]
    same = [one == two for one, two in zip(rankings(cautious, inputs), rankings(alone, inputs), strict=True)]
    assert 0 < sum(sure) < len(inputs)
    assert all(same[place] for place in np.flatnonzero(sure))
    assert not any(same[place] for place in np.flatnonzero(~np.array(sure)))


def test_what_was_tried_is_what_is_served(artifact, alone):
    """Thresholds, confidence and figures are those of both together; the words' own are kept beside them."""
    assert artifact.meta["metrics"]["accuracy"] > 0.95
    assert artifact.meta["operating_points"] != artifact.meta["alone"]["operating_points"]
    assert min_confidence_for(artifact.meta, 0.1)[0] < min_confidence_for(artifact.meta["alone"], 0.1)[0]
    said = artifact.meta["encoder"]
    assert said["name"] == "tiny"
    assert 0 < said["asked"] < 1


def test_a_stranger_scores_lower_than_a_member(artifact):
    """The score for "none of these" is made of both experts, too."""
    model = load(artifact)
    members = [answer.score for answer in model.predict(UNHEARD)]
    outside = [answer.score for answer in model.predict(strangers(40, seed=9))]
    assert np.median(outside) < np.quantile(members, 0.1)


def test_the_score_does_not_tell_who_answered(folder):
    """Where the best margin is the score, members' is the same in the mean, whether the encoder was heard or not."""
    words = load(train(ROWS, [], PLAIN, silent))
    always = {"encoder": str(folder), "encoder_below": 1.0}
    both = load(train(ROWS, [], PLAIN.model_copy(update=always), silent))
    members = [row.input for row in ENGLISH]
    heard, unheard = (np.mean([answer.score for answer in model.predict(members)]) for model in (both, words))
    assert heard == pytest.approx(unheard, abs=0.3)
    outside = [replace(row, language="en") for row in strangers(40, seed=9)]
    assert max(answer.score for answer in both.predict(outside)) < unheard - 1


def test_the_same_rows_give_the_same_model(folder, artifact):
    """With remembered vectors and without."""
    assert pack(taught(folder)) == pack(artifact)
    (folder / CACHE_FILE).unlink()
    assert pack(taught(folder)) == pack(artifact)


def test_the_artifact_is_arrays_and_json(artifact):
    """The encoder itself stays where it is: its name and SHA-256 are all that is kept of it."""
    again = unpack(pack(artifact))
    assert json.loads(json.dumps(dict(again.meta)))["encoder"]["sha256"] == artifact.meta["encoder"]["sha256"]
    assert again.arrays["encoder_coefficients"].shape == (8, 4)
    assert rankings(load(again), UNHEARD) == rankings(load(artifact), UNHEARD)


@pytest.mark.parametrize("few", [2, 3, 12])
def test_a_handful_of_rows_trains(folder, few):
    """Too few to learn a weight from, the words answer alone."""
    rows = invented(few)
    model = load(train(rows, strangers(2), LinearSettings(encoder=str(folder)), silent))
    assert len(model.predict([rows[0].input])[0].ranking) == 3


def test_two_labels_are_enough(folder):
    """The head of two labels, of which scikit-learn keeps one column, tells them apart."""
    rows = [row for row in ENGLISH if row.department != "bus"]
    model = load(train(rows, [], PLAIN.model_copy(update={"encoder": str(folder)}), silent))
    fresh = [pair for pair in zip(UNHEARD, UNHEARD_LABELS, strict=True) if pair[1] != "bus"]
    assert right(model, *zip(*fresh, strict=True)) > 0.95


# --- without it -------------------------------------------------------------------------------------------------------


def elsewhere(artifact, folder):
    """Return the model as on a machine where the encoder's folder is another."""
    meta = {**artifact.meta, "encoder": {**artifact.meta["encoder"], "folder": str(folder)}}
    return Artifact(artifact.type, artifact.arrays, meta)


def test_without_its_encoder_a_model_answers_by_words_alone(artifact, alone, tmp_path):
    """The same answers as a model that never had one, with thresholds that hold for them, and a sentence about it."""
    model = load(elsewhere(artifact, tmp_path / "nowhere"))
    inputs = [*UNHEARD, *(row.input for row in SPANISH)]
    assert rankings(model, inputs) == rankings(alone, inputs)
    assert [a.confidence for a in model.predict(inputs)] == [a.confidence for a in alone.predict(inputs)]
    assert "nowhere" in model.instead["reduced"]
    assert model.instead["operating_points"] == artifact.meta["alone"]["operating_points"]


def test_with_another_encoder_a_model_answers_by_words_alone(artifact, tmp_path):
    """Vectors of another encoder would mean something else."""
    model = load(elsewhere(artifact, make_encoder(tmp_path / "other", seed=4)))
    assert "SHA-256 differs" in model.instead["reduced"]


def test_with_its_encoder_nothing_is_missing(artifact):
    """Then the artifact's own metadata hold."""
    assert load(artifact).instead == {}


@pytest.mark.parametrize("change", ["coefficients", "bias"])
def test_a_head_that_does_not_fit_is_refused(artifact, change):
    """A damaged model is no reason to answer by half of it."""
    arrays = {**artifact.arrays, f"encoder_{change}": np.array([[np.nan, 1.0]], dtype=np.float32)}
    with pytest.raises(BadArtifact):
        load(Artifact(artifact.type, arrays, artifact.meta))


def test_the_encoders_state_belongs_to_what_a_training_depends_on(folder, tmp_path):
    """A model kept from before isn't taken for one with the encoder of today."""
    kinds = [None, str(folder), str(make_encoder(tmp_path / "other", seed=4)), str(tmp_path / "nowhere")]
    prints = [CLASSIFIER.fingerprint(LinearSettings(encoder=each)) for each in kinds]
    assert prints[0] == ""
    assert len(set(prints)) == 4


def test_training_with_an_encoder_that_is_not_there_says_so(tmp_path):
    """Somebody asked for it: a model without it would be a surprise."""
    with pytest.raises(SignpostError, match="no encoder in"):
        taught(tmp_path / "nowhere")


def test_without_the_extra_everything_else_works(artifact, tmp_path):
    """Neither library is imported by a plain training or load; a model with an encoder is reduced, and says why."""
    save(artifact, tmp_path, {})
    code = (
        "import sys; from pathlib import Path; sys.modules['onnxruntime'] = sys.modules['tokenizers'] = None\n"
        "from classifiers import _artifact, linear\n"
        "from tests.unit.classifiers.samples import examples, silent, strangers\n"
        "linear.load(linear.train(examples(), strangers(), linear.LinearSettings(), silent))\n"
        "print(linear.load(_artifact.load(Path(sys.argv[1]))[0]).instead['reduced'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "pip install 'signpost-router[embed]'" in done.stdout


def test_a_share_mixes_margins():
    """Words and encoder count as said."""
    assert Share(2.0, 0.5).mixed(np.array([1.0, 2.0]), np.array([4.0, 0.0])).tolist() == [4.0, 4.0]


def test_an_empty_message_has_an_answer(artifact):
    """Neither expert knows anything, and both answer."""
    (answer,) = load(artifact).predict([ModelInput(subject="", body="", language="en")])
    assert sum(share for _label, share in answer.ranking) == pytest.approx(1)
