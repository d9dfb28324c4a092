"""The row-wise stages as callables for `.map(..., batched=True)`, and predicates for `.filter`.

    ds = ds.map(Read(), batched=True)
    ds = ds.filter(is_clean).map(Complexity(), batched=True).map(Embed("model"), batched=True)

They work on Dataset and IterableDataset. Fingerprints are stable: a transform pickles to one JSON
string of its settings and the stage's version, never to its engine. On a dataset that `Read` has
not seen, the later ones read the rows by themselves.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rbic_hf import complexity, embed, engines, formats, grading, layouts, prompts, steps
from rbic_hf.columns import CLEAN, KEPT
from rbic_hf.config import RbicConfig
from rbic_hf.errors import ConfigError
from rbic_hf.pool import row_key
from rbic_hf.probers import local
from rbic_hf.protocols import ENDED, Encoder, Prober
from rbic_hf.rollouts import prompt_seed

Batch = Mapping[str, list[Any]]

READ_COLUMNS = ("rbic_question", "rbic_response", "rbic_reference", "rbic_language", "rbic_status")


def is_clean(row: Mapping[str, Any]) -> bool:
    """Return whether a read or scored row is usable: not set aside for any reason."""
    return row["rbic_status"] in (CLEAN, KEPT, "budget")


def is_kept(row: Mapping[str, Any]) -> bool:
    """Return whether a row is in the refined dataset (`select(..., keep_all_rows=True)`)."""
    return bool(row["rbic_status"] == KEPT)


class _Transform:
    """What all transforms share: settings that pickle, and rows that were read or get read now."""

    version = 0

    def __init__(self, columns: Mapping[str, str] | None, **settings: Any) -> None:
        self.columns = dict(columns) if columns else None
        self.settings = settings
        self.engine: Any = None

    def __getstate__(self) -> str:
        """Return settings and versions as one canonical string: the fingerprint."""
        state = {
            "columns": self.columns,
            "settings": self.settings,
            "version": self.version,
            "formats": formats.VERSION,
        }
        return json.dumps(state, sort_keys=True)

    def __setstate__(self, state: str) -> None:
        """Restore the settings; the engine is loaded again at its first use."""
        known = json.loads(state)
        self.columns, self.settings, self.engine = known["columns"], known["settings"], None

    def readings(self, batch: Batch) -> list[formats.Reading]:
        """Return the rows of a batch as read, from `Read`'s columns where they are present."""
        if all(name in batch for name in READ_COLUMNS):
            return [
                formats.Reading(
                    question=question,
                    thinking="",
                    solution=response,
                    response=response,
                    reference=reference,
                    own_answer=formats.own_answer(response),
                    language=language,
                    status=status,
                )
                for question, response, reference, language, status in zip(
                    *(batch[name] for name in READ_COLUMNS), strict=True
                )
            ]
        names = list(batch)
        if any(not isinstance(values, list) for values in batch.values()):
            raise ConfigError(f"{type(self).__name__} works on batches: .map(..., batched=True)")
        rows = [
            dict(zip(names, values, strict=True)) for values in zip(*batch.values(), strict=True)
        ]
        layout = layouts.recognise(names, rows[:50], named=self.columns)
        return [formats.read_row(layout, row) for row in rows]


class Read(_Transform):
    """Reads rows of any known layout.

    Output columns: `rbic_question`, `rbic_response`, `rbic_reference` (null: nobody can grade the
    row), `rbic_language`, `rbic_status` ("clean", or why not), `rbic_key`; all strings.

    Args:
        columns: role -> column where the layout is not recognised.
    """

    def __init__(self, columns: Mapping[str, str] | None = None) -> None:
        super().__init__(columns)

    def __call__(self, batch: Batch) -> dict[str, list[Any]]:
        """Return the columns of a batch."""
        readings = self.readings({k: v for k, v in batch.items() if not k.startswith("rbic_")})
        return {
            "rbic_question": [r.question for r in readings],
            "rbic_response": [r.response for r in readings],
            "rbic_reference": [r.reference for r in readings],
            "rbic_language": [r.language for r in readings],
            "rbic_status": [r.status for r in readings],
            "rbic_key": [row_key(r) for r in readings],
        }


