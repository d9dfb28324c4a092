"""A row explained: what is said agrees with the columns, and no row can say more than text."""

from __future__ import annotations

import math
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import SMALL, TableProber, WordEncoder
from datasets import Dataset, DatasetDict
from scipy.stats import rankdata

import rbic_hf
from rbic_hf import ConfigError, DataError, Explanation, cli, explain, picking
from rbic_hf.columns import COLUMNS
from rbic_hf.complexity import MEASURES
from rbic_hf.contribution import length_bins
from rbic_hf.plain_text import END, ISOLATE
from rbic_hf.sample import make_sample
from rbic_hf.transforms import is_clean


@pytest.fixture(scope="module")
def scored() -> Dataset:
    rows = make_sample(160, seed=3)
    prober = TableProber({row["question"]: row["answer"] for row in rows})
    return rbic_hf.score(
        Dataset.from_list(rows),
        config=SMALL,
        encoder=WordEncoder(),
        prober=prober,
        cache_dir=False,
    )


@pytest.fixture(scope="module")
def explained(scored: Dataset) -> list[Explanation]:
    return [explain(scored, row) for row in range(scored.num_rows)]


def statuses(scored: Dataset, *wanted: str) -> list[int]:
    return [i for i, status in enumerate(scored["rbic_status"]) if status in wanted]


def first(scored: Dataset, status: str = "clean") -> int:
    """Return the first row of a status; a clean one has a rank."""
    ranks = scored["rbic_rank"]
    return next(i for i in statuses(scored, status) if status != "clean" or ranks[i] is not None)


# --- the numbers ---------------------------------------------------------------------------------


def test_terms_add_up_to_the_contribution_of_every_row(
    scored: Dataset, explained: list[Explanation]
) -> None:
    clean = statuses(scored, "clean")
    assert len(clean) > 100
    for row in clean:
        terms = {term.name: term.value for term in explained[row].terms}
        work = terms["z_depth"] - terms["branch penalty"] - terms["loop penalty"]
        assert terms["work"] == pytest.approx(work, abs=1e-6)
        drawn = 0.5 + terms["confidence"] * (terms["percentile"] - 0.5)
        assert terms["drawn to the middle"] == pytest.approx(drawn, abs=1e-6)
        assert terms["contribution"] == pytest.approx(terms["answer weight"] * drawn, abs=1e-6)
        assert terms["contribution"] == scored[row]["rbic_contribution"]
    for row in set(range(scored.num_rows)) - set(clean):
        assert explained[row].terms == ()


def test_the_percentile_follows_the_work_inside_tier_and_length_decile(
    scored: Dataset, explained: list[Explanation]
) -> None:
    clean = statuses(scored, "clean")
    work = np.array([explained[i].terms[3].value for i in clean]).round(5)
    percentile = np.array([explained[i].terms[4].value for i in clean])
    decile = length_bins(np.array(scored["rbic_tokens"], float)[clean], 10)
    cell = [f"{scored[i]['rbic_tier']} {d}" for i, d in zip(clean, decile, strict=True)]
    for name in set(cell):
        rows = np.flatnonzero(np.array(cell) == name)
        expected = (rankdata(work[rows]) - 0.5) / len(rows)
        np.testing.assert_allclose(percentile[rows], expected, atol=1e-6)


def test_the_graph_of_now_is_the_one_that_was_measured(
    scored: Dataset, explained: list[Explanation]
) -> None:
    for row in statuses(scored, "clean"):
        assert explained[row].notes == ()
        for name in MEASURES:
            now = getattr(explained[row].trace.complexity, name)
            assert scored[row][f"rbic_{name}"] == pytest.approx(now, abs=1e-6)


