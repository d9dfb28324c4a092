"""The whole road on real datasets objects, with fakes where a model would be loaded."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SMALL, TableProber, WordEncoder
from datasets import (
    Dataset,
    DatasetDict,
    Features,
    IterableDataset,
    IterableDatasetDict,
    Value,
    load_from_disk,
)

import rbic_hf
from rbic_hf import (
    ConfigError,
    DataError,
    ModelError,
    RbicConfig,
    RbicError,
    engines,
    rbic_refine,
)
from rbic_hf.columns import COLUMNS
from rbic_hf.config import PROXY_COLUMNS
from rbic_hf.probers.likelihood import Likelihoods, LikelihoodScorer, Passage
from rbic_hf.refinery import score_with_provenance
from rbic_hf.transforms import is_clean

ON_REQUEST = ("rbic_generations", "rbic_contaminated_by", *PROXY_COLUMNS.values())


def share(refined: Dataset, scored: Dataset, column: str) -> float:
    clean = [i for i, s in enumerate(scored["rbic_status"]) if s == "clean"]
    return sum(refined[column]) / sum(scored[column][i] for i in clean)


@pytest.fixture
def scored(dataset: Dataset, encoder: WordEncoder, prober: TableProber) -> Dataset:
    return rbic_hf.score(dataset, config=SMALL, encoder=encoder, prober=prober)


def test_refine_is_select_of_score(
    dataset: Dataset, scored: Dataset, encoder: WordEncoder, prober: TableProber
) -> None:
    refined = rbic_hf.refine(dataset, 0.3, config=SMALL, encoder=encoder, prober=prober)
    selected = rbic_hf.select(scored, 0.3)
    assert refined.to_list() == selected.to_list()
    assert refined.features == selected.features


def test_every_row_is_scored_and_the_users_columns_stay_as_they_were(
    dataset: Dataset, scored: Dataset
) -> None:
    assert scored.num_rows == dataset.num_rows
    own = scored.select_columns(dataset.column_names)
    assert own.to_list() == dataset.to_list()
    assert own.features == dataset.features


def test_the_columns_are_those_of_the_table(scored: Dataset) -> None:
    added = {name: f for name, f in scored.features.items() if name.startswith("rbic_")}
    expected = [c for c in COLUMNS if c.name not in ON_REQUEST]
    assert list(added) == [c.name for c in expected]
    for column in expected:
        if column.dtype != "vector":
            assert added[column.name] == Value(column.dtype), column.name
    assert added["rbic_embedding"].length == 64


@pytest.mark.parametrize("unit", ["cost", "tokens", "rows"])
@pytest.mark.parametrize("ratio", [0.05, 0.16, 0.5])
def test_the_budget_is_spent_to_within_one_row(scored: Dataset, unit: str, ratio: float) -> None:
    refined = rbic_hf.select(scored, ratio, unit=unit)
    clean = scored.filter(rbic_hf.transforms.is_clean)
    column = None if unit == "rows" else f"rbic_{unit}"
    pool = clean.num_rows if column is None else sum(clean[column])
    kept = refined.num_rows if column is None else sum(refined[column])
    largest = 1 if column is None else max(clean[column])
    assert ratio * pool - largest <= kept <= ratio * pool * (1 + 1e-6)


def test_smaller_ratios_are_subsets_in_every_unit(scored: Dataset) -> None:
    for unit in ("cost", "tokens", "rows"):
        kept = [set(rbic_hf.select(scored, r, unit=unit)["rbic_key"]) for r in (0.08, 0.16, 0.5, 1)]
        assert kept[0] < kept[1] < kept[2] < kept[3]


def test_rows_come_back_in_their_original_order(dataset: Dataset, scored: Dataset) -> None:
    refined = rbic_hf.select(scored, 0.3)
    place = {question: i for i, question in reversed(list(enumerate(dataset["question"])))}
    places = [place[question] for question in refined["question"]]
    assert places == sorted(places)


def test_a_refined_dataset_has_the_small_columns_only(scored: Dataset) -> None:
    refined = rbic_hf.select(scored, 0.2)
    assert "rbic_embedding" not in refined.column_names
    assert set(refined["rbic_status"]) == {"kept"}
    assert "rbic_embedding" in rbic_hf.select(scored, 0.2, with_embeddings=True).column_names


def test_all_rows_can_be_kept_with_the_reason_of_each(scored: Dataset) -> None:
    marked = rbic_hf.select(scored, 0.2, keep_all_rows=True)
    assert marked.num_rows == scored.num_rows
    refined = marked.filter(rbic_hf.transforms.is_kept)
    assert refined["rbic_key"] == rbic_hf.select(scored, 0.2)["rbic_key"]
    assert {"kept", "budget", "duplicate"} <= set(marked["rbic_status"])


def test_planted_defects_are_set_aside_with_their_reason(
    scored: Dataset, rows: list[dict[str, Any]]
) -> None:
    expected = {
        "exact_duplicate": "duplicate",
        "no_response": "no_response",
        "unfinished_thinking": "unfinished_thinking",
        "repetition": "repetition",
        "near_duplicate": "clean",
        "": "clean",
    }
    for row, status in zip(rows, scored["rbic_status"], strict=True):
        if row["defect"] in expected:
            assert status == expected[row["defect"]], row


def test_a_planted_wrong_answer_is_contradicted_and_a_sound_one_verified(
    scored: Dataset, rows: list[dict[str, Any]]
) -> None:
    for row, answer in zip(rows, scored["rbic_answer"], strict=True):
        if row["defect"] == "wrong_answer":
            assert answer == "contradicted", row["response"]
        elif row["defect"] == "":
            assert answer == "verified", row["response"]


def test_an_exact_copy_shares_its_originals_group_and_is_never_kept(scored: Dataset) -> None:
    table = scored.to_pandas()
    copies = table[table.rbic_status == "duplicate"]
    assert len(copies) > 0
    for _, copy in copies.iterrows():
        original = table[(table.rbic_key == copy.rbic_key) & (table.rbic_status == "clean")]
        assert list(original.rbic_duplicate_group) == [copy.rbic_duplicate_group]
    refined = rbic_hf.select(scored, 1.0)
    groups = refined["rbic_duplicate_group"]
    assert len(set(groups)) == len(groups)


def test_every_domain_and_tier_is_covered(scored: Dataset) -> None:
    refined = rbic_hf.select(scored, 0.3)
    for column in ("rbic_domain", "rbic_tier"):
        assert set(refined[column]) == set(scored[column]) - {None}


def test_measured_rows_are_told_from_predicted_ones(scored: Dataset) -> None:
    table = scored.to_pandas()
    clean = table[table.rbic_status == "clean"]
    measured = clean[clean.rbic_rollouts > 0]
    assert 40 <= len(measured) <= 60  # 40 questions, and rows that ask exactly the same
    assert (measured.rbic_correct <= measured.rbic_rollouts).all()
    assert clean.rbic_pass_rate.between(0, 1).all()
    predicted = clean[clean.rbic_rollouts == 0]
    assert predicted.rbic_pass_rate_std.mean() > measured.rbic_pass_rate_std.mean()


# --- nothing is computed twice ---------------------------------------------------------------


def test_a_second_run_and_another_ratio_ask_no_model(
    dataset: Dataset, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    answers = {row["question"]: row["answer"] for row in rows}
    first = WordEncoder(), TableProber(answers)
    one = rbic_hf.refine(
        dataset, 0.2, config=SMALL, encoder=first[0], prober=first[1], cache_dir=tmp_path
    )
    assert first[0].num_calls > 0
    assert first[1].num_prompts == 40
    second = WordEncoder(), TableProber(answers)
    two = rbic_hf.refine(
        dataset, 0.2, config=SMALL, encoder=second[0], prober=second[1], cache_dir=tmp_path
    )
    half = rbic_hf.refine(
        dataset, 0.1, config=SMALL, encoder=second[0], prober=second[1], cache_dir=tmp_path
    )
    assert second[0].num_calls == 0
    assert second[1].num_prompts == 0
    assert one.to_list() == two.to_list()
    assert set(half["rbic_key"]) < set(two["rbic_key"])


def test_shuffled_and_extended_rows_find_their_results_again(
    dataset: Dataset, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    answers = {row["question"]: row["answer"] for row in rows}
    config = RbicConfig(num_neighbors=8)
    rbic_hf.score(
        dataset, config=config, encoder=WordEncoder(), prober=TableProber(answers),
        cache_dir=tmp_path,
    )  # fmt: skip
    encoder, prober = WordEncoder(), TableProber(answers)
    extra = {**rows[0], "question": "Ann has 3 pens and buys 4. How many pens?", "answer": "7"}
    extended = Dataset.from_list([extra, *dataset.shuffle(seed=1).to_list()])
    rbic_hf.score(extended, config=config, encoder=encoder, prober=prober, cache_dir=tmp_path)
    assert encoder.num_calls == 1
    assert prober.num_prompts == 1


def test_shuffled_rows_have_the_same_domains_and_the_same_questions_are_asked(
    dataset: Dataset, scored: Dataset, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    answers = {row["question"]: row["answer"] for row in rows}
    config = RbicConfig(num_neighbors=8, num_rollouts=2, max_probe_rows=20)
    arguments: dict[str, Any] = {"config": config, "encoder": WordEncoder(), "cache_dir": tmp_path}
    rbic_hf.score(dataset, prober=TableProber(answers), **arguments)
    for seed in range(3):
        prober = TableProber(answers)
        shuffled = rbic_hf.score(dataset.shuffle(seed=seed), prober=prober, **arguments)
        assert prober.num_prompts == 0
    columns = ["question", "rbic_status", "rbic_domain", "rbic_tier", "rbic_duplicate_group"]
    again = rbic_hf.score(dataset, prober=prober, **arguments)
    assert sorted(map(str, shuffled.select_columns(columns).filter(is_clean).to_list())) == sorted(
        map(str, again.select_columns(columns).filter(is_clean).to_list())
    )


def test_other_sampling_is_another_rollout(
    dataset: Dataset, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    answers = {row["question"]: row["answer"] for row in rows}
    for skill in (0.5, 0.6):
        prober = TableProber(answers, skill=skill)
        rbic_hf.score(
            dataset, config=SMALL, encoder=WordEncoder(), prober=prober, cache_dir=tmp_path
        )
        assert prober.num_prompts == 40


def test_without_a_cache_folder_nothing_is_written(
    dataset: Dataset, encoder: WordEncoder, prober: TableProber, tmp_path: Path
) -> None:
    rbic_hf.score(dataset, config=SMALL, encoder=encoder, prober=prober, cache_dir=False)
    assert list(tmp_path.rglob("*.parquet")) == []


def test_an_unnamed_encoder_is_not_cached_and_that_is_said(
    dataset: Dataset, prober: TableProber, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        encoder = WordEncoder(named=False)
        with caplog.at_level(logging.WARNING, "rbic_hf"):
            caplog.clear()
            rbic_hf.score(dataset, config=SMALL, encoder=encoder, prober=prober, cache_dir=tmp_path)
        assert encoder.num_calls > 0
        assert sum("neither a spec nor a model name" in m for m in caplog.messages) == 1


def test_a_scored_dataset_is_scored_again_without_any_model(
    scored: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    again = rbic_hf.score(scored, config=SMALL, cache_dir=False)
    assert again.to_pandas().equals(scored.to_pandas())


def test_edited_rows_do_not_reuse_their_old_rollouts(
    scored: Dataset, encoder: WordEncoder, prober: TableProber
) -> None:
    def edit(row: dict[str, Any], i: int) -> dict[str, Any]:
        return {"question": row["question"] + " Explain."} if i == 0 else {}

    edited = scored.map(edit, with_indices=True)
    again = rbic_hf.score(edited, config=SMALL, encoder=encoder, prober=prober, cache_dir=False)
    assert again["rbic_key"][0] != scored["rbic_key"][0]
    assert prober.num_prompts > 40  # the fixture's 40, and the new run's


def test_the_same_seed_gives_the_same_rows_in_another_process(
    dataset: Dataset, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    refined = rbic_hf.refine(
        dataset, 0.2, config=SMALL, encoder=WordEncoder(), cache_dir=False,
        prober=TableProber({row["question"]: row["answer"] for row in rows}),
    )  # fmt: skip
    script = f"""
        import json, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from conftest import SMALL, TableProber, WordEncoder
        from datasets import Dataset
        import rbic_hf
        from rbic_hf.sample import make_sample
        rows = make_sample(160, seed=3)
        answers = {{row["question"]: row["answer"] for row in rows}}
        refined = rbic_hf.refine(
            Dataset.from_list(rows), 0.2, config=SMALL, encoder=WordEncoder(),
            prober=TableProber(answers), cache_dir=False,
        )
        print(json.dumps(list(refined["rbic_key"])))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1]) == list(refined["rbic_key"])


