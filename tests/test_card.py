"""The card: complete, strict, and deaf to what dataset texts try to say."""

from __future__ import annotations

from dataclasses import replace

import jinja2
import pytest
import yaml
from conftest import SMALL, TableProber, WordEncoder
from datasets import Dataset

import rbic_hf
from rbic_hf import card
from rbic_hf.config import METHODS
from rbic_hf.refinery import score_with_provenance
from rbic_hf.reporting import Report, Share
from rbic_hf.request import Provenance

HOSTILE = [
    "# heading",
    "---\nlicense: mit\n---",
    "{{ 7 * 7 }} {% raw %}",
    "<script>alert(1)</script>",
    "| a | b |",
    "[click](http://evil)",
    "<!-- rbic:end -->",
    "`code` **bold** \\",
]


@pytest.fixture
def made(dataset: Dataset, encoder: WordEncoder, prober: TableProber) -> tuple[Report, Provenance]:
    scored, provenance = score_with_provenance(
        dataset, config=SMALL, encoder=encoder, prober=prober
    )
    return rbic_hf.report(scored, rbic_hf.select(scored, 0.2)), provenance


def header(text: str) -> dict[str, object]:
    _, yaml_text, _ = text.split("---\n", 2)
    return dict(yaml.safe_load(yaml_text))


def test_a_card_has_valid_metadata_and_every_number(made: tuple[Report, Provenance]) -> None:
    report, provenance = made
    text = card.dataset_card(report, provenance, repo_id="me/small-math", source="org/math")
    assert header(text) == {
        "pretty_name": "small-math",
        "tags": ["rbic", "reasoning", "data-selection"],
        "task_categories": ["text-generation"],
        "size_categories": ["n<1K"],
    }
    assert f"{int(report.rows.kept)} of {int(report.rows.pool)} rows of org/math" in text
    for name, share in report.amounts():
        assert f"| {name} | {share.pool:,.0f} | {share.kept:,.0f} | {share.ratio:.2%} |" in text
    for tier in report.tiers:
        assert f"| {tier} |" in text
    for reason, fault in report.hygiene.items():
        rates = f"{fault.per_1000:.1f} | {fault.kept_per_1000:.1f}"
        assert f"| {reason.replace('_', ' ')} | {fault.rows} | {rates} |" in text
    assert "No benchmark was named" in text
    compared = card.dataset_card(report, replace(provenance, benchmarks={"exam": 1200}))
    assert "No benchmark" not in compared and "exam (1,200 questions)" in compared
    for word in ("words", "table", "None", "undefined"):
        assert (word in text) == (word in ("words", "table", "None")), word


@pytest.mark.parametrize("method", METHODS)
def test_a_card_says_which_method_chose_its_rows_and_only_rbics_says_rbic(
    made: tuple[Report, Provenance], method: str
) -> None:
    report, provenance = made
    other = replace(provenance, selection={**provenance.selection, "method": method})
    opening = card.dataset_card(report, other).split("<!-- rbic:start -->")[1].split("\n| |")[0]
    assert ("chosen with RBIC" in opening) == (method == "rbic")
    assert ("to hold an RBIC selection against, not one" in opening) == (
        method not in ("rbic", "twin")
    )
    assert card.BASELINES.get(method, "") in opening
    assert f"method: {method}" in card.dataset_card(report, other).replace("\\", "")


def test_a_card_says_that_difficulty_was_not_measured(dataset: Dataset) -> None:
    scored, provenance = score_with_provenance(
        dataset, config=SMALL, encoder=WordEncoder(), probe=False
    )
    report = rbic_hf.report(scored, rbic_hf.select(scored, 0.2))
    text = card.dataset_card(report, provenance)
    assert "not measured (no rollouts)" in text
    assert "## Difficulty" not in text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_label_changes_nothing_around_it(
    made: tuple[Report, Provenance], text: str
) -> None:
    report, provenance = made
    plain = card.dataset_card(replace(report, domains={"X": Share(1, 1)}), provenance)
    hostile = card.dataset_card(replace(report, domains={text: Share(1, 1)}), provenance)
    changed = [
        (a, b) for a, b in zip(plain.splitlines(), hostile.splitlines(), strict=True) if a != b
    ]
    assert changed == [("| X | 100.0% | 100.0% |", f"| {card.escape(text)} | 100.0% | 100.0% |")]
    assert "<" not in card.escape(text)
    assert header(hostile) == header(plain)


def test_a_variable_that_nobody_gives_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        card._render(title="only this")


@pytest.mark.parametrize(
    ("rows", "tag"),
    [(1, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**5, "100K<n<1M"), (10**6, "1M<n<10M")],
)
def test_size_tags_are_those_of_the_hub(rows: int, tag: str) -> None:
    assert card._size_category(rows) == tag