def test_numbers_in_the_text_are_those_of_the_columns(
    scored: Dataset, explained: list[Explanation]
) -> None:
    for row in statuses(scored, "clean")[:40]:
        values, text = scored[row], " ".join(str(explained[row]).split())
        for name in ("depth_z", "percentile", "confidence", "contribution"):
            label = {"depth_z": "z_depth"}.get(name, name)
            assert f" {label} {values[f'rbic_{name}']:.3f} " in text
        for name in ("steps", "novel_steps", "depth", "width", "edges", "operators"):
            assert f" {name.replace('_', ' ')} {values[f'rbic_{name}']}" in text
        for name in ("branch_density", "loop_share", "tail_share"):
            assert f"{name.replace('_', ' ')} {values[f'rbic_{name}']:.3f}" in text
        if values["rbic_rank"] is not None:
            assert f"rank {values['rbic_rank']} of " in text
        assert f"knowledge domain {values['rbic_domain']} " in text
        assert (
            f"difficulty: {values['rbic_tier']}, pass rate {values['rbic_pass_rate']:.2f}" in text
        )


@pytest.mark.parametrize("unit", ["cost", "tokens", "rows"])
def test_a_row_is_kept_from_the_ratio_that_is_said_and_not_below(scored: Dataset, unit) -> None:
    ratios = picking.kept_from(scored, unit)
    ranks = np.array(scored["rbic_rank"], float)
    for row in np.flatnonzero(np.isfinite(ranks))[::9].tolist():
        key, ratio = scored[row]["rbic_key"], ratios[row]
        text = " ".join(str(explain(scored, row)).split())
        if ranks[row] == 0:
            assert ratio == 0
            assert "kept at every ratio" in text
            ratio = 1e-6
        else:
            said = re.search(rf"(\d?\.\d+) of the {unit}", text)
            assert said
            assert key in rbic_hf.select(scored, float(said[1]), unit=unit)["rbic_key"]
            assert key not in rbic_hf.select(scored, ratio * (1 - 1e-6), unit=unit)["rbic_key"]
        assert key in rbic_hf.select(scored, ratio, unit=unit)["rbic_key"]
    assert np.isnan(ratios[~np.isfinite(ranks)]).all()


# --- why -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("clean", "usable"),
        ("duplicate", "set aside: question, response and reference are those of an earlier row"),
        ("no_response", "set aside: it has no response"),
        ("unfinished_thinking", "set aside: its thinking was cut off"),
        ("repetition", "set aside: its response runs in a loop"),
    ],
)
def test_the_reason_comes_first(scored: Dataset, status: str, sentence: str) -> None:
    row = first(scored, status)
    found = explain(scored, row)
    assert found.verdict[0].startswith(sentence)
    assert str(found).startswith(f"row {row}\n  {sentence}")


def test_an_exact_copy_names_the_row_that_stands_for_it(scored: Dataset) -> None:
    keys = scored["rbic_key"]
    for row in statuses(scored, "duplicate"):
        assert f"row {keys.index(keys[row])} with rank" in str(explain(scored, row)) or (
            scored[keys.index(keys[row])]["rbic_rank"] is None
        )


def test_a_near_duplicate_names_the_row_that_is_picked_instead(scored: Dataset) -> None:
    alone = [i for i in statuses(scored, "clean") if scored[i]["rbic_rank"] is None]
    assert alone
    for row in alone:
        found = explain(scored, row)
        assert found.place is not None
        group = scored[row]["rbic_duplicate_group"]
        picked, rank = found.place.group[0]
        assert scored[picked]["rbic_duplicate_group"] == group
        assert scored[picked]["rbic_rank"] == rank is not None
        assert f"row {picked} with rank {rank}" in " ".join(str(found).split())


def test_of_rows_marked_kept_or_not_the_end_of_the_budget_is_said(scored: Dataset) -> None:
    marked = rbic_hf.select(scored, 0.2, keep_all_rows=True)
    kept, beyond = first(marked, "kept"), first(marked, "budget")
    last = max(r for r, s in zip(marked["rbic_rank"], marked["rbic_status"], strict=True)
               if s == "kept")  # fmt: skip
    for row in (kept, beyond):
        assert f"the budget ended after rank {last}" in str(explain(marked, row))
    assert explain(marked, kept).verdict[0].startswith("kept")
    assert "beyond the budget" in explain(marked, beyond).verdict[0]
    twin = rbic_hf.select(scored, 0.2, method="twin", keep_all_rows=True)
    for row in statuses(twin, "kept"):
        assert "not chosen by rank" in " ".join(str(explain(twin, row)).split())