# --- kinds of datasets -----------------------------------------------------------------------


def test_pipe_hands_the_dataset_over(
    dataset: Dataset, encoder: WordEncoder, prober: TableProber
) -> None:
    arguments = {"ratio": 0.2, "config": SMALL, "encoder": encoder, "prober": prober}
    piped = dataset.pipe(rbic_refine, **arguments)
    assert piped.to_list() == rbic_refine(dataset, **arguments).to_list()


def test_of_a_dataset_dict_train_is_refined_and_the_rest_handed_on(
    dataset: Dataset, encoder: WordEncoder, prober: TableProber
) -> None:
    both = DatasetDict(train=dataset, test=dataset.select(range(5)))
    refined = both.pipe(rbic_refine, ratio=0.2, config=SMALL, encoder=encoder, prober=prober)
    assert isinstance(refined, DatasetDict)
    assert refined["test"] is both["test"]
    assert 0 < refined["train"].num_rows < dataset.num_rows
    other = rbic_refine(both, 0.5, split="test", config=SMALL, encoder=encoder, prober=prober)
    assert other["train"] is both["train"]
    assert "rbic_rank" in other["test"].column_names


def test_a_dict_without_train_wants_a_name(dataset: Dataset) -> None:
    both = DatasetDict(a=dataset, b=dataset)
    with pytest.raises(DataError, match=r"name one with split=: \['a', 'b'\]"):
        rbic_refine(both)
    with pytest.raises(DataError, match="no such split"):
        rbic_refine(both, split="c")


