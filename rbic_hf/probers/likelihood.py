"""What a small language model says of a response: three terms from few readings of it.

- IFD, instruction-following difficulty: exp(mean NLL of the response given the question) /
  exp(mean NLL of the response alone), the ratio of perplexities of Superfiltering (Li et al. 2024,
  arXiv 2402.00530). Cherry-LLM (Li et al. 2023, arXiv 2308.12032) introduced it; its code divides
  the mean NLLs themselves, which lie on the same side of 1 and order rows otherwise. Here both are
  taken over the same response tokens.
- Entropy, the high-entropy sum (HES; Li et al. 2026, arXiv 2605.22389): the sum of the entropies of
  the model's predictions over the `HES_SHARE` of the response's tokens where they are the highest.
  The paper sums .5 % of long chains of thought. A response of less than 200 tokens has its one
  highest entropy; from there on the sum grows with length.
- Answer gain: log p(answer | question, reasoning) - log p(answer | question), per token of the
  answer, with the same words before the answer ("The answer is"). The reasoning ends before it
  gives the answer (`reasoning.reasoning_end`). Formula of this project.

A response is read once after its question, and once alone. Both answers of the gain are read on top
of the first reading: they attend to the question and the reasoning, and the rest of it is masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rbic_hf.errors import ConfigError
from rbic_hf.model_folders import folder_revision
from rbic_hf.probers.chat_template import PromptTokens
from rbic_hf.probers.loading import best_device, load_model

if TYPE_CHECKING:
    import torch

VERSION = 1

Scores = npt.NDArray[np.float64]

HES_SHARE = 0.005  # of a response's tokens, rounded up: at least one
MAX_ANSWER_TOKENS = 64  # a longer answer is no final answer, and has no gain
CUES = {"zh": ("\n\n答案是", ""), "en": ("\n\nThe answer is", " ")}  # and what joins the answer

# Tokens of a batch, padding included: its logits, half precision over the whole vocabulary, are
# the largest thing in memory (2048 tokens of SmolLM2: 200 MB).
MAX_TOKENS_CPU, MAX_TOKENS_GPU = 2048, 8192
BLOCK = 256  # positions whose logits are in float32 at once


class Passage(NamedTuple):
    """A row as the scorer sees it.

    Attributes:
        question: what is asked.
        response: the whole response.
        reasoning: characters of the response that come before its answer.
        answer: the final answer; None: there is none, and no gain.
        language: "zh" or another; the words before the answer are in it.
    """

    question: str
    response: str
    reasoning: int
    answer: str | None
    language: str = "en"


class Likelihoods(NamedTuple):
    """What was found, one value per passage; NaN: not to be had.

    Attributes:
        ifd: (n,) ratio of perplexities, > 0; higher is less helped by its question, 1 is no help.
        entropy: (n,) high-entropy sum in nats, >= 0; higher is more uncertain.
        answer_gain: (n,) nats per token of the answer; higher: the reasoning helps more.
        answer_tokens: (n,) tokens of the answer; times the gain, the gain of the whole answer.
    """

    ifd: Scores
    entropy: Scores
    answer_gain: Scores
    answer_tokens: Scores


class _Asked(NamedTuple):
    """An answer that is read on top of a text: after its first `keep` tokens, and the cue."""

    keep: int
    cue: list[int]
    answer: list[int]


class _Text(NamedTuple):
    """Tokens that are read, the tokens after them that are scored, and answers on top of both."""

    context: list[int]
    scored: list[int]
    asked: tuple[_Asked, ...] = ()

    @property
    def size(self) -> int:
        return len(self.context) + len(self.scored)

    @property
    def tokens(self) -> list[int]:
        return self.context + self.scored


class _Read(NamedTuple):
    """What was read of a text: mean NLL, entropy at each token, mean NLL of each answer."""

    nll: float
    entropies: Scores
    answers: tuple[float, ...]


class LikelihoodScorer:
    """Reads responses with a causal language model in a local folder, loaded at the first text.

    A folder with a single .gguf file and no config.json is loaded as GGUF (extra `gguf`). The
    question is put into the model's chat template where it has one. The response alone follows the
    begin-of-text token; where the tokenizer has none, its first token is read and scored in
    no term.

    Args:
        folder: where the model lies.
        name: what the model is called in cache keys and messages.
        revision: commit or content hash, for the cache key; "": made from the folder's contents.
        max_tokens: most tokens of prompt and response; a longer response is cut in IFD and entropy,
            and reasoning that does not fit has no gain. None: 1024 on a CPU, 8192 on a GPU.
        batch_size: most texts read at once, two a row; None: 16 on a CPU, 64 on a GPU.
        device: "cuda", "mps", "cpu"; None: the best there is.
        hes_share: share of the response's tokens in the high-entropy sum, in (0, 1].
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str,
        revision: str,
        max_tokens: int | None = None,
        batch_size: int | None = None,
        device: str | None = None,
        hes_share: float = HES_SHARE,
    ) -> None:
        self._device = device
        if not 0 < hes_share <= 1:
            raise ConfigError(
                f"hes_share={hes_share!r} is not accepted; give a number > 0 and <= 1"
            )
        if max_tokens is not None and max_tokens < 1:
            raise ConfigError(f"max_tokens={max_tokens!r} is not accepted; give a number >= 1")
        self.spec: Mapping[str, Any] = {
            "proxy": name,
            "revision": revision or folder_revision(folder),
            "max_tokens": max_tokens or (1024 if self.device == "cpu" else 8192),
            "hes_share": hes_share,
            "version": VERSION,
        }
        self._folder = str(folder)
        self._batch_size = batch_size
        self._prompts: PromptTokens | None = None
        self._model: Any = None

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self._device or best_device()

    def score(self, passages: Sequence[Passage]) -> Likelihoods:
        """Return the terms of each passage.

        IFD and entropy are NaN where the response has no token, or the prompt leaves no room for
        one; the gain also where there is no answer, the answer is longer than `MAX_ANSWER_TOKENS`,
        or the reasoning does not fit.

        Raises:
            ModelError: the folder holds no such model.
        """
        found = Likelihoods(*(np.full(len(passages), np.nan) for _ in Likelihoods._fields))
        texts = {i: pair for i, p in enumerate(passages) if (pair := self._texts(p))}
        if not texts:
            return found
        read = self._read([text for pair in texts.values() for text in pair])
        for i, given, alone in zip(texts, read[0::2], read[1::2], strict=True):
            found.ifd[i] = np.exp(given.nll - alone.nll)
            found.entropy[i] = high_entropy_sum(given.entropies, self.spec["hes_share"])
            if given.answers:
                after_reasoning, at_once = given.answers
                found.answer_gain[i] = at_once - after_reasoning
                found.answer_tokens[i] = len(texts[i][0].asked[0].answer)
        return found

    def _texts(self, passage: Passage) -> tuple[_Text, _Text] | None:
        """Return the response after its question, and alone; None: nothing can be scored."""
        tokenizer = self._tokens().tokenizer
        prompt = self._prompt(passage.question)
        longest = self._tokens().longest + 1
        response = _ids(tokenizer, passage.response)[: max(longest - len(prompt), 0)]
        bos = tokenizer.bos_token_id
        start, scored = ([bos], response) if bos is not None else (response[:1], response[1:])
        if not scored:
            return None
        given = prompt if bos is not None else prompt + start
        asked = self._asked(passage, len(prompt), len(response), longest)
        return _Text(given, scored, asked), _Text(start, scored)

    def _asked(
        self, passage: Passage, num_prompt: int, num_response: int, longest: int
    ) -> tuple[_Asked, ...]:
        """Return the answer after the reasoning, and after the question alone."""
        if not (passage.answer or "").strip():
            return ()
        tokenizer = self._tokens().tokenizer
        words, joint = CUES["zh" if passage.language == "zh" else "en"]
        answer = _ids(tokenizer, joint + str(passage.answer).strip()[: 20 * MAX_ANSWER_TOKENS])
        cue = _ids(tokenizer, words)
        reasoning = _num_whole_tokens(tokenizer, passage.response, passage.reasoning)
        is_cut = reasoning > num_response
        size = num_prompt + reasoning + len(cue) + len(answer)
        if is_cut or size > longest or not cue or not 0 < len(answer) <= MAX_ANSWER_TOKENS:
            return ()
        return _Asked(num_prompt + reasoning, cue, answer), _Asked(num_prompt, cue, answer)

    def _prompt(self, question: str) -> list[int]:
        tokens = self._tokens()
        prompt = tokens.of([{"role": "user", "content": question}])
        bos = tokens.tokenizer.bos_token_id
        return prompt if tokens.tokenizer.chat_template or bos is None else [bos, *prompt]

    def _read(self, texts: Sequence[_Text]) -> list[_Read]:
        """Return what is read of each text."""
        import torch

        model = self._load()
        if _can_read_on(model):
            whole = list(texts)
        else:  # answers become texts of their own
            whole = [text._replace(asked=()) for text in texts]
            whole += [
                _Text(text.tokens[: asked.keep] + asked.cue, asked.answer)
                for text in texts
                for asked in text.asked
            ]
        read: dict[int, _Read] = {}
        with torch.inference_mode():
            for places in self._batches([text.size for text in whole]):
                batch = _read_batch(model, [whole[i] for i in places])
                read.update(zip(places, batch, strict=True))
        apart = iter(read[i].nll for i in range(len(texts), len(whole)))
        return [
            read[i]._replace(answers=tuple(next(apart) for _ in text.asked))
            if len(whole) > len(texts)
            else read[i]
            for i, text in enumerate(texts)
        ]

    def _batches(self, sizes: Sequence[int]) -> Iterator[list[int]]:
        """Yield places of alike sizes, longest first: what does not fit into memory fails at once.

        The first of a batch is its longest, and how many fit is known from it.
        """
        on_cpu = self.device == "cpu"
        most_tokens = MAX_TOKENS_CPU if on_cpu else MAX_TOKENS_GPU
        most_texts = self._batch_size or (16 if on_cpu else 64)
        order = sorted(range(len(sizes)), key=lambda i: -sizes[i])
        while order:
            fitting = min(most_texts, max(1, most_tokens // sizes[order[0]]))
            yield order[:fitting]
            order = order[fitting:]

    def _tokens(self) -> PromptTokens:
        if self._prompts is None:
            self._prompts = PromptTokens(
                self._folder,
                name=self.spec["proxy"],
                max_new_tokens=1,
                max_prompt_tokens=self.spec["max_tokens"] - 1,
            )
        return self._prompts

    def _load(self) -> Any:
        if self._model is None:
            what = f"the model {self.spec['proxy']!r} that reads the responses"
            self._model = load_model(self._folder, self.device, what=what)
        return self._model


def high_entropy_sum(entropies: Scores, share: float) -> float:
    """Return the sum of the `share` highest of a response's token entropies, in nats.

    Of n tokens they are n * share, rounded up; 0 for no token.
    """
    count = int(np.ceil(len(entropies) * share))
    return float(np.sort(entropies)[len(entropies) - count :].sum())


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _num_whole_tokens(tokenizer: Any, text: str, num_chars: int) -> int:
    """Return how many of the text's tokens lie in its first `num_chars` characters."""
    if not getattr(tokenizer, "is_fast", False):  # it cannot say where a token lies
        return len(_ids(tokenizer, text[:num_chars]))
    found = tokenizer(text, add_special_tokens=False, verbose=False, return_offsets_mapping=True)
    ends = [end for _, end in found["offset_mapping"]]
    return next((i for i, end in enumerate(ends) if end > num_chars), len(ends))


def _can_read_on(model: Any) -> bool:
    """Return whether answers can be read on top of a text: a plain cache of every position.

    Recurrent layers and sliding windows do not keep what a mask could choose from.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    layers = DynamicCache(config=model.config).layers
    return not model._is_stateful and all(type(layer) is DynamicLayer for layer in layers)


def _read_batch(model: Any, texts: Sequence[_Text]) -> list[_Read]:
    """Return what is read of each text.

    Texts are padded at their end, where a causal model's earlier positions cannot see it: no mask
    is needed. The logits of position i are of token i + 1.
    """
    import torch

    longest = max(text.size for text in texts)
    rows = [text.tokens + [0] * (longest - text.size) for text in texts]  # any token pads
    first = min(len(text.context) for text in texts) - 1  # nothing before it is scored
    num_asked = max(len(text.asked) for text in texts)
    out = model(
        input_ids=torch.tensor(rows, device=model.device),
        use_cache=num_asked > 0,
        logits_to_keep=longest - first,
    )
    answers = [
        _read_on(model, out.past_key_values, [dict(enumerate(t.asked)).get(k) for t in texts])
        for k in range(num_asked)
    ]
    read = []
    for i, text in enumerate(texts):
        start = len(text.context) - 1 - first
        logits = out.logits[i, start : start + len(text.scored)]
        nll, entropies = _nll_and_entropies(logits, text.scored)
        read.append(_Read(nll, entropies, tuple(nlls[i] for nlls in answers[: len(text.asked)])))
    return read


def _read_on(model: Any, cache: Any, asked: Sequence[_Asked | None]) -> list[float]:
    """Return the mean NLL of each answer after what it keeps of the cached texts, and its cue.

    The rest of a text and its padding are masked; the cache is left as it was.
    """
    import torch

    wanted = [one or _Asked(0, [0], [0]) for one in asked]
    tokens = [one.cue + one.answer for one in wanted]
    width, size = cache.get_seq_length(), max(map(len, tokens))
    seen = torch.zeros(len(wanted), width + size, dtype=torch.long)
    positions = torch.zeros(len(wanted), size, dtype=torch.long)
    for i, (one, own) in enumerate(zip(wanted, tokens, strict=True)):
        seen[i, : one.keep] = 1
        seen[i, width:] = 1
        # padding stays inside the model's window
        positions[i] = one.keep + torch.arange(size).clamp(max=len(own) - 1)
    logits = model(
        input_ids=torch.tensor(
            [own + [0] * (size - len(own)) for own in tokens], device=model.device
        ),
        attention_mask=seen.to(model.device),
        position_ids=positions.to(model.device),
        past_key_values=cache,
        use_cache=True,
    ).logits
    cache.crop(-size)
    return [
        _nll_and_entropies(logits[i, len(one.cue) - 1 : len(tokens[i]) - 1], one.answer)[0]
        for i, one in enumerate(wanted)
    ]


def _nll_and_entropies(logits: torch.Tensor, tokens: list[int]) -> tuple[float, Scores]:
    """Return the mean NLL of `tokens`, (m,), under `logits`, (m, vocabulary), and entropies (m,).

    In float32, a block of positions at a time: the vocabulary makes a copy large.
    """
    import torch

    targets = torch.tensor(tokens, device=logits.device)
    total = 0.0
    entropies = []
    for start in range(0, len(tokens), BLOCK):
        block = slice(start, start + BLOCK)
        logp = torch.log_softmax(logits[block].float(), dim=-1)
        total -= float(logp.gather(1, targets[block, None]).sum())
        # a token that the model excludes has log p = -inf, and adds nothing
        entropies.append(-(logp.exp() * logp.clamp(min=-1e4)).sum(-1))
    return total / len(tokens), torch.cat(entropies).double().cpu().numpy()