def test_a_refined_row_says_what_it_cannot_tell(scored: Dataset) -> None:
    refined = rbic_hf.select(scored, 0.2)
    found = explain(refined, 0)
    assert "from which ratio on, cannot be told" in " ".join(str(found).split())
    assert "not in these columns: rbic_depth_z" in found.notes[0]
    assert found.terms == ()
    assert found.measures["depth"] == refined[0]["rbic_depth"]


# --- what may be given ---------------------------------------------------------------------------


def test_a_row_alone_is_explained_without_its_place(scored: Dataset) -> None:
    row = first(scored)
    alone, whole = explain(scored[row]), explain(scored, row)
    assert alone.place is None
    assert alone.terms == whole.terms
    assert alone.trace == whole.trace
    assert "kept from ratio" in str(whole)
    assert "kept from ratio" not in str(alone)
    assert f"rank {scored[row]['rbic_rank']}" in str(alone)


def test_a_row_is_found_by_its_key_and_in_its_split(scored: Dataset) -> None:
    row = first(scored)
    key = scored[row]["rbic_key"]
    assert explain(scored, key=key).row == row
    both = DatasetDict({"train": scored, "test": scored.select(range(5))})
    assert explain(both, row).row == row
    assert explain(both, 4, split="test").place.num_ranked <= 5
    view = scored.select([row, 0])
    assert explain(view, 0).trace == explain(scored, row).trace


def test_an_unscored_row_shows_its_graph_and_says_what_is_missing() -> None:
    row = make_sample(1, seed=5)[0]
    for found in (explain(row), explain(Dataset.from_list([row]), 0)):
        assert found.verdict == found.terms == ()
        assert "not scored" in found.notes[0]
        assert len(found.trace.nodes) > 1
        assert "reasoning:" in str(found)
        assert "not scored" in found.as_html()


def test_an_unscored_row_that_would_be_set_aside_says_so() -> None:
    found = explain({"question": "What is 2 + 2?", "response": ""})
    assert "a run would set it aside: no_response" in found.notes
    assert "no reasoning was found" in str(found)
    ElementTree.fromstring(found.as_svg())


def test_columns_can_be_named() -> None:
    row = {"frage": "What is 2 + 3?", "text": "2 + 3 = 5. The answer is 5."}
    with pytest.raises(DataError, match="No known layout"):
        explain(row)
    found = explain(row, columns={"question": "frage", "response": "text"})
    assert found.reading.question == "What is 2 + 3?"


def test_an_edited_row_is_not_mixed_with_its_scores(scored: Dataset) -> None:
    row = dict(scored[first(scored)])
    row["response"] += "\nSo 2 + 3 = 5."
    assert "not the one that was scored" in explain(row).notes[0]