def test_an_iterable_dataset_is_read_into_memory_and_that_is_said(
    dataset: Dataset, encoder: WordEncoder, prober: TableProber, caplog: pytest.LogCaptureFixture
) -> None:
    stream = dataset.to_iterable_dataset()
    assert isinstance(stream, IterableDataset)
    arguments: dict[str, Any] = {"config": SMALL, "encoder": encoder, "prober": prober}
    with caplog.at_level(logging.WARNING, "rbic_hf"):
        refined = stream.pipe(rbic_refine, ratio=0.2, **arguments)
    assert "read into memory" in caplog.text
    assert refined.to_list() == rbic_refine(dataset, 0.2, **arguments).to_list()


@pytest.mark.parametrize("view", ["shuffled", "selected", "formatted", "added"])
def test_views_of_a_dataset_are_scored_like_their_rows(
    dataset: Dataset, encoder: WordEncoder, prober: TableProber, view: str
) -> None:
    views = {
        "shuffled": lambda: dataset.shuffle(seed=0),
        "selected": lambda: dataset.select([5, 3, 80, 41, 9, 77, 12, 100]),
        "formatted": lambda: dataset.with_format("numpy"),
        "added": lambda: dataset.add_column("extra", [{"x": [i]} for i in range(len(dataset))]),
    }
    seen = views[view]()
    plain = Dataset.from_list(seen.with_format(None).to_list(), features=seen.features)
    arguments: dict[str, Any] = {"config": SMALL, "encoder": encoder, "prober": prober}
    one = rbic_refine(seen, 0.4, **arguments).with_format(None)
    assert one.to_list() == rbic_refine(plain, 0.4, **arguments).to_list()


