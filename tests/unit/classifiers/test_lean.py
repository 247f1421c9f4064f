"""The lean scorer gives what scikit-learn's own pipeline gives."""

from __future__ import annotations

import threading
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.svm import LinearSVC

from classifiers._corpus import load_corpus
from classifiers._lean import NONE, LeanScorer, WordTerms, _counted, pack_terms, unpack_terms
from classifiers._ngrams import char_ngrams, folded, word_ngrams, words
from classifiers._trainer import TOLERANCE
from classifiers.linear import LinearSettings, load, train
from router.interfaces import Example, ModelInput
from tests.unit.classifiers.samples import TOPICS, examples, silent

TOKEN = r"(?u)</?s>|\w+"


def marked(model_input: ModelInput) -> str:
    """Write a message as scikit-learn's own word analyzer needs it: words and sentence marks in one text."""
    return " ".join(f"<s> {' '.join(field)} </s>" for field in words(model_input))


def plain(model_input: ModelInput) -> str:
    return " ".join(" ".join(field) for field in words(model_input))


@given(st.lists(st.text(alphabet=st.characters(categories=["L", "Nd"]), min_size=1, max_size=12), max_size=8))
def test_n_grams_are_those_of_scikit_learn(said: list[str]) -> None:
    """Words, pairs with sentence marks, and `char_wb` n-grams equal those of CountVectorizer's analyzers."""
    model_input = ModelInput(subject=" ".join(said[:2]), body=" ".join(said[2:]))
    word = CountVectorizer(lowercase=False, token_pattern=TOKEN, ngram_range=(1, 2)).build_analyzer()
    char = CountVectorizer(lowercase=False, analyzer="char_wb", ngram_range=(2, 5)).build_analyzer()
    fields = words(model_input)
    assert sorted(word_ngrams(fields)) == sorted(word(marked(model_input)))
    assert sorted(gram for field in fields for word in field for gram in char_ngrams(word)) == sorted(
        char(plain(model_input))
    )


_SOME_WORDS = st.lists(st.sampled_from(["bus", "late", "ana", "ñandú", "7"]), max_size=6)


@given(st.lists(_SOME_WORDS, max_size=3), st.randoms(use_true_random=False))
def test_rows_of_words_and_pairs_are_those_of_the_vocabulary(said: list[list[str]], rng: Random) -> None:
    """Whatever part of the words and pairs a model knows: each has its row there, and no other has one."""
    grams = word_ngrams([*said, ["bus", "late", "bus"]])
    known = rng.sample(sorted(set(grams)), rng.randrange(len(set(grams)) + 1))
    rows = {term: number for number, term in enumerate(known, start=5)}
    terms = WordTerms(rows)
    assert terms.rows(said).tolist() == [rows.get(gram, NONE) for gram in word_ngrams(said)]
    assert {word for field in said for word in field if terms.knows(word)} == {
        word for field in said for word in field if word in rows
    }


@given(st.lists(st.integers(0, 9), max_size=30))
def test_rows_are_counted_as_numpy_does(every: list[int]) -> None:
    """Distinct rows in order, and how often each occurs; of nothing, nothing."""
    rows, counts = _counted(np.array(every, dtype=np.int32))
    wanted = np.unique(np.array(every, dtype=np.int32), return_counts=True)
    assert (rows.tolist(), counts.tolist()) == tuple(each.tolist() for each in wanted)


def test_accents_fold_as_in_scikit_learn() -> None:
    """Spanish with and without accents reads the same."""
    fold = CountVectorizer(strip_accents="unicode").build_preprocessor()
    for text in ("Autobús MAÑANA ¿Qué?", "plain ASCII", "Việt Nam", "ﬁn"):
        assert folded(text) == fold(text)


def native_pipeline(settings: LinearSettings, tolerance: float = 1e-7) -> object:
    """Return the same pipeline built from scikit-learn's own parts."""
    blocks = [
        ("word", TfidfVectorizer(preprocessor=marked, token_pattern=TOKEN, ngram_range=(1, 2), sublinear_tf=True)),
        ("char", TfidfVectorizer(preprocessor=plain, analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)),
    ]
    for _name, block in blocks:
        block.set_params(min_df=2, lowercase=False)
    union = FeatureUnion(blocks, transformer_weights={"word": settings.word_weight or 1.0, "char": 1.0})
    return make_pipeline(
        union, LinearSVC(C=settings.c, class_weight="balanced", random_state=0, tol=tolerance, max_iter=10**5)
    )


def known_rows() -> list[Example]:
    """Return rows of five departments of the bundled corpus, or invented ones where it isn't there."""
    corpus = [replace(row, weight=1.0) for row in load_corpus().examples() if row.department < "e"]
    return corpus[::2] if len(corpus) > 200 else examples(100)