def test_scores_of_another_version_are_told_from_the_graph_of_now(scored: Dataset) -> None:
    row = dict(scored[first(scored)])
    depth = row["rbic_depth"]
    row["rbic_depth"] = depth + 5
    found = explain(row)
    assert f"depth {depth + 5}, now {depth}" in found.notes[0]
    assert found.measures["depth"] == depth + 5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"row": 160}, DataError, "row=160 is not in the dataset; rows are numbered from 0 to 159"),
        ({"row": -1}, DataError, "row=-1 is not in the dataset"),
        ({"row": 1.0}, ConfigError, "row=1.0 is not accepted"),
        ({"row": True}, ConfigError, "row=True is not accepted"),
        ({"row": "3"}, ConfigError, "row='3' is not accepted"),
        ({}, ConfigError, "name one row"),
        ({"row": 1, "key": "a"}, ConfigError, "name one row"),
        ({"key": "nothing"}, DataError, "no row has the rbic_key 'nothing'"),
        ({"row": 1, "columns": {"question": "gone"}}, DataError, "'gone'"),
    ],
)
def test_what_cannot_be_explained_says_why(
    scored: Dataset, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        explain(scored, **arguments)


def test_other_things_than_rows_and_datasets_are_refused(scored: Dataset) -> None:
    with pytest.raises(ConfigError, match="list is not accepted; give a row as a dict"):
        explain([scored[0]])
    with pytest.raises(ConfigError, match="go with a dataset"):
        explain(scored[0], 3)
    with pytest.raises(DataError, match="'rbic_key' is not in the dataset; score"):
        explain(Dataset.from_list(make_sample(2, seed=0)), key="a")
    with pytest.raises(DataError, match="no such split"):
        explain(DatasetDict({"train": scored}), 0, split="dev")


# --- hostile rows --------------------------------------------------------------------------------

NASTY = (
    "<script>alert(1)</script>\"&'\x1b[31m\x1b]0;mine\x07\x00\x9b\u202e\u2066]]>\ud800-->"
    "<svg onload=x>"
)
CELLS = {
    "scripts": f"{NASTY}\nLet x = 3 {NASTY}\ny = x + 2 = 5\n{NASTY} is 5",
    "arabic": "لنفرض x = 3\nإذن y = x + 2 = 5\nالجواب هو 5",
    "nul": "\x00" * 1000,
    "one long line": "x = 3 + " * 130_000,
    "many lines": "".join(f"a{i} = a{i - 1} + 1\n" for i in range(1, 6000)),
    "marks": "e\u0301" + "\u0301" * 5000 + " = 4",
}


class Page(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "rect", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_harmless(found: Explanation) -> None:
    texts = [str(found), found.as_text(show_all=True)]
    for text in texts:
        steering = {c for c in text if unicodedata.category(c)[0] == "C"}
        assert steering <= {"\n", ISOLATE, END}
        assert text.count(ISOLATE) == text.count(END)
    svg, html = found.as_svg(), found.as_html()
    ElementTree.fromstring(svg)
    ElementTree.fromstring(html.removeprefix("<!DOCTYPE html>"))  # well-formed, as XML too
    page = Page(html)
    assert page.open == []
    assert not {"script", "iframe", "img", "link", "object"} & set(page.tags)
    assert not {a for a in page.attributes if a.startswith("on") or a in ("src", "href")}
    assert page.tags.count("svg") == 1
    for text in (svg, html, found._repr_html_()):
        assert "<script" not in text.lower()
        text.encode("utf-8")
        assert not {c for c in text if unicodedata.category(c) == "Cc"} - {"\n"}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("column", ["question", "response", "answer"])
def test_hostile_cells_are_shown_as_text(cell: str, column: str) -> None:
    row = {"question": "What is x?", "response": "x = 3\nThe answer is 3.", "answer": "3"}
    check_harmless(explain({**row, column: CELLS[cell]}))


@pytest.mark.parametrize("value", [NASTY, None, 3, float("nan"), [1], {"a": 1}, b"x", True])
def test_hostile_scores_are_shown_as_text(scored: Dataset, value: Any) -> None:
    row = dict(scored[first(scored)])
    for column in COLUMNS:
        check_harmless(explain({**row, column.name: value}))
    check_harmless(explain({**row, **{column.name: value for column in COLUMNS}}))


def test_hostile_column_names_are_shown_as_text() -> None:
    row = {"question": "What is x?", NASTY: "x = 3\nThe answer is 3."}
    check_harmless(explain(row, columns={"response": NASTY}))


@pytest.mark.parametrize(
    "row", [{"question": None, "response": None}, {"question": 3, "response": 4}]
)
def test_rows_without_text_are_explained_or_refused(row: dict[str, Any]) -> None:
    try:
        check_harmless(explain(row))
    except DataError as error:
        assert "not text" in str(error)


# --- the looks -----------------------------------------------------------------------------------


def test_a_long_trace_is_folded_around_its_chain_and_can_be_shown_whole() -> None:
    lines = [f"b{i} = {i} + {i + 1000}\na{i} = a{i - 1} + 1" for i in range(1, 101)]
    found = explain({"question": "How many?", "response": "\n".join(lines)})
    text, whole = str(found), found.as_text(show_all=True)
    assert len(text.splitlines()) < 120 < 200 < len(whole.splitlines())
    assert "folded:" in text
    assert "folded:" not in whole
    for at in range(len(found.trace.nodes)):
        assert f" {at + 1:>3}  " in whole


def test_marks_say_what_a_segment_is() -> None:
    response = "a = 2 + 3 = 5\nHow nice.\nb = a + 1 = 6\nb = a + 1 = 6\nThe answer is 6."
    text = str(explain({"question": "How many?", "response": response}))
    rows = {int(m[2]): m[1] for m in re.finditer(r"^  (..) +(\d+)  ", text, re.MULTILINE)}
    assert rows[1] == rows[3] == "* "
    assert (rows[2], rows[4]) == (" .", " ~")
    assert re.search(r"3  b = a \+ 1 = 6  <- 1 \(a\)", text)


def test_the_page_loads_nothing_and_holds_everything(explained: list[Explanation], scored) -> None:
    row = first(scored)
    html = explained[row].as_html()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg\")", html)
    assert "@import" not in html and "url(" not in html
    for term in explained[row].terms:
        assert f">{term.value:.3f}<" in html
    assert html.count("<tr") == len(explained[row].trace.nodes) + 1 + len(explained[row].terms)


# --- the command line ----------------------------------------------------------------------------


@pytest.fixture
def folder(scored: Dataset, tmp_path: Path) -> Path:
    scored.save_to_disk(str(tmp_path / "out" / "scored"))
    return tmp_path / "out"


def test_the_command_prints_and_writes(
    scored: Dataset, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = first(scored)
    page, picture = tmp_path / "row.html", tmp_path / "row.svg"
    command = ["explain", str(folder), "--row", str(row)]
    assert cli.main([*command, "--html", str(page), "--svg", str(picture)]) == 0
    shown = capsys.readouterr().out
    found = explain(scored, row)
    assert shown.startswith(str(found))
    assert shown.endswith(f"written: {page}\nwritten: {picture}\n")
    assert page.read_text("utf-8") == found.as_html()
    assert picture.read_text("utf-8") == found.as_svg()
    key = scored[row]["rbic_key"]
    assert cli.main(["explain", str(folder / "scored"), "--key", key, "--all"]) == 0
    assert capsys.readouterr().out == found.as_text(show_all=True) + "\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--row", "160"], 1, "row=160 is not in the dataset"),
        (["--key", "\x1b[1m"], 1, "no row has the rbic_key"),
        (["--row", "1", "--svg", "{folder}"], 2, "give a file in a folder that exists"),
        (["--row", "1", "--html", "{folder}/gone/x.html"], 2, "give a file in a folder"),
        (["--row", "1", "--question", "gone"], 1, "'gone'"),
    ],
)
def test_failures_of_the_command_are_one_plain_line(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    given = [part.format(folder=folder) for part in arguments]
    assert cli.main(["explain", str(folder), *given]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--row", "1", "--key", "a"], ["--row", "x"]])
def test_the_command_wants_one_row(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["explain", "scored", *arguments])
    assert stopped.value.code == 2


def test_scores_are_finite_where_a_row_is_clean(scored: Dataset) -> None:
    names = ("rbic_depth_z", "rbic_branch_z", "rbic_loop_z", "rbic_percentile")
    for row in scored.filter(is_clean).select_columns(list(names)).to_list():
        assert all(math.isfinite(value) for value in row.values())