@pytest.mark.parametrize("way", ["disk", "parquet", "json"])
def test_a_scored_dataset_comes_back_and_is_selected_from_without_a_model(
    scored: Dataset, tmp_path: Path, way: str
) -> None:
    if way == "disk":
        scored.save_to_disk(str(tmp_path / "scored"))
        back = load_from_disk(str(tmp_path / "scored"))
    elif way == "parquet":
        scored.to_parquet(str(tmp_path / "scored.parquet"))
        back = Dataset.from_parquet(str(tmp_path / "scored.parquet"), cache_dir=str(tmp_path))
    else:
        scored.to_json(str(tmp_path / "scored.jsonl"))
        back = Dataset.from_json(str(tmp_path / "scored.jsonl"), cache_dir=str(tmp_path))
    for method in ("rbic", "twin"):
        selected = rbic_hf.select(back, 0.2, method=method)
        assert selected["rbic_key"] == rbic_hf.select(scored, 0.2, method=method)["rbic_key"]
    assert str(rbic_hf.report(back, rbic_hf.select(back, 0.2)))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_rows_work(
    dataset: Dataset, encoder: WordEncoder, prober: TableProber, n: int
) -> None:
    sound = dataset.filter(lambda row: row["defect"] == "").select(range(n))
    scored = rbic_hf.score(sound, config=SMALL, encoder=encoder, prober=prober)
    refined = rbic_hf.select(scored, 0.16)
    assert refined.num_rows == 1
    assert rbic_hf.select(scored, 1.0).num_rows == n
    assert str(rbic_hf.report(scored, refined))


# --- without rollouts ------------------------------------------------------------------------


