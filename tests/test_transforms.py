"""Row-wise stages in `.map` and `.filter`, on both kinds of dataset."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest
from conftest import SMALL, TableProber, WordEncoder
from datasets import Dataset, Features, List, Value
from datasets.fingerprint import Hasher

import rbic_hf
from rbic_hf import ConfigError
from rbic_hf.columns import BY_NAME
from rbic_hf.complexity import MEASURES
from rbic_hf.transforms import Complexity, Embed, Probe, Read, is_clean, is_kept


def test_a_chain_of_transforms_gives_what_score_gives(
    dataset: Dataset, encoder: WordEncoder, prober: TableProber
) -> None:
    chained = (
        dataset.map(Read(), batched=True)
        .filter(is_clean)
        .map(Embed(encoder), batched=True)
        .map(Probe(prober, SMALL), batched=True, batch_size=50)
        .map(Complexity(), batched=True)
    )
    config = rbic_hf.RbicConfig(num_neighbors=8)
    scored = rbic_hf.score(dataset, config=config, encoder=encoder, prober=prober)
    of_key = {row["rbic_key"]: row for row in scored.filter(is_clean).to_list()}
    for row in chained.to_list():
        if row["rbic_key"] not in of_key:
            continue
        other = of_key[row["rbic_key"]]
        assert row["rbic_embedding"] == pytest.approx(other["rbic_embedding"], abs=1e-6)
        for name in MEASURES:
            assert row[f"rbic_{name}"] == pytest.approx(other[f"rbic_{name}"]), name
        if other["rbic_rollouts"]:
            assert row["rbic_correct"] == other["rbic_correct"]
            assert row["rbic_rollouts"] == other["rbic_rollouts"]


def test_transforms_read_rows_by_themselves(dataset: Dataset) -> None:
    direct = dataset.map(Complexity(), batched=True)
    read_first = dataset.map(Read(), batched=True).map(Complexity(), batched=True)
    assert direct["rbic_depth"] == read_first["rbic_depth"]


def test_transforms_work_on_a_stream(dataset: Dataset, encoder: WordEncoder) -> None:
    features = Features(
        {
            **dataset.features,
            **{
                name: Value("string")
                for name in (
                    "rbic_question", "rbic_response", "rbic_reference", "rbic_language",
                    "rbic_status", "rbic_key",
                )
            },
        }
    )  # fmt: skip
    deeper = Features(
        {
            **features,
            **{f"rbic_{name}": Value(BY_NAME[f"rbic_{name}"].dtype) for name in MEASURES},
        }
    )
    vectors = Features({**deeper, "rbic_embedding": List(Value("float32"), length=64)})
    stream = (
        dataset.to_iterable_dataset()
        .map(Read(), batched=True, features=features)
        .filter(is_clean)
        .map(Complexity(), batched=True, features=deeper)
        .map(Embed(encoder), batched=True, features=vectors)
    )
    streamed = list(stream)
    whole = dataset.map(Read(), batched=True).filter(is_clean).map(Complexity(), batched=True)
    assert [row["rbic_depth"] for row in streamed] == list(whole["rbic_depth"])
    assert len(streamed[0]["rbic_embedding"]) == 64


@pytest.mark.parametrize(
    "transform", [Read(), Complexity(), Embed("some/model"), Probe("m", SMALL)]
)
def test_a_pickled_transform_has_the_same_fingerprint(transform: Any) -> None:
    assert Hasher.hash(pickle.loads(pickle.dumps(transform))) == Hasher.hash(transform)


def test_fingerprints_agree_between_processes() -> None:
    script = (
        "from datasets.fingerprint import Hasher; from rbic_hf.transforms import *;"
        "print(Hasher.hash(Read({'response': 'r', 'question': 'q'})), Hasher.hash(Embed('m')))"
    )
    done = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    here = f"{Hasher.hash(Read({'question': 'q', 'response': 'r'}))} {Hasher.hash(Embed('m'))}"
    assert {process.stdout.strip() for process in done} == {here}


def test_fingerprints_change_with_the_settings_and_not_with_the_engine(
    dataset: Dataset, encoder: WordEncoder
) -> None:
    embed = Embed(encoder)
    before = Hasher.hash(embed)
    dataset.map(embed, batched=True)
    assert Hasher.hash(embed) == before == Hasher.hash(Embed(WordEncoder()))
    assert before != Hasher.hash(Embed(WordEncoder(dim=32)))
    other = rbic_hf.RbicConfig(temperature=0.9)
    assert Hasher.hash(Probe("m")) != Hasher.hash(Probe("m", other))
    assert Hasher.hash(Read()) != Hasher.hash(Read({"question": "q"}))


def test_an_engine_object_cannot_travel_and_says_so(dataset: Dataset, encoder: WordEncoder) -> None:
    travelled = pickle.loads(pickle.dumps(Embed(encoder)))
    with pytest.raises(ConfigError, match="cannot be sent to another process"):
        travelled({"question": ["a?"], "response": ["b"]})


def test_filters_tell_kept_from_clean_from_set_aside() -> None:
    statuses = ("kept", "clean", "budget", "duplicate", "too_long")
    assert [is_clean({"rbic_status": s}) for s in statuses] == [True, True, True, False, False]
    assert [is_kept({"rbic_status": s}) for s in statuses] == [True, False, False, False, False]


def test_map_with_two_processes_gives_the_same(dataset: Dataset) -> None:
    one = dataset.map(Complexity(), batched=True)
    two = dataset.map(Complexity(), batched=True, num_proc=2)
    assert one["rbic_depth"] == two["rbic_depth"]


def test_a_transform_without_batches_says_what_is_missing(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="batched=True"):
        dataset.map(Read())