class Embed(_Transform):
    """Embeds the question.

    Output column: `rbic_embedding`, float32 vectors of unit length; null where the encoder failed.

    Args:
        encoder: model id, folder, or object with `encode`; None: a multilingual MiniLM.
        columns: role -> column where the layout is not recognised.
    """

    version = embed.VERSION

    def __init__(
        self,
        encoder: str | Path | Encoder | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        named = encoder is None or isinstance(encoder, str | Path)
        spec = None if named else embed.describe(encoder)  # type: ignore[arg-type]
        if not named and spec is None:  # nothing names it: no fingerprint may ever match
            spec = {"unnamed": uuid.uuid4().hex}
        super().__init__(columns, encoder=str(encoder) if named and encoder else spec)
        self.engine = None if named else engines.resolve_encoder(encoder)

    def __call__(self, batch: Batch) -> dict[str, list[Any]]:
        """Return the vectors of a batch."""
        if self.engine is None:
            self.engine = engines.resolve_encoder(_reloadable(self.settings["encoder"], "encoder"))
        vectors = embed.unit_vectors(self.engine, [r.question for r in self.readings(batch)])
        finite = embed.usable(vectors)
        return {
            "rbic_embedding": [v if ok else None for v, ok in zip(vectors, finite, strict=True)]
        }


class Probe(_Transform):
    """Asks each question several times and grades the answers.

    Output columns: `rbic_rollouts` (graded rollouts), `rbic_correct` (the right ones),
    `rbic_unknown` (cut off or not gradable); int, 0 where a row cannot be graded.

    Args:
        prober: who is asked; see `refine`. What columns hold already needs no transform.
        config: number of rollouts and sampling.
        columns: role -> column where the layout is not recognised.
    """

    version = prompts.VERSION * 1000 + local.VERSION

    def __init__(
        self,
        prober: str | Path | Prober | None = None,
        config: RbicConfig | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self.config = config or RbicConfig()
        named = prober is None or isinstance(prober, str | Path)
        if not named:
            engines.check_prober(prober)
        spec = None if named else dict(prober.spec)  # type: ignore[union-attr]
        super().__init__(
            columns,
            prober=str(prober) if named and prober else spec,
            config=self.config.as_dict(),
            grade=grading.VERSION,
        )
        self.engine = None if named else prober

    def __setstate__(self, state: str) -> None:
        """Restore the settings."""
        super().__setstate__(state)
        self.config = RbicConfig(**self.settings["config"])

    def __call__(self, batch: Batch) -> dict[str, list[Any]]:
        """Return the counts of a batch."""
        if self.engine is None:
            name = _reloadable(self.settings["prober"], "prober")
            self.engine = engines.resolve_prober(name, self.config)
        readings = self.readings(batch)
        asked = [i for i, r in enumerate(readings) if grading.is_gradable(r.reference)]
        messages = [
            prompts.prompt(
                readings[i].question,
                language=readings[i].language,
                reference=readings[i].reference,
                instruction=self.config.instruction,
            )
            for i in asked
        ]
        n = self.config.num_rollouts
        seeds = [prompt_seed(m, self.config.seed) for m in messages]
        answers = dict(self.engine.probe(messages, n=n, seeds=seeds)) if messages else {}
        counts = {
            name: [0] * len(readings) for name in ("rbic_rollouts", "rbic_correct", "rbic_unknown")
        }
        for place, i in enumerate(asked):
            samples = answers[place]
            ended = [s.text for s in samples or () if s.finish_reason == ENDED]
            judged = grading.grade([readings[i].reference] * len(ended), ended)
            counts["rbic_rollouts"][i] = sum(v is not None for v in judged)
            counts["rbic_correct"][i] = sum(v is True for v in judged)
            counts["rbic_unknown"][i] = len(samples or ()) - counts["rbic_rollouts"][i]
        return dict(counts)


class Complexity(_Transform):
    """Measures the logical complexity of the reasoning.

    Output columns: `rbic_steps`, `rbic_novel_steps`, `rbic_depth`, `rbic_width`, `rbic_edges`,
    `rbic_operators` (int), `rbic_branch_density`, `rbic_loop_share`, `rbic_tail_share`,
    `rbic_confidence` (float in [0, 1]; confidence 0: too few symbols, depth is the fallback).

    Args:
        columns: role -> column where the layout is not recognised.
    """

    version = steps.VERSION * 1000 + complexity.VERSION

    def __init__(self, columns: Mapping[str, str] | None = None) -> None:
        super().__init__(columns)

    def __call__(self, batch: Batch) -> dict[str, list[Any]]:
        """Return the measures of a batch."""
        return complexity.as_columns(
            [steps.measure(r.response, answer=r.own_answer) for r in self.readings(batch)]
        )


def _reloadable(setting: Any, what: str) -> str | None:
    if isinstance(setting, dict):
        raise ConfigError(
            f"the {what} object cannot be sent to another process (num_proc); "
            "name a model id or a folder instead"
        )
    return None if setting is None else str(setting)