def test_without_probing_difficulty_is_null_and_that_is_said(
    dataset: Dataset, encoder: WordEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "rbic_hf"):
        scored = rbic_hf.score(dataset, config=SMALL, encoder=encoder, probe=False)
    assert "probing is off" in caplog.text
    for column in ("rbic_pass_rate", "rbic_tier", "rbic_rollouts", "rbic_correct"):
        assert set(scored[column]) == {None}
    refined = rbic_hf.select(scored, 0.2)
    assert refined.num_rows > 5
    assert "not measured" in str(rbic_hf.report(scored, refined))


def test_rows_that_nobody_can_grade_are_not_probed(
    dataset: Dataset, encoder: WordEncoder, prober: TableProber, caplog: pytest.LogCaptureFixture
) -> None:
    prose = dataset.map(
        lambda row: {"response": "It is a matter of taste.", "answer": None},
        features=Features({**dataset.features, "answer": Value("string")}),
    )
    with caplog.at_level(logging.WARNING, "rbic_hf"):
        scored = rbic_hf.score(prose, config=SMALL, encoder=encoder, prober=prober)
    assert prober.num_prompts == 0
    assert "no row has an answer that can be graded" in caplog.text
    assert set(scored["rbic_tier"]) == {None}


def test_pass_rates_of_the_dataset_itself_can_be_used(
    dataset: Dataset, encoder: WordEncoder
) -> None:
    counted = dataset.add_column("rbic_rollouts", [4] * len(dataset)).add_column(
        "rbic_correct", [i % 5 for i in range(len(dataset))]
    )
    scored = rbic_hf.score(counted, config=SMALL, encoder=encoder)
    table = scored.to_pandas()
    clean = table[table.rbic_status == "clean"]
    assert set(clean.rbic_rollouts) == {4}
    assert clean.rbic_pass_rate.corr(clean.rbic_correct, method="spearman") > 0.9


# --- the random twin -------------------------------------------------------------------------


def test_the_twin_spends_the_same_in_the_same_cells_but_ignores_contribution(
    scored: Dataset,
) -> None:
    kept = rbic_hf.select(scored, 0.3)
    twin = rbic_hf.select(scored, 0.3, method="twin")
    assert twin["rbic_key"] == rbic_hf.select(scored, 0.3, method="twin")["rbic_key"]
    assert twin["rbic_key"] != kept["rbic_key"]
    assert abs(sum(twin["rbic_cost"]) - sum(kept["rbic_cost"])) <= max(scored.filter(
        rbic_hf.transforms.is_clean)["rbic_cost"])  # fmt: skip
    assert np.mean(twin["rbic_contribution"]) < np.mean(kept["rbic_contribution"])
    assert rbic_hf.report(scored, twin).rows.kept == twin.num_rows


# --- wrong input -----------------------------------------------------------------------------


