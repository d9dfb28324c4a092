"""Terms of tiny models and of SmolLM2 against one text at a time, and what is remembered."""

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
from rbic_hf.probers import likelihood
from rbic_hf.probers.likelihood import Likelihoods, LikelihoodScorer, Passage
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


def scorer_of(folder: Path, **options: Any) -> LikelihoodScorer:
    return LikelihoodScorer(folder, name="tiny", revision="1", device="cpu", **options)


def ifd_of(scorer: LikelihoodScorer, questions: list[str], responses: list[str]) -> np.ndarray:
    pairs = zip(questions, responses, strict=True)
    return scorer.score([Passage(q, r, len(r), None) for q, r in pairs]).ifd


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
    found = ifd_of(scorer_of(tiny, batch_size=batch_size), QUESTIONS, RESPONSES)
    assert found.tolist() == pytest.approx(expected, rel=0.02)  # the model is in bfloat16
    assert np.ptp(found) > 0.1


def test_shuffled_rows_get_their_own_scores(tiny) -> None:
    scorer = scorer_of(tiny, batch_size=3)
    found = ifd_of(scorer, QUESTIONS, RESPONSES)
    backwards = ifd_of(scorer, QUESTIONS[::-1], RESPONSES[::-1])
    assert backwards[::-1].tolist() == pytest.approx(found.tolist(), rel=0.02)


def test_long_batches_are_split_and_logits_read_in_blocks(tiny, monkeypatch) -> None:
    whole = ifd_of(scorer_of(tiny), QUESTIONS, RESPONSES)
    monkeypatch.setattr(likelihood, "MAX_TOKENS_CPU", 20)
    monkeypatch.setattr(likelihood, "BLOCK", 3)
    scorer = scorer_of(tiny)
    sizes = [3, 30, 9, 9, 2]
    assert list(scorer._batches(sizes)) == [[1], [2, 3], [0, 4]]
    assert ifd_of(scorer, QUESTIONS, RESPONSES).tolist() == pytest.approx(whole.tolist(), rel=0.02)


def test_without_a_template_the_prompt_is_plain_text_after_the_begin_of_text(tmp_path) -> None:
    folder = tiny_model(tmp_path, template=None)
    model = load_model(str(folder), "cpu", what="it")
    given = mean_nll(model, ids("<s> a b c"), ids("d e f g"))
    alone = mean_nll(model, ids("<s>"), ids("d e f g"))
    [found] = ifd_of(scorer_of(folder), ["a b c"], ["d e f g"])
    assert found == pytest.approx(math.exp(given - alone), rel=0.02)


def test_without_a_begin_of_text_the_first_token_is_scored_in_neither_term(tmp_path) -> None:
    folder = tiny_model(tmp_path, bos=None)
    model = load_model(str(folder), "cpu", what="it")
    given = mean_nll(model, ids("<user> a b c <bot> d"), ids("e f g"))
    alone = mean_nll(model, ids("d"), ids("e f g"))
    found = ifd_of(scorer_of(folder), ["a b c", "a"], ["d e f g", "d"])
    assert found[0] == pytest.approx(math.exp(given - alone), rel=0.02)
    assert np.isnan(found[1])


def test_a_long_response_is_cut_to_the_window_in_both_terms(tiny) -> None:
    scorer = scorer_of(tiny, max_tokens=10)
    long, cut, shorter = ifd_of(
        scorer, ["a b"] * 3, ["c d e f g h i j k l", "c d e f g h", "c d e"]
    )
    assert long == pytest.approx(cut, rel=1e-6)
    assert shorter != pytest.approx(cut, rel=1e-3)


def test_the_window_of_the_model_is_never_exceeded(tiny) -> None:
    found = ifd_of(scorer_of(tiny, max_tokens=5000), ["a"] * 2, ["b c " * 4000, "b c " * 40])
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.parametrize(
    ("question", "response"),
    [("a b", ""), ("a b", "  \n"), ("a " * 62, "b"), ("a " * 9999, "b"), ("", "")],
)
def test_what_cannot_be_scored_is_nan_and_its_neighbours_are_not(tiny, question, response) -> None:
    scorer = scorer_of(tiny)
    found = ifd_of(scorer, ["a b", question, "x"], ["c d", response, "y"])
    assert np.isnan(found).tolist() == [False, True, False]
    assert found[0] == pytest.approx(ifd_of(scorer, ["a b"], ["c d"])[0], rel=0.02)


def test_a_prompt_that_leaves_one_token_is_scored(tiny) -> None:
    assert np.isfinite(ifd_of(scorer_of(tiny), ["a " * 61], ["b c"])).all()


