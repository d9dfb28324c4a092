"""Instruction-following difficulty: how little a question helps a small model with the response.

IFD = exp(mean NLL of the response given the question) / exp(mean NLL of the response alone), the
ratio of perplexities of Superfiltering (Li et al. 2024, arXiv 2402.00530). Cherry-LLM (Li et al.
2023, arXiv 2308.12032) introduced it; its code divides the mean NLLs themselves, which lie on the
same side of 1 and order rows otherwise. Here both terms are taken over the same response tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rbic_hf.model_folders import folder_revision
from rbic_hf.probers.chat_template import PromptTokens
from rbic_hf.probers.loading import best_device, load_model

if TYPE_CHECKING:
    import torch

VERSION = 1

Scores = npt.NDArray[np.float64]

# Tokens of a batch, padding included: its logits, half precision over the whole vocabulary, are
# the largest thing in memory (2048 tokens of SmolLM2: 200 MB).
MAX_TOKENS_CPU, MAX_TOKENS_GPU = 2048, 8192
BLOCK = 256  # positions whose logits are in float32 at once


class _Text(NamedTuple):
    """Tokens that are read, and the tokens after them that are scored."""

    context: list[int]
    scored: list[int]

    @property
    def size(self) -> int:
        return len(self.context) + len(self.scored)


class IfdScorer:
    """Scores responses with a causal language model in a local folder, loaded at the first text.

    A folder with a single .gguf file and no config.json is loaded as GGUF (extra `gguf`). The
    question is put into the model's chat template where it has one. The response alone follows the
    begin-of-text token; where the tokenizer has none, its first token is read and scored in
    neither term.

    Args:
        folder: where the model lies.
        name: what the model is called in cache keys and messages.
        revision: commit or content hash, for the cache key; "": made from the folder's contents.
        max_tokens: most tokens of prompt and response; a longer response is cut, in both terms.
        batch_size: most texts read at once, two a row; None: 16 on a CPU, 64 on a GPU.
        device: "cuda", "mps", "cpu"; None: the best there is.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str,
        revision: str,
        max_tokens: int = 1024,
        batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        self.spec: Mapping[str, Any] = {
            "ifd": name,
            "revision": revision or folder_revision(folder),
            "max_tokens": max_tokens,
            "version": VERSION,
        }
        self._folder = str(folder)
        self._batch_size = batch_size
        self._device = device
        self._prompts: PromptTokens | None = None
        self._model: Any = None

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self._device or best_device()

    def score(self, questions: Sequence[str], responses: Sequence[str]) -> Scores:
        """Return the IFD of each row, (n,), > 0: higher is harder to follow, 1 is no help at all.

        NaN where the response has no token, or the prompt leaves no room for one.

        Raises:
            ModelError: the folder holds no such model.
        """
        scores = np.full(len(questions), np.nan)
        pairs = zip(questions, responses, strict=True)
        texts = {row: both for row, pair in enumerate(pairs) if (both := self._texts(*pair))}
        if texts:
            nll = self._mean_nll([text for both in texts.values() for text in both])
            scores[list(texts)] = np.exp(nll[0::2] - nll[1::2])
        return scores

    def _texts(self, question: str, response: str) -> tuple[_Text, _Text] | None:
        """Return the response after its question, and alone; None: nothing can be scored."""
        tokenizer = self._tokens().tokenizer
        prompt = self._prompt(question)
        room = max(self._tokens().longest + 1 - len(prompt), 0)
        answer = tokenizer(response, add_special_tokens=False, verbose=False)["input_ids"][:room]
        bos = tokenizer.bos_token_id
        start, scored = ([bos], answer) if bos is not None else (answer[:1], answer[1:])
        if not scored:
            return None
        given = prompt if bos is not None else prompt + start
        return _Text(given, scored), _Text(start, scored)

    def _prompt(self, question: str) -> list[int]:
        tokens = self._tokens()
        prompt = tokens.of([{"role": "user", "content": question}])
        bos = tokens.tokenizer.bos_token_id
        return prompt if tokens.tokenizer.chat_template or bos is None else [bos, *prompt]

    def _mean_nll(self, texts: Sequence[_Text]) -> Scores:
        """Return the mean negative log-likelihood of the scored tokens of each text, in nats."""
        import torch

        result = np.zeros(len(texts))
        model = self._load()
        with torch.inference_mode():
            for places in self._batches([text.size for text in texts]):
                result[places] = _batch_nll(model, [texts[i] for i in places])
        return result

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
                name=self.spec["ifd"],
                max_new_tokens=1,
                max_prompt_tokens=self.spec["max_tokens"] - 1,
            )
        return self._prompts

    def _load(self) -> Any:
        if self._model is None:
            what = f"the model {self.spec['ifd']!r} for IFD"
            self._model = load_model(self._folder, self.device, what=what)
        return self._model


def _batch_nll(model: Any, texts: Sequence[_Text]) -> Scores:
    """Return the mean negative log-likelihood of each text's scored tokens.

    Texts are padded at their end, where a causal model's earlier positions cannot see it: no mask
    is needed. The logits of position i are of token i + 1.
    """
    import torch

    longest = max(text.size for text in texts)
    # the last token is scored and never read; any token pads
    rows = [(text.context + text.scored)[:-1] for text in texts]
    padded = torch.tensor([row + [0] * (longest - 1 - len(row)) for row in rows])
    first = min(len(text.context) for text in texts) - 1  # nothing before it is scored
    ids = padded.to(model.device)
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=longest - 1 - first).logits
    result = np.zeros(len(texts))
    for i, text in enumerate(texts):
        start = len(text.context) - 1 - first
        result[i] = _nll(logits[i, start : start + len(text.scored)], text.scored)
    return result


def _nll(logits: torch.Tensor, tokens: list[int]) -> float:
    """Return the mean negative log-likelihood of `tokens`, (m,), under `logits`, (m, vocabulary).

    In float32, a block of positions at a time: the vocabulary makes a copy large.
    """
    import torch

    targets = torch.tensor(tokens, device=logits.device)
    total = 0.0
    for start in range(0, len(tokens), BLOCK):
        block = slice(start, start + BLOCK)
        total += float(
            torch.nn.functional.cross_entropy(
                logits[block].float(), targets[block], reduction="sum"
            )
        )
    return total / len(tokens)