class Untouchable:
    """An engine that must not be asked."""

    spec: Mapping[str, Any] = {"name": "untouchable"}

    def encode(self, sentences: list[str]) -> Any:
        raise AssertionError("asked")

    def probe(self, prompts: Any, *, n: int, seeds: Any) -> Any:
        raise AssertionError("asked")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"ratio": 0}, ConfigError, "ratio=0 is not accepted; give a number > 0 and <= 1"),
        ({"ratio": 1.5}, ConfigError, "ratio=1.5"),
        ({"ratio": "a"}, ConfigError, "ratio='a'"),
        ({"ratio": float("nan")}, ConfigError, "ratio=nan"),
        ({"ratio": True}, ConfigError, "ratio=True"),
        ({"unit": "euros"}, ConfigError, "unit='euros' is not known; accepted: cost, tokens, rows"),
        ({"method": "best"}, ConfigError, "accepted: rbic, twin"),
        ({"columns": {"question": "frage"}}, DataError, "frage"),
        ({"config": {"seed": 1}}, ConfigError, "RbicConfig"),
        ({"encoder": 3}, ConfigError, "encoder=3"),
        ({"prober": object()}, ConfigError, "prober="),
        ({"split": "train"}, DataError, "no splits"),
    ],
)
def test_wrong_arguments_are_refused_before_any_model_is_asked(
    dataset: Dataset, arguments: dict[str, Any], error: type[RbicError], message: str
) -> None:
    engines = {"encoder": Untouchable(), "prober": Untouchable()}
    with pytest.raises(error, match=message.replace("(", r"\(")):
        rbic_refine(dataset, **{**engines, **arguments})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([{"text": "no layout"}], "No known layout"),
        ([{"question": "a?", "response": ""}] * 3, "no usable row among 3: 3 no_response"),
    ],
)
def test_datasets_that_cannot_be_refined_are_refused_before_any_model_is_asked(
    rows: list[dict[str, str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        rbic_refine(Dataset.from_list(rows), encoder=Untouchable(), prober=Untouchable())


def test_something_that_is_no_dataset_is_refused() -> None:
    with pytest.raises(DataError, match="list is not accepted"):
        rbic_refine([{"question": "1+1?", "response": "2"}])


def test_selecting_from_unscored_rows_says_what_to_do(dataset: Dataset) -> None:
    with pytest.raises(DataError, match="score the dataset first"):
        rbic_hf.select(dataset)
    with pytest.raises(DataError, match="do not belong together"):
        other = dataset.add_column("rbic_key", ["x"] * len(dataset)).add_column(
            "rbic_status", ["kept"] * len(dataset)
        )
        rbic_hf.report(
            rbic_hf.score(dataset, config=SMALL, encoder=WordEncoder(), probe=False), other
        )


def test_a_prober_that_raises_stops_with_its_reason_and_loses_nothing(
    dataset: Dataset, rows: list[dict[str, Any]], encoder: WordEncoder, tmp_path: Path
) -> None:
    answers = {row["question"]: row["answer"] for row in rows}

    class Dies(TableProber):
        def probe(self, prompts: Any, *, n: int, seeds: Any) -> Any:
            for answer in super().probe(prompts, n=n, seeds=seeds):
                if self.num_prompts > 16:
                    raise RuntimeError("out of memory")
                yield answer

    with pytest.raises(ModelError, match="the prober raised RuntimeError: out of memory"):
        rbic_hf.score(
            dataset, config=SMALL, encoder=encoder, prober=Dies(answers), cache_dir=tmp_path
        )
    healthy = TableProber(answers)
    rbic_hf.score(dataset, config=SMALL, encoder=encoder, prober=healthy, cache_dir=tmp_path)
    assert healthy.num_prompts == 24


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda n: np.zeros((n - 1, 4)), "needed"),
        (lambda n: np.zeros(n), "needed"),
        (lambda n: np.full((n, 4), np.nan), "NaN or zero vectors for all"),
        (lambda n: None, "encoder returned"),
        (lambda n: [["a"]] * n, "no array of numbers"),
    ],
)
def test_an_encoder_of_the_wrong_shape_stops_with_a_clear_message(
    dataset: Dataset, returned: Any, message: str
) -> None:
    class Wrong:
        spec: Mapping[str, Any] = {"encoder": "wrong"}

        def encode(self, sentences: list[str]) -> Any:
            return returned(len(sentences))

    with pytest.raises(ModelError, match=message):
        rbic_hf.score(dataset, config=SMALL, encoder=Wrong(), probe=False, cache_dir=False)


