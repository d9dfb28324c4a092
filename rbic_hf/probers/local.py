"""Rollouts with a transformers model, the prober that runs everywhere.

Each prompt is read once and its cache shared by its n rollouts. Sampling is by Gumbel noise from a
generator per rollout, so that a rollout depends on its prompt and seed and not on its neighbours in
the batch, as far as the arithmetic allows: another batch shape can flip a near-tie.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbic_hf.model_folders import folder_revision
from rbic_hf.probers.chat_template import PromptTokens
from rbic_hf.probers.loading import best_device as best_device  # engines take it from here
from rbic_hf.probers.loading import load_model
from rbic_hf.protocols import CUT, ENDED, MAX_IN_FLIGHT, ChatMessage, Probed, Sample

if TYPE_CHECKING:
    import torch

VERSION = 1

# Tokens that compete in the nucleus: more never mattered at top_p <= .95, and a full sort of the
# vocabulary costs as much as a small model's forward pass.
NUM_CANDIDATES = 512


class TransformersProber:
    """Samples from a causal language model in a local folder, loaded at the first prompt.

    A folder with a single .gguf file and no config.json is loaded as GGUF (extra `gguf`).

    Args:
        folder: where the model lies.
        name: what the model is called in cache keys and messages.
        revision: commit or content hash, for the cache key; "": made from the folder's contents.
        temperature: sampling temperature, > 0.
        top_p: nucleus, in (0, 1].
        max_new_tokens: longest rollout; None: 256 on a CPU, 1024 on a GPU.
        max_prompt_tokens: longer prompts are not probed (None is returned for them).
        batch_size: rollouts generated at once; None: 64 on a CPU, 192 on a GPU.
        device: "cuda", "mps", "cpu"; None: the best there is.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str | None = None,
        revision: str = "",
        temperature: float = 0.7,
        top_p: float = 0.95,
        max_new_tokens: int | None = None,
        max_prompt_tokens: int = 2048,
        batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        self._device = device
        self.max_new_tokens = max_new_tokens or (256 if self.device == "cpu" else 1024)
        self.spec: Mapping[str, Any] = {
            "prober": name or Path(folder).name,
            "revision": revision or folder_revision(folder),
            "engine": "transformers",
            "version": VERSION,
            "temperature": temperature,
            "top_p": top_p,
            "max_new_tokens": self.max_new_tokens,
            "max_prompt_tokens": max_prompt_tokens,
        }
        self._folder = str(folder)
        self._batch_size = batch_size
        self._prompts: PromptTokens | None = None
        self._model: Any = None

    def probe(
        self, prompts: Sequence[list[ChatMessage]], *, n: int, seeds: Sequence[int]
    ) -> Iterator[Probed]:
        """Yield (place, `n` samples) per prompt; None where the prompt is too long for the model.

        Prompts of alike lengths share a batch, the longest first: what does not fit into memory
        fails at once.
        """
        tokens = self._tokens()
        lengths = [len(tokens.of(prompt)) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda i: -lengths[i])
        yield from ((i, None) for i in order if lengths[i] > tokens.longest)
        fitting = [i for i in order if lengths[i] <= tokens.longest]
        per_batch = min(max(1, self.batch_size // n), MAX_IN_FLIGHT)
        for start in range(0, len(fitting), per_batch):
            rows = fitting[start : start + per_batch]
            ids = [tokens.of(prompts[i]) for i in rows]
            yield from zip(rows, self._generate(ids, n, [seeds[i] for i in rows]), strict=True)

    @property
    def batch_size(self) -> int:
        """Rollouts generated at once."""
        return self._batch_size or (64 if self.device == "cpu" else 192)

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self._device or best_device()

    def _generate(
        self,
        ids: list[list[int]],
        n: int,
        seeds: Sequence[int],
    ) -> list[list[Sample]]:
        import torch

        model, tokenizer = self._load(), self._tokens().tokenizer
        padded = tokenizer.pad({"input_ids": ids}, return_tensors="pt", padding_side="left")
        sampler = _Nucleus(
            [seed + child for seed in seeds for child in range(n)],
            self.spec["temperature"],
            self.spec["top_p"],
        )
        stops = {
            *_as_list(model.generation_config.eos_token_id),
            *_as_list(tokenizer.eos_token_id),
        }
        with torch.inference_mode():
            generated = _decode(
                model,
                padded["input_ids"].to(model.device),
                padded["attention_mask"].to(model.device),
                n,
                sampler,
                stops,
                self.max_new_tokens,
            )
        samples = [self._sample(tokenizer, tokens, stops) for tokens in generated]
        return [samples[i * n : (i + 1) * n] for i in range(len(ids))]

    @staticmethod
    def _sample(tokenizer: Any, tokens: list[int], stops: set[int]) -> Sample:
        ended = bool(tokens) and tokens[-1] in stops
        text = tokenizer.decode(tokens[:-1] if ended else tokens, skip_special_tokens=True)
        return Sample(text, ENDED if ended else CUT, num_tokens=len(tokens))

    def _tokens(self) -> PromptTokens:
        if self._prompts is None:
            self._prompts = PromptTokens(
                self._folder,
                name=self.spec["prober"],
                max_new_tokens=self.max_new_tokens,
                max_prompt_tokens=self.spec["max_prompt_tokens"],
            )
            tokenizer = self._prompts.tokenizer
            if tokenizer.pad_token_id is None:
                tokenizer.pad_token = tokenizer.eos_token
        return self._prompts

    def _load(self) -> Any:
        if self._model is None:
            what = f"the prober {self.spec['prober']!r}"
            self._model = load_model(self._folder, self.device, what=what)
        return self._model


def _decode(
    model: Any,
    inputs: torch.Tensor,
    mask: torch.Tensor,
    n: int,
    sampler: _Nucleus,
    stops: set[int],
    max_new_tokens: int,
) -> list[list[int]]:
    """Return the tokens of `n` rollouts per prompt, the stop token included where there was one.

    `model.generate` keeps computing rollouts that have ended until the last one has; here they
    leave the batch, which halves the work where lengths differ.
    """
    import torch

    cache, logits = _read_prompts(model, inputs, mask, n)
    mask = mask.repeat_interleave(n, 0)
    generated: list[list[int]] = [[] for _ in range(len(mask))]
    running = list(range(len(mask)))  # rollouts still in the batch, in its order
    for _ in range(max_new_tokens):
        tokens = sampler.draw(logits, running)
        for row, token in zip(running, tokens.tolist(), strict=True):
            generated[row].append(token)
        going = [i for i, row in enumerate(running) if generated[row][-1] not in stops]
        if not going:
            break
        if len(going) < len(running):
            keep = torch.tensor(going, device=inputs.device)
            cache.batch_select_indices(keep)
            mask, tokens = mask[keep], tokens[keep]
            running = [running[i] for i in going]
        mask = torch.cat([mask, mask.new_ones(len(running), 1)], dim=1)
        logits = model(
            input_ids=tokens[:, None],
            attention_mask=mask,
            position_ids=mask.sum(1, keepdim=True) - 1,
            past_key_values=cache,
            logits_to_keep=1,
        ).logits[:, -1]
    return generated


def _read_prompts(
    model: Any, inputs: torch.Tensor, mask: torch.Tensor, n: int
) -> tuple[Any, torch.Tensor]:
    """Read each prompt once; return the cache and the next token's logits, n copies per prompt."""
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    output = model(
        input_ids=inputs,
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        past_key_values=cache,
        logits_to_keep=1,
    )
    cache.batch_repeat_interleave(n)
    return cache, output.logits[:, -1].repeat_interleave(n, 0)


def _as_list(value: int | list[int] | None) -> list[int]:
    return [] if value is None else [value] if isinstance(value, int) else value


class _Nucleus:
    """Draws tokens: temperature, top-p, and a generator per rollout."""

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        import torch

        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._temperature = temperature
        self._top_p = top_p

    def draw(self, logits: torch.Tensor, rollouts: Sequence[int]) -> torch.Tensor:
        """Return one token for each of the `rollouts`, (m,), from their logits (m, vocabulary)."""
        import torch

        size = min(NUM_CANDIDATES, logits.shape[-1])
        best, tokens = logits.float().topk(size, dim=-1)
        logp = torch.log_softmax(best / self._temperature, dim=-1)
        mass_before = logp.exp().cumsum(-1) - logp.exp()
        logp = logp.masked_fill(mass_before >= self._top_p, -torch.inf)
        noise = torch.stack([torch.rand(size, generator=self._generators[r]) for r in rollouts])
        gumbel = -torch.log(-torch.log(noise.clamp(1e-10, 1 - 1e-7)))
        pick = (logp + gumbel.to(logp.device)).argmax(-1, keepdim=True)
        return tokens.gather(1, pick)[:, 0]
