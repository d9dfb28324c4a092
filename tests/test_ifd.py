"""IFD of tiny models and of the real SmolLM2 against one text at a time, and what is remembered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from rbic_hf import cached, demo
from rbic_hf.errors import ModelError
from rbic_hf.probers import ifd as ifd_module
from rbic_hf.probers.ifd import IfdScorer
from rbic_hf.probers.loading import load_model
from rbic_hf.store import Store

TEMPLATE = "{% for m in messages %}<user> {{ m['content'] }} {% endfor %}<bot>"
WORDS = ["<unk>", "<s>", "<user>", "<bot>", *"abcdefghijklmnopqrstuvwxyz"]


def tiny_model(folder: Path, *, template: str | None = TEMPLATE, bos: str | None = "<s>") -> Path:
    """Write a random language model that knows the letters as words."""
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token=bos)
    fast.chat_template = template
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.6,  # so that contexts matter to a model that was never trained
        bos_token_id=1,
        eos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def scorer_of(folder: Path, **options: Any) -> IfdScorer:
    return IfdScorer(folder, name="tiny", revision="1", device="cpu", **options)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def mean_nll(model: Any, context: list[int], scored: list[int]) -> float:
    """Return the mean negative log-likelihood of `scored`, a token at a time."""
    logits = model(torch.tensor([context + scored])).logits[0].double().detach()
    probabilities = torch.softmax(logits, dim=-1)
    steps = range(len(context), len(context) + len(scored))
    losses = [-math.log(probabilities[i - 1, (context + scored)[i]]) for i in steps]
    return sum(losses) / len(losses)


def ids(text: str) -> list[int]:
    return [WORDS.index(word) if word in WORDS else 0 for word in text.split()]


QUESTIONS = ["a b c", "x", "q w e r t y u i o p", "a b c"]
RESPONSES = ["d e f g", "y", "a s d f g h j k l z x c v b n m", "f"]


@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_ifd_is_the_ratio_of_two_perplexities_whatever_the_batch(tiny, batch_size) -> None:
    model = load_model(str(tiny), "cpu", what="it")
    expected = [
        math.exp(mean_nll(model, ids(f"<user> {q} <bot>"), ids(r)))
        / math.exp(mean_nll(model, ids("<s>"), ids(r)))
        for q, r in zip(QUESTIONS, RESPONSES, strict=True)
    ]
    found = scorer_of(tiny, batch_size=batch_size).score(QUESTIONS, RESPONSES)
    assert found.tolist() == pytest.approx(expected, rel=0.02)  # the model is in bfloat16
    assert np.ptp(found) > 0.1


def test_shuffled_rows_get_their_own_scores(tiny) -> None:
    scorer = scorer_of(tiny, batch_size=3)
    found = scorer.score(QUESTIONS, RESPONSES)
    backwards = scorer.score(QUESTIONS[::-1], RESPONSES[::-1])
    assert backwards[::-1].tolist() == pytest.approx(found.tolist(), rel=0.02)


def test_long_batches_are_split_and_logits_read_in_blocks(tiny, monkeypatch) -> None:
    whole = scorer_of(tiny).score(QUESTIONS, RESPONSES)
    monkeypatch.setattr(ifd_module, "MAX_TOKENS_CPU", 20)
    monkeypatch.setattr(ifd_module, "BLOCK", 3)
    scorer = scorer_of(tiny)
    sizes = [3, 30, 9, 9, 2]
    assert list(scorer._batches(sizes)) == [[1], [2, 3], [0, 4]]
    assert scorer.score(QUESTIONS, RESPONSES).tolist() == pytest.approx(whole.tolist(), rel=0.02)


def test_without_a_template_the_prompt_is_plain_text_after_the_begin_of_text(tmp_path) -> None:
    folder = tiny_model(tmp_path, template=None)
    model = load_model(str(folder), "cpu", what="it")
    given = mean_nll(model, ids("<s> a b c"), ids("d e f g"))
    alone = mean_nll(model, ids("<s>"), ids("d e f g"))
    [found] = scorer_of(folder).score(["a b c"], ["d e f g"])
    assert found == pytest.approx(math.exp(given - alone), rel=0.02)


def test_without_a_begin_of_text_the_first_token_is_scored_in_neither_term(tmp_path) -> None:
    folder = tiny_model(tmp_path, bos=None)
    model = load_model(str(folder), "cpu", what="it")
    given = mean_nll(model, ids("<user> a b c <bot> d"), ids("e f g"))
    alone = mean_nll(model, ids("d"), ids("e f g"))
    found = scorer_of(folder).score(["a b c", "a"], ["d e f g", "d"])
    assert found[0] == pytest.approx(math.exp(given - alone), rel=0.02)
    assert np.isnan(found[1])


def test_a_long_response_is_cut_to_the_window_in_both_terms(tiny) -> None:
    scorer = scorer_of(tiny, max_tokens=10)
    long, cut, shorter = scorer.score(["a b"] * 3, ["c d e f g h i j k l", "c d e f g h", "c d e"])
    assert long == pytest.approx(cut, rel=1e-6)
    assert shorter != pytest.approx(cut, rel=1e-3)


def test_the_window_of_the_model_is_never_exceeded(tiny) -> None:
    found = scorer_of(tiny, max_tokens=5000).score(["a"] * 2, ["b c " * 4000, "b c " * 40])
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.parametrize(
    ("question", "response"),
    [("a b", ""), ("a b", "  \n"), ("a " * 62, "b"), ("a " * 9999, "b"), ("", "")],
)
def test_what_cannot_be_scored_is_nan_and_its_neighbours_are_not(tiny, question, response) -> None:
    scorer = scorer_of(tiny)
    found = scorer.score(["a b", question, "x"], ["c d", response, "y"])
    assert np.isnan(found).tolist() == [False, True, False]
    assert found[0] == pytest.approx(scorer.score(["a b"], ["c d"])[0], rel=0.02)


def test_a_prompt_that_leaves_one_token_is_scored(tiny) -> None:
    assert np.isfinite(scorer_of(tiny).score(["a " * 61], ["b c"])).all()


def test_nothing_to_score_loads_no_weights(tiny, monkeypatch) -> None:
    monkeypatch.setattr(ifd_module, "load_model", None)
    assert scorer_of(tiny).score([], []).tolist() == []
    assert np.isnan(scorer_of(tiny).score(["a"], [""])).all()


def test_unknown_words_and_chinese_are_scored_too(tiny) -> None:
    assert np.isfinite(
        scorer_of(tiny).score(["小明有三个苹果", "\x00 é"], ["答案 是 3", "🙂"])
    ).all()


def test_the_spec_names_what_changes_the_score_and_nothing_else(tiny, tmp_path) -> None:
    spec = scorer_of(tiny).spec
    assert spec == scorer_of(tiny, batch_size=3).spec
    assert spec != scorer_of(tiny, max_tokens=9).spec
    assert spec == {"ifd": "tiny", "revision": "1", "max_tokens": 1024, "version": 1}
    unnamed = IfdScorer(tiny, name="tiny", revision="")
    assert unnamed.spec["revision"].startswith("local-")


def test_a_folder_without_a_model_is_an_error_that_names_it(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"cannot load the \w+ 'tiny'"):
        scorer_of(tmp_path).score(["a"], ["b"])
    only_tokens = tiny_model(tmp_path / "no-weights")
    (only_tokens / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot load the model 'tiny' for IFD: "):
        scorer_of(only_tokens).score(["a"], ["b"])


class LengthScorer:
    """Scores by length, NaN for nothing; fails when it meets `poison`. Notes what it is asked."""

    spec = {"ifd": "lengths"}

    def __init__(self, poison: str | None = None) -> None:
        self.poison = poison
        self.asked: list[str] = []

    def score(self, questions: Sequence[str], responses: Sequence[str]) -> np.ndarray:
        if self.poison in responses:
            raise KeyboardInterrupt
        self.asked += responses
        pairs = zip(questions, responses, strict=True)
        return np.array([len(r) / len(q) if r else math.nan for q, r in pairs])


def test_scores_follow_the_keys_and_unknown_ones_are_remembered_too(tmp_path, capsys) -> None:
    first = LengthScorer()
    keys, questions, responses = ["k1", "k2", "k3", "k1"], ["ab"] * 4, ["a", "", "abcd", "a"]
    found = cached.ifd(first, Store(tmp_path), keys, questions, responses)
    np.testing.assert_array_equal(found, [0.5, math.nan, 2.0, 0.5])
    assert first.asked == ["abcd", "a", ""]
    assert "Scoring IFD" in capsys.readouterr().err
    second = LengthScorer()
    again = cached.ifd(second, Store(tmp_path), keys[::-1], questions, responses[::-1])
    np.testing.assert_array_equal(again, found[::-1])
    assert second.asked == []
    assert capsys.readouterr().err == ""
    assert cached.ifd(second, Store(tmp_path), [], [], []).tolist() == []


def test_a_stopped_run_goes_on_where_it_was(tmp_path) -> None:
    responses = ["a" * i for i in range(1, 200)]
    keys, questions = [f"k{r}" for r in responses], ["ab"] * len(responses)
    stopped = LengthScorer(poison="a" * 40)
    with pytest.raises(KeyboardInterrupt):
        cached.ifd(stopped, Store(tmp_path), keys, questions, responses)
    later = LengthScorer()
    found = cached.ifd(later, Store(tmp_path), keys, questions, responses)
    assert found.tolist() == [len(r) / 2 for r in responses]
    assert stopped.asked
    assert sorted(stopped.asked + later.asked) == sorted(responses)


@pytest.fixture(scope="module")
def smollm() -> IfdScorer:
    _, folder = demo.packaged_models()
    return IfdScorer(folder, name="SmolLM2", revision="packaged", max_tokens=160)


REAL = [
    ("What is 7 times 8?", "7 times 8 is 56."),
    ("小明有3个苹果，又买了5个，一共有几个？", "3 + 5 = 8，所以小明一共有8个苹果。"),
    (
        "Tom has 4 red balls and 9 blue ones. He gives away 5. How many are left?",
        "He has 4 + 9 = <<4+9=13>>13 balls. After that he has 13 - 5 = <<13-5=8>>8.\n#### 8",
    ),
]


@pytest.mark.models
def test_ifd_of_smollm_is_that_of_one_text_at_a_time(smollm: IfdScorer) -> None:
    found = smollm.score([q for q, _ in REAL], [r for _, r in REAL])
    model, tokenizer = smollm._load(), smollm._tokens().tokenizer
    for (question, response), score in zip(REAL, found, strict=True):
        answer = tokenizer(response, add_special_tokens=False)["input_ids"]
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
        )
        given = mean_nll(model, prompt, answer)
        alone = mean_nll(model, [tokenizer.bos_token_id], answer)
        assert score == pytest.approx(math.exp(given) / math.exp(alone), rel=0.03)


@pytest.mark.models
def test_smollm_finds_a_copied_response_easier_than_an_unrelated_one(smollm: IfdScorer) -> None:
    question = REAL[2][0]
    copied, unrelated, empty, long = smollm.score(
        [question] * 4, [question, REAL[1][1], "", "the sea is blue and " * 2000]
    )
    assert copied < 0.5 < unrelated
    assert np.isnan(empty)
    assert 0 < long < 2