def test_a_single_nan_vector_sets_its_row_aside(
    dataset: Dataset, encoder: WordEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    victim = dataset["question"][0]

    class Blind(WordEncoder):
        def _vector(self, text: str) -> np.ndarray:
            return super()._vector(text) * (np.nan if text == victim else 1)

    with caplog.at_level(logging.WARNING, "rbic_hf"):
        scored = rbic_hf.score(dataset, config=SMALL, encoder=Blind(), probe=False)
    assert scored["rbic_status"][0] == "not_embedded"
    assert scored["rbic_rank"][0] is None
    assert "set aside as not_embedded" in caplog.text


def test_a_cut_off_generation_is_unknown_and_not_wrong(
    dataset: Dataset, encoder: WordEncoder
) -> None:
    class Wordy:
        spec: Mapping[str, Any] = {"prober": "wordy"}

        def probe(self, prompts: Any, *, n: int, seeds: Any) -> Any:
            cut = rbic_hf.Sample("first we", "length")
            done = rbic_hf.Sample("\\boxed{-1}", "stop")
            for i, _ in enumerate(prompts):
                yield i, [cut] * (n - 1) + [done] if i % 2 else None

    scored = rbic_hf.score(dataset, config=SMALL, encoder=encoder, prober=Wordy(), cache_dir=False)
    probed = [(r, c, u) for r, c, u in zip(
        scored["rbic_rollouts"], scored["rbic_correct"], scored["rbic_unknown"], strict=True
    ) if r]  # fmt: skip
    assert set(probed) == {(1, 0, 3)}


def test_rows_longer_than_the_training_length_are_set_aside(
    dataset: Dataset, encoder: WordEncoder
) -> None:
    config = RbicConfig(max_length=120)
    scored = rbic_hf.score(dataset, config=config, encoder=encoder, probe=False)
    for status, tokens in zip(scored["rbic_status"], scored["rbic_tokens"], strict=True):
        assert (status == "too_long") <= (tokens > 120)
        assert (status == "clean") <= (tokens <= 120)
    assert "too_long" in scored["rbic_status"]


def test_generations_come_only_on_request(
    dataset: Dataset, encoder: WordEncoder, prober: TableProber
) -> None:
    scored = rbic_hf.score(
        dataset, config=SMALL, encoder=encoder, prober=prober, with_generations=True
    )
    texts = [t for t in scored["rbic_generations"] if t is not None]
    assert {len(t) for t in texts} == {4}
    assert "rbic_generations" not in rbic_hf.select(scored, 0.3).column_names
    kept = rbic_hf.select(scored, 0.3, with_generations=True)
    assert "rbic_generations" in kept.column_names


# --- what a review found ---------------------------------------------------------------------


def test_many_traces_of_one_question_do_not_break_the_domains() -> None:
    topics = ["apple pie oven", "train speed city", "triangle angle side", "bank money loan"]
    rows = [
        {"question": f"{topic} number {i}?", "response": f"It is {i} + {t} = {i + t}."}
        for topic in topics
        for i in range(15)
        for t in range(25)
    ]
    scored = rbic_hf.score(
        Dataset.from_list(rows), encoder=WordEncoder(), probe=False,
        config=RbicConfig(num_domains=4, duplicate_threshold=0.9999),
    )  # fmt: skip
    found = {(row["question"][:5], row["rbic_domain"]) for row in scored}
    assert len({domain for _, domain in found}) == 4
    assert len(found) == 4
    refined = rbic_hf.select(scored, 1.0)
    assert refined.num_rows == 60  # one of the 25 traces of each question


def test_a_row_that_is_its_own_reference_is_not_verified(
    dataset: Dataset, encoder: WordEncoder
) -> None:
    alone = dataset.select_columns(["question", "response"])
    scored = rbic_hf.score(alone, encoder=encoder, probe=False)
    assert set(scored["rbic_answer"]) == {"unverifiable", None}


def test_a_stream_of_splits_is_refined_and_its_other_splits_stay_streams(
    dataset: Dataset, encoder: WordEncoder
) -> None:
    streams = IterableDatasetDict(
        train=dataset.to_iterable_dataset(), test=dataset.select(range(3)).to_iterable_dataset()
    )
    refined = streams.pipe(rbic_refine, ratio=0.2, encoder=encoder, probe=False)
    assert isinstance(refined["train"], Dataset)
    assert isinstance(refined["test"], IterableDataset)
    scored = rbic_hf.score(streams, encoder=encoder, probe=False)
    assert rbic_hf.select(scored, 0.2)["train"].to_list() == refined["train"].to_list()


def test_a_failed_rollout_is_asked_again_in_the_next_run(
    dataset: Dataset, rows: list[dict[str, Any]], encoder: WordEncoder, tmp_path: Path
) -> None:
    class Away(TableProber):
        def probe(self, prompts: Any, *, n: int, seeds: Any) -> Any:
            yield from ((i, None) for i in range(len(prompts)))

    answers = {row["question"]: row["answer"] for row in rows}
    arguments: dict[str, Any] = {"config": SMALL, "encoder": encoder, "cache_dir": tmp_path}
    nothing = rbic_hf.score(dataset, prober=Away(answers), **arguments)
    assert set(nothing["rbic_tier"]) == {None}
    healthy = TableProber(answers)
    rbic_hf.score(dataset, prober=healthy, **arguments)
    assert healthy.num_prompts == 40


def test_an_edited_reference_is_graded_again(
    scored: Dataset, encoder: WordEncoder, prober: TableProber
) -> None:
    other = scored.map(lambda row: {"answer": "123456789"})
    again = rbic_hf.score(other, config=SMALL, encoder=encoder, prober=prober)
    assert sum(c or 0 for c in again["rbic_correct"]) == 0
    assert sum(c or 0 for c in scored["rbic_correct"]) > 0


def test_columns_of_the_user_survive_even_with_our_prefix(
    dataset: Dataset, encoder: WordEncoder
) -> None:
    noted = dataset.add_column("rbic_note", list(range(len(dataset))))
    refined = rbic_refine(noted, 0.3, encoder=encoder, probe=False)
    assert "rbic_note" in refined.column_names


def test_read_and_embedded_rows_can_be_scored(dataset: Dataset, encoder: WordEncoder) -> None:
    chained = dataset.map(rbic_hf.transforms.Read(), batched=True).map(
        rbic_hf.transforms.Embed(encoder), batched=True
    )
    scored = rbic_hf.score(chained, probe=False)
    assert scored["rbic_domain"] == rbic_hf.score(dataset, encoder=encoder, probe=False)[
        "rbic_domain"]  # fmt: skip


def test_pushing_several_splits_is_refused_before_anything_is_computed(dataset: Dataset) -> None:
    both = DatasetDict(a=dataset, b=dataset)
    with pytest.raises(ConfigError, match="one split"):
        rbic_refine(both, split=["a", "b"], encoder=Untouchable(), push_to="me/x", probe=False)


class FakeProxy(LikelihoodScorer):
    """Reads nothing: gain and entropy follow the question's length; no gain for every third."""

    def __init__(self) -> None:
        self.spec = {"proxy": "fake", "max_tokens": 1024}
        self.num_asked = 0

    def score(self, passages: Sequence[Passage]) -> Likelihoods:
        self.num_asked += len(passages)
        length = np.array([float(len(p.question)) for p in passages])
        return Likelihoods(length, length, np.where(length % 3 == 0, np.nan, length), length)


def test_a_proxy_without_weights_adds_its_columns_and_changes_nothing_else(
    dataset: Dataset, scored: Dataset, encoder: WordEncoder, prober: TableProber
) -> None:
    proxy = FakeProxy()
    told = rbic_hf.score(dataset, config=SMALL, encoder=encoder, prober=prober, proxy=proxy)
    assert told.remove_columns(list(PROXY_COLUMNS.values())).to_list() == scored.to_list()
    assert proxy.num_asked == scored.filter(is_clean).num_rows
    for row in told.to_list():
        if row["rbic_status"] != "clean":
            assert row["rbic_entropy"] is row["rbic_answer_gain"] is row["rbic_ifd"] is None
        else:
            length = len(row["question"])
            assert row["rbic_entropy"] == length
            assert row["rbic_answer_gain"] == (None if length % 3 == 0 else length)
    assert {told.features[c].dtype for c in PROXY_COLUMNS.values()} == {"float32"}


@pytest.mark.parametrize("name", ["gain_weight", "entropy_weight"])
def test_a_weight_puts_the_proxys_term_into_the_contribution(
    dataset: Dataset, scored: Dataset, encoder: WordEncoder, prober: TableProber, name: str
) -> None:
    config = replace(SMALL, **{name: 1000.0})
    told = rbic_hf.score(
        dataset, config=config, encoder=encoder, prober=prober, proxy=FakeProxy()
    ).filter(is_clean)
    plain = scored.filter(is_clean)
    assert told["rbic_contribution"] != plain["rbic_contribution"]
    assert told["rbic_depth"] == plain["rbic_depth"]
    refined = rbic_hf.refine(
        dataset, 0.3, config=config, encoder=encoder, prober=prober, proxy=FakeProxy(), method="hes"
    )
    assert 0 < refined.num_rows < plain.num_rows


def test_a_weight_without_a_proxy_asks_the_default_one(
    dataset: Dataset, encoder: WordEncoder, prober: TableProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, asked = FakeProxy(), []
    monkeypatch.setattr(engines, "resolve_proxy", lambda model: asked.append(model) or proxy)
    config = replace(SMALL, gain_weight=0.5)
    _, made = score_with_provenance(dataset, config=config, encoder=encoder, prober=prober)
    assert asked == [None] and proxy.num_asked and made.proxy == proxy.spec
    asked.clear()
    _, made = score_with_provenance(dataset, config=SMALL, encoder=encoder, prober=prober)
    assert asked == [] and made.proxy is None


def test_a_proxy_that_is_not_there_is_found_out_before_anything_is_embedded(
    dataset: Dataset, encoder: WordEncoder, tmp_path: Path
) -> None:
    with pytest.raises(ModelError):
        rbic_hf.score(dataset, encoder=encoder, probe=False, proxy=tmp_path / "nothing")
    with pytest.raises(ConfigError, match="proxy=7 is not accepted"):
        rbic_hf.score(dataset, encoder=encoder, probe=False, proxy=7)  # type: ignore[arg-type]