@pytest.mark.filterwarnings("ignore:The parameter 'token_pattern' will not be used")
def test_labels_and_margins_equal_the_native_pipeline() -> None:
    """On every row the label is the same as scikit-learn's own, and margins differ by less than 1e-4."""
    rows = known_rows()
    settings = LinearSettings(c=0.5, word_weight=1.0, augment=False)
    native = native_pipeline(settings).fit([row.input for row in rows], [row.department for row in rows])
    union, svc = native.steps[0][1], native.steps[1][1]
    word, char = (part.vocabulary_ for _name, part in union.transformer_list)
    weights = np.repeat([settings.word_weight or 1.0, 1.0], [len(word), len(char)])[:, None]
    idf = np.concatenate([part.idf_ for _name, part in union.transformer_list])
    scorer = LeanScorer(
        {term: int(number) for term, number in word.items()},
        {term: int(number) for term, number in char.items()},
        idf.astype(np.float32),
        (svc.coef_.T * weights).astype(np.float32),
        svc.intercept_.astype(np.float32),
    )
    inputs = [row.input for row in (*rows, *examples(20))]
    lean = np.array([scorer.margins(model_input) for model_input in inputs])
    expected = native.decision_function(inputs)
    assert np.abs(lean - expected).max() < 1e-4
    assert (lean.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_training_gives_the_same_model_as_the_native_pipeline() -> None:
    """A model that was trained, packed and loaded answers as scikit-learn's own pipeline on the same rows."""
    rows = known_rows()
    settings = LinearSettings(c=0.5, bayes=0.0, word_weight=1.0, rarity=1.0, augment=False)
    native = native_pipeline(settings, TOLERANCE).fit([row.input for row in rows], [row.department for row in rows])
    model = load(train(rows, [], settings, silent))
    answers = model.predict([row.input for row in rows])
    expected = native.decision_function([row.input for row in rows])
    assert [answer.ranking[0][0] for answer in answers] == native.predict([row.input for row in rows]).tolist()
    assert np.abs([answer.score for answer in answers] - expected.max(axis=1)).max() < 5e-3  # the solver's tolerance


@pytest.mark.parametrize("body", ["", " ", "?!", "zzzzqqqq", "a", "x" * 5000, "é" * 300, "我的孩子今天生病了"])
def test_odd_texts_have_finite_margins(body: str) -> None:
    """Empty, unknown, endless and foreign texts are answered like any other."""
    model = load(train(examples(), [], LinearSettings(c=1.0), silent))
    (answer,) = model.predict([ModelInput(subject="", body=body)])
    assert sum(share for _label, share in answer.ranking) == pytest.approx(1)
    assert np.isfinite(answer.score)


def test_terms_survive_packing() -> None:
    """Terms with accents, marks and spaces come back under their numbers; none at all, too."""
    terms = ["<s> señor", "ñ", " a", "我的"]
    assert unpack_terms(pack_terms(terms)) == {term: number for number, term in enumerate(terms)}
    assert unpack_terms(pack_terms([])) == {}


def test_many_threads_get_the_same_answers() -> None:
    """The memo of words is shared by threads without changing an answer."""
    model = load(train(examples(), [], LinearSettings(c=1.0), silent))
    inputs = [row.input for row in examples(60, seed=5)]
    expected = model.predict(inputs)
    fresh = load(train(examples(), [], LinearSettings(c=1.0), silent))
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(fresh.predict(inputs) == expected), daemon=True)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert results == [True] * 4


def test_asking_about_urgency_first_changes_no_answer() -> None:
    """The features that are kept from one question for the next give the same answer, and aren't kept for longer."""
    scorer = load(train(examples(), [], LinearSettings(c=1.0), silent))._scorer
    column = np.ones(scorer.terms, dtype=np.float32)
    inputs = [replace(row.input, body=f"{row.input.body} {n}") for n, row in enumerate(examples(60, seed=5))]
    alone = [scorer.margins(model_input).tolist() for model_input in inputs]
    for model_input, expected in zip(inputs, alone, strict=True):
        scorer.margin(model_input, column)
        assert scorer.margins(model_input).tolist() == expected
    assert scorer._ahead == {}
    for n in range(1000):  # of whom nothing else is asked
        scorer.margin(ModelInput(subject="", body=f"bus {n}"), column)
    assert 0 < len(scorer._ahead) <= 256


def test_the_explanation_names_whole_words() -> None:
    """What spoke for a label are words of the message; the words of its topic come first."""
    model = load(train(examples(), [], LinearSettings(c=1.0), silent))
    message = ModelInput(subject="", body="Hola, when is the Autobús at the parada?")
    reasons = model.explain(message, "bus", most=4)
    assert {word for word, _weight in reasons[:2]} == {"autobus", "parada"}
    assert all(weight > 0 for _word, weight in reasons[:2])
    assert [abs(weight) for _word, weight in reasons] == sorted((abs(w) for _word, w in reasons), reverse=True)
    against = dict(model.explain(message, "lunch", most=20))
    assert against["autobus"] < 0
    assert set(against) <= {"hola", "when", "is", "the", "autobus", "at", "parada"}
    assert model.explain(replace(message, body=""), "bus") == []


def test_the_explanation_adds_up_to_the_lead() -> None:
    """The words' weights and the bias make up the label's margin less the mean of the others, sentence marks aside."""
    model = load(train(examples(), [], LinearSettings(c=1.0, word_weight=0), silent))
    random = Random(3)
    for label in TOPICS:
        words_said = " ".join(random.choices([word for topic in TOPICS.values() for word in topic], k=6))
        message = ModelInput(subject="", body=words_said)
        margins = model._scorer.margins(message) - model._scorer._bias  # the sum has no public face
        own = model.labels.index(label)
        lead = margins[own] - np.delete(margins, own).mean()
        assert sum(weight for _word, weight in model.explain(message, label, 50)) == pytest.approx(lead, abs=2e-3)
