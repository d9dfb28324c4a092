"""The command line: arguments, exit codes, what is written; real models in test_demo.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import TableProber, WordEncoder
from datasets import Dataset, load_from_disk

from rbic_hf import cli, engines


@pytest.fixture
def source(rows: list[dict[str, Any]], tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    Dataset.from_list(rows).to_json(str(path))
    return path


@pytest.fixture(autouse=True)
def fakes(rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a missing --encoder and --prober mean the fakes: the real defaults need the Hub."""
    answers = {row["question"]: row["answer"] for row in rows}
    monkeypatch.setattr(engines, "resolve_encoder", lambda encoder: WordEncoder())
    monkeypatch.setattr(engines, "resolve_prober", lambda prober, config: TableProber(answers))


def test_refine_writes_dataset_report_card_and_settings(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["refine", str(source), "--ratio", ".3", "--out", str(out), "--max-probe-rows", "40"]
    assert cli.main(command) == 0
    shown = capsys.readouterr().out
    refined, scored = load_from_disk(str(out / "refined")), load_from_disk(str(out / "scored"))
    assert 0 < refined.num_rows < scored.num_rows == 160
    assert (out / "report.txt").read_text().strip() in shown
    assert (out / "README.md").read_text().startswith("---\n")
    described = json.loads((out / "rbic.json").read_text())
    assert described["made"]["config"]["max_probe_rows"] == 40
    assert described["made"]["encoder"] == {"encoder": "words", "dim": 64}
    assert described["report"]["rows"]["kept"] == refined.num_rows
    assert not list(tmp_path.glob("**/.saving-*"))


def test_score_select_and_report_make_the_same_road_in_steps(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored, half = tmp_path / "s", tmp_path / "h"
    assert cli.main(["score", str(source), "--out", str(scored)]) == 0
    command = ["select", str(scored / "scored"), "--ratio", ".08", "--unit", "tokens"]
    assert cli.main([*command, "--out", str(half)]) == 0
    twin = tmp_path / "t"
    assert cli.main([*command, "--method", "twin", "--out", str(twin)]) == 0
    capsys.readouterr()
    folders = [str(scored / "scored"), str(half / "refined")]
    assert cli.main(["report", *folders]) == 0
    assert "kept" in capsys.readouterr().out
    assert cli.main(["report", *folders, "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    kept = load_from_disk(str(half / "refined"))
    assert numbers["rows"]["kept"] == kept.num_rows
    assert load_from_disk(str(twin / "refined"))["rbic_key"] != kept["rbic_key"]


def test_a_run_without_rollouts_is_labelled(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["refine", str(source), "--no-probe", "--out", str(tmp_path / "o")]) == 0
    assert "difficulty: not measured" in capsys.readouterr().out


def test_columns_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("frage,lösung\nWhat is 2+3?,2+3=5. The answer is 5.\n", "utf-8")
    command = ["refine", str(path), "--no-probe", "--out", str(tmp_path / "o")]
    assert cli.main(command) == 1
    error = capsys.readouterr().err
    assert "No known layout" in error
    assert "frage" in error
    assert cli.main([*command, "--question", "frage", "--response", "lösung"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["refine", "gone.jsonl"], 1, "gone.jsonl"),
        (["refine", "{source}", "--out", "{source}"], 2, "is a file; give a folder"),
        (["refine", "{source}", "--alpha", "2", "--out", "o"], 2, "alpha=2.0 is not accepted"),
        (["refine", "{source}", "--question", "q", "--out", "o"], 1, "'q'"),
        (["refine", "{source}", "--no-probe", "--prober", "x", "--out", "o"], 2, "exclude"),
        (["score", "{source}", "--pass-rate", "p", "--num-correct", "c", "--out", "o"], 2, "excl"),
        (["score", "{source}", "--num-runs", "4", "--out", "o"], 2, "--num-runs goes with"),
        (["score", "{source}", "--pass-rate", "p", "--out", "o"], 1, "no column 'p'"),
        (["score", "{source}", "--prober-model", "m", "--out", "o"], 2, "go with --prober http"),
        (["score", "{source}", "--num-correct", "c", "--out", "o"], 2, "--num-correct needs"),
        (["refine", "{source}", "--split", "dev", "--out", "o"], 1, "dev"),
        (["select", "{source}", "--out", "o"], 1, "score the dataset first"),
        (["report", "{source}", "{source}"], 1, "score the dataset first"),
    ],
)
def test_failures_are_one_plain_line(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([part.format(source=source) for part in arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["refine"], "SOURCE"),
        (["refine", "x", "--ratio", "0"], "'0' is not accepted"),
        (["refine", "x", "--ratio", "1.5"], "'1.5' is not accepted"),
        (["refine", "x", "--ratio", "a"], "give a number"),
        (["refine", "x", "--unit", "euros"], "euros"),
        (["polish"], "polish"),
        ([], "COMMAND"),
    ],
)
def test_bad_arguments_exit_with_two(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_failure_inside_shows_its_traceback_with_debug_only(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def broken(encoder: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(engines, "resolve_encoder", broken)
    command = ["refine", str(source), "--out", str(tmp_path / "o")]
    assert cli.main(command) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "rbic: ZeroDivisionError: inside"
    with pytest.raises(ZeroDivisionError):
        cli.main([*command, "--debug"])


def test_control_characters_of_a_dataset_never_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evil.jsonl"
    path.write_text(json.dumps({"\x1b[31mquestion\x07": "q"}) + "\n")
    assert cli.main(["refine", str(path), "--out", str(tmp_path / "o")]) == 1
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert "\x07" not in error


@pytest.mark.parametrize("command", ["refine", "score", "select", "report", "demo"])
def test_help_says_what_a_newcomer_needs(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert "default" in text or command == "report"
    if command in ("refine", "score"):
        assert "SOURCE is a Hub id" in text


def test_results_are_never_written_over_other_files(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("mine")
    assert cli.main(["refine", str(source), "--out", str(tmp_path / "home")]) == 2
    assert "thesis.tex" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["thesis.tex"]


def test_a_card_that_is_not_ours_is_never_replaced(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj" / "README.md").write_text("# my project")
    command = ["refine", str(source), "--no-probe", "--out", str(tmp_path / "proj")]
    assert cli.main(command) == 2
    assert "not a card of rbic" in capsys.readouterr().err
    assert (tmp_path / "proj" / "README.md").read_text() == "# my project"


def test_selecting_into_the_folder_of_a_run_renews_its_report_and_card(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert cli.main(["refine", str(source), "--no-probe", "--ratio", ".3", "--out", str(out)]) == 0
    before = (out / "README.md").read_text()
    assert cli.main(["select", str(out), "--ratio", ".1", "--out", str(out)]) == 0
    kept = load_from_disk(str(out / "refined")).num_rows
    assert f"kept {kept} of " in (out / "report.txt").read_text()
    described = json.loads((out / "rbic.json").read_text())
    assert described["made"]["selection"] == {"ratio": 0.1, "unit": "cost", "method": "rbic"}
    assert (out / "README.md").read_text() != before
    assert not list((out / "scored").glob("cache-*"))


def test_selecting_from_a_selection_is_said(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    assert cli.main(["refine", str(source), "--no-probe", "--out", str(out)]) == 0
    from rbic_hf import select

    with caplog.at_level("WARNING", "rbic_hf"):
        import logging

        logging.getLogger("rbic_hf").propagate = True
        select(load_from_disk(str(out / "refined")), 0.5)
    assert "a selection already" in caplog.text


def test_every_setting_is_explained_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["score", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "length dial: above 0 favours long rows" in text
    assert "largest share of the budget for questions never solved" in text


def test_solve_rates_of_the_dataset_stand_in_for_rollouts(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "rated.jsonl"
    rated = [{**row, "solved": i % 5, "tries": 4} for i, row in enumerate(rows)]
    Dataset.from_list(rated).to_json(str(path))
    command = ["score", str(path), "--num-correct", "solved", "--num-runs", "tries"]
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == 0
    scored = load_from_disk(str(tmp_path / "out" / "scored")).to_pandas()
    clean = scored[scored.rbic_status == "clean"]
    assert (clean.rbic_rollouts == 4).all()
    assert (clean.rbic_correct == clean.solved).all()