def test_nothing_to_score_loads_no_weights(tiny, monkeypatch) -> None:
    monkeypatch.setattr(likelihood, "load_model", None)
    assert ifd_of(scorer_of(tiny), [], []).tolist() == []
    assert np.isnan(ifd_of(scorer_of(tiny), ["a"], [""])).all()


def test_unknown_words_and_chinese_are_scored_too(tiny) -> None:
    assert np.isfinite(
        ifd_of(scorer_of(tiny), ["小明有三个苹果", "\x00 é"], ["答案 是 3", "🙂"])
    ).all()


def test_the_spec_names_what_changes_the_score_and_nothing_else(tiny, tmp_path) -> None:
    spec = scorer_of(tiny).spec
    assert spec == scorer_of(tiny, batch_size=3).spec
    assert spec != scorer_of(tiny, max_tokens=9).spec
    assert spec != scorer_of(tiny, hes_share=0.2).spec
    assert spec == {
        "proxy": "tiny",
        "revision": "1",
        "max_tokens": 1024,
        "hes_share": 0.005,
        "version": 1,
    }
    unnamed = LikelihoodScorer(tiny, name="tiny", revision="")
    assert unnamed.spec["revision"].startswith("local-")


def test_a_folder_without_a_model_is_an_error_that_names_it(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"cannot load the \w+ 'tiny'"):
        ifd_of(scorer_of(tmp_path), ["a"], ["b"])
    only_tokens = tiny_model(tmp_path / "no-weights")
    (only_tokens / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot load the model 'tiny' that reads the responses: "):
        ifd_of(scorer_of(only_tokens), ["a"], ["b"])


# --- the answer gain --------------------------------------------------------------------------

ASKED = [
    Passage("a b c", "d e f g", 4, "g"),  # after "d e"
    Passage("x", "y", 0, "y"),  # no reasoning: no gain
    Passage("q w e r t y u i o p", "a s d f g h j k l z x c v b n m", 9, "n m"),
    Passage("a b c", "f", 1, "f"),  # the whole response is read
    Passage("a", "b c", 2, None),
    Passage("a", "b c", 2, " \n"),
]
CUE = [0, 0, 0]  # "The answer is": the tiny model knows none of the words


def expected_gain(model: Any, passage: Passage) -> float:
    if not (passage.answer or "").strip():
        return math.nan
    prompt = ids(f"<user> {passage.question} <bot>") + CUE
    reasoning = ids(passage.response[: passage.reasoning])
    after = ids(f"<user> {passage.question} <bot>") + reasoning + CUE
    answer = ids(str(passage.answer))
    return mean_nll(model, prompt, answer) - mean_nll(model, after, answer)


@pytest.mark.parametrize("batch_size", [None, 1, 3])
@pytest.mark.parametrize("reads_on", [True, False])
def test_the_gain_is_what_reasoning_adds_per_token_of_the_answer(
    tiny, batch_size, reads_on, monkeypatch
) -> None:
    if not reads_on:  # as with recurrent layers: each answer is a text of its own
        monkeypatch.setattr(likelihood, "_can_read_on", lambda model: False)
    model = load_model(str(tiny), "cpu", what="it")
    found = scorer_of(tiny, batch_size=batch_size).score(ASKED)
    expected = [expected_gain(model, passage) for passage in ASKED]
    assert found.answer_gain.tolist() == pytest.approx(expected, abs=0.03, nan_ok=True)
    assert found.answer_gain[1] == 0
    assert np.nanmax(np.abs(expected)) > 0.5
    assert found.answer_tokens[:4].tolist() == [1, 1, 2, 1]
    assert np.isnan(found.answer_tokens[4:]).all()
    assert np.isfinite(found.ifd).all() and np.isfinite(found.entropy).all()


def test_reading_answers_changes_neither_of_the_other_terms(tiny) -> None:
    asked = scorer_of(tiny).score(ASKED)
    silent = scorer_of(tiny).score([passage._replace(answer=None) for passage in ASKED])
    np.testing.assert_allclose(asked.ifd, silent.ifd, rtol=0.02)
    np.testing.assert_allclose(asked.entropy, silent.entropy, rtol=0.02)


def test_what_stands_after_the_reasoning_is_not_seen_by_the_answer(tiny) -> None:
    told = Passage("a b", "c d e f", 4, "f")  # tokens c and d
    other = told._replace(response="c d x y z f f f")
    found = scorer_of(tiny).score([told, other]).answer_gain
    assert found[0] == pytest.approx(found[1], abs=0.02)
    more = scorer_of(tiny).score([told._replace(reasoning=8)]).answer_gain
    assert abs(found[0] - more[0]) > 0.05


def test_one_reading_serves_ifd_entropy_and_gain(tiny, monkeypatch) -> None:
    scorer = scorer_of(tiny)
    read = []
    forward = LlamaForCausalLM.forward

    def counted(self: Any, input_ids: Any, **arguments: Any) -> Any:
        read.append(tuple(input_ids.shape))
        return forward(self, input_ids, **arguments)

    scorer._load()
    monkeypatch.setattr(LlamaForCausalLM, "forward", counted)
    scorer.score([Passage("a b c", "d e f g", 4, "g")])
    # question and response, and the response alone, are a batch; then the answer, twice
    assert read == [(2, 3 + 2 + 4), (2, 3 + 1), (2, 3 + 1)]


@pytest.mark.parametrize(
    "passage",
    [
        Passage("a b", "c " * 80, 150, "c"),  # the reasoning is cut by the window of 64
        Passage("a b", "c d", 2, "e " * (likelihood.MAX_ANSWER_TOKENS + 1)),
        Passage("a b", "c d", 2, "e " * 60),  # with prompt and cue longer than the window
    ],
)
def test_an_answer_that_does_not_fit_has_no_gain_and_its_neighbours_have(tiny, passage) -> None:
    found = scorer_of(tiny).score([ASKED[0], passage])
    assert np.isnan(found.answer_gain).tolist() == [False, True]
    assert np.isfinite(found.ifd).all()


def test_the_words_before_a_chinese_answer_are_chinese(tiny, monkeypatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(likelihood, "_ids", lambda t, text: seen.append(text) or [4])
    scorer_of(tiny)._asked(Passage("a", "b", 0, "5", "zh"), 1, 1, 60)
    scorer_of(tiny)._asked(Passage("a", "b", 0, "5", "other"), 1, 1, 60)
    assert seen[:2] == ["5", "\n\n答案是"] and seen[2:4] == [" 5", "\n\nThe answer is"]


# --- entropy ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entropies", "share", "total"),
    [
        ([1.0, 3.0, 2.0], 0.005, 3.0),
        ([1.0, 3.0, 2.0], 1 / 3, 3.0),
        ([1.0, 3.0, 2.0], 0.34, 5.0),
        ([1.0, 3.0, 2.0], 1.0, 6.0),
        ([float(i) for i in range(400)], 0.005, 399 + 398),
        ([float(i) for i in range(401)], 0.005, 400 + 399 + 398),
        ([], 0.5, 0.0),
    ],
)
def test_the_highest_entropies_are_summed(entropies, share, total) -> None:
    assert likelihood.high_entropy_sum(np.array(entropies), share) == pytest.approx(total)


@pytest.mark.parametrize("share", [0.005, 0.3, 1.0])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_entropy_is_that_of_the_models_predictions_a_token_at_a_time(
    tiny, share, batch_size
) -> None:
    model = load_model(str(tiny), "cpu", what="it")
    found = scorer_of(tiny, hes_share=share, batch_size=batch_size).score(ASKED).entropy
    for passage, one in zip(ASKED, found, strict=True):
        prompt, response = ids(f"<user> {passage.question} <bot>"), ids(passage.response)
        entropies = []
        for i in range(len(response)):
            logits = model(torch.tensor([prompt + response[:i]])).logits[0, -1].double().detach()
            p = torch.softmax(logits, dim=-1).tolist()
            entropies.append(-sum(x * math.log(x) for x in p if x > 0))
        top = sorted(entropies, reverse=True)[: math.ceil(share * len(entropies))]
        assert one == pytest.approx(sum(top), rel=0.02)
    assert np.ptp(found) > 0.05


# --- what is remembered -----------------------------------------------------------------------


class LengthScorer:
    """Scores by length, NaN for nothing; fails when it meets `poison`. Notes what it is asked."""

    spec = {"proxy": "lengths"}

    def __init__(self, poison: str | None = None) -> None:
        self.poison = poison
        self.asked: list[str] = []

    def score(self, passages: Sequence[Passage]) -> Likelihoods:
        if self.poison in [p.response for p in passages]:
            raise KeyboardInterrupt
        self.asked += [p.response for p in passages]
        ratios = [len(p.response) / len(p.question) if p.response else math.nan for p in passages]
        ends = [float(p.reasoning) for p in passages]
        return Likelihoods(*(np.array(v) for v in (ratios, ends, ratios, ends)))


def passages_of(responses: Sequence[str]) -> list[Passage]:
    return [Passage("ab", response, len(response), "1") for response in responses]


def test_terms_follow_the_passages_and_unknown_ones_are_remembered_too(tmp_path, capsys) -> None:
    first, passages = LengthScorer(), passages_of(["a", "", "abcd", "a"])
    found = cached.likelihoods(first, Store(tmp_path), passages)
    np.testing.assert_array_equal(found.ifd, [0.5, math.nan, 2.0, 0.5])
    np.testing.assert_array_equal(found.entropy, [1, 0, 4, 1])
    assert first.asked == ["abcd", "a", ""]
    assert "Reading responses" in capsys.readouterr().err
    second = LengthScorer()
    again = cached.likelihoods(second, Store(tmp_path), passages[::-1])
    np.testing.assert_array_equal(again.ifd, found.ifd[::-1])
    assert second.asked == []
    assert capsys.readouterr().err == ""
    assert [len(term) for term in cached.likelihoods(second, Store(tmp_path), [])] == [0] * 4


def test_whatever_the_scorer_sees_is_in_the_key() -> None:
    one = Passage("q", "r", 0, "a", "en")
    others = [
        one._replace(question="x"), one._replace(response="x"), one._replace(reasoning=1),
        one._replace(answer="x"), one._replace(answer=None), one._replace(language="zh"),
    ]  # fmt: skip
    assert len(set(cached.passage_keys([one, *others]))) == 7


def test_a_stopped_run_goes_on_where_it_was(tmp_path) -> None:
    responses = ["a" * i for i in range(1, 200)]
    stopped = LengthScorer(poison="a" * 40)
    with pytest.raises(KeyboardInterrupt):
        cached.likelihoods(stopped, Store(tmp_path), passages_of(responses))
    later = LengthScorer()
    found = cached.likelihoods(later, Store(tmp_path), passages_of(responses))
    assert found.ifd.tolist() == [len(r) / 2 for r in responses]
    assert stopped.asked
    assert sorted(stopped.asked + later.asked) == sorted(responses)


@pytest.fixture(scope="module")
def smollm() -> LikelihoodScorer:
    _, folder = demo.packaged_models()
    return LikelihoodScorer(folder, name="SmolLM2", revision="packaged", max_tokens=160)


REAL = [
    ("What is 7 times 8?", "7 times 8 is 56."),
    ("小明有3个苹果，又买了5个，一共有几个？", "3 + 5 = 8，所以小明一共有8个苹果。"),
    (
        "Tom has 4 red balls and 9 blue ones. He gives away 5. How many are left?",
        "He has 4 + 9 = <<4+9=13>>13 balls. After that he has 13 - 5 = <<13-5=8>>8.\n#### 8",
    ),
]


@pytest.mark.models
def test_ifd_of_smollm_is_that_of_one_text_at_a_time(smollm: LikelihoodScorer) -> None:
    found = ifd_of(smollm, [q for q, _ in REAL], [r for _, r in REAL])
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
def test_smollm_finds_a_copied_response_easier_than_an_unrelated_one(
    smollm: LikelihoodScorer,
) -> None:
    question = REAL[2][0]
    copied, unrelated, empty, long = ifd_of(
        smollm, [question] * 4, [question, REAL[1][1], "", "the sea is blue and " * 2000]
    )
    assert copied < 0.5 < unrelated
    assert np.isnan(empty)
    assert 0 < long < 2


@pytest.mark.models
def test_the_gain_of_smollm_is_that_of_texts_written_out(smollm: LikelihoodScorer) -> None:
    passages = [
        Passage(q, r, end, a, lang)
        for (q, r), end, a, lang in zip(
            REAL,
            (0, REAL[1][1].index("所"), REAL[2][1].index("After")),
            ("56", "8", "8"),
            ("en", "zh", "en"),
            strict=True,
        )
    ]
    found = smollm.score(passages).answer_gain
    model, tokenizer = smollm._load(), smollm._tokens().tokenizer
    for passage, gain in zip(passages, found, strict=True):
        cue = "\n\n答案是" if passage.language == "zh" else "\n\nThe answer is"
        answer = ("" if passage.language == "zh" else " ") + str(passage.answer)
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": passage.question}],
            add_generation_prompt=True,
            return_dict=False,
        )

        def tokens(text: str) -> list[int]:
            return list(tokenizer(text, add_special_tokens=False)["input_ids"])

        # the space before a word is part of its token, which is not read
        reasoning = tokens(passage.response[: passage.reasoning].rstrip(" "))
        at_once = mean_nll(model, prompt + tokens(cue), tokens(answer))
        after = mean_nll(model, prompt + reasoning + tokens(cue), tokens(answer))
        assert gain == pytest.approx(at_once - after, abs=0.1)
    assert found[0] == 0
