"""The dataset card: numbers of a report into the template, every dataset text escaped.

Rendering is pure and strict: a variable that the template names and nobody gives is an error.
"""

from __future__ import annotations

import html
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from rbic_hf.faults import Fault
from rbic_hf.reporting import CALIBRATED, Comparison, Report, Share
from rbic_hf.request import Provenance

TEMPLATE = "dataset_card.md.j2"
DOMAINS_SHOWN = 20

# these texts never start a line, so that marks which only mean something there stay as they are
_MARKDOWN = re.compile(r"([\\`*_\[\]#|~$])")

# what the card of a selection that is not RBIC's says it is
BASELINES = {
    "random": "drawn at random for that cost",
    "random_rows": "drawn at random, that share of the rows",
    "longest": "the longest",
    "shortest": "the shortest",
    "contribution": "those of the highest inference contribution, wherever they are",
    "k_center": "chosen by farthest-first traversal of their embeddings (k-center)",
    "centroids": "those nearest to k-means centroids of their embeddings",
    "facility_location": "chosen to cover all questions (facility location)",
    "ifd": "those of the highest instruction-following difficulty",
    "hes": "those where a small model is the most uncertain (high-entropy sum)",
    "gain": "those whose reasoning helps a small model the most with the answer",
}


def dataset_card(
    report: Report, made: Provenance, *, repo_id: str | None = None, source: str | None = None
) -> str:
    """Return the card of a refined dataset as Markdown with a YAML header.

    Args:
        report: its numbers.
        made: how the scored dataset came about.
        repo_id: where it goes, for the title.
        source: what it was refined from: a Hub id, or a plain name.
    """
    title = (repo_id or "refined dataset").split("/")[-1]
    rows = int(report.rows.kept)
    metadata = {
        "pretty_name": title,
        "tags": ["rbic", "reasoning", "data-selection"],
        "task_categories": ["text-generation"],
        "size_categories": [_size_category(rows)],
    }
    covered = sum(share.kept > 0 for share in report.domains.values())
    method = made.selection.get("method", "rbic")
    return _render(
        is_twin=method == "twin",
        baseline=None if method in ("rbic", "twin") else BASELINES[method],
        unmeasured=report.difficulty_note(),
        metadata="\n".join(f"{key}: {json.dumps(value)}" for key, value in metadata.items()),
        title=escape(title),
        source=escape(source or "a reasoning dataset"),
        kept_rows=f"{rows:,}",
        pool_rows=f"{int(report.rows.pool):,}",
        cost_share=f"{report.cost.ratio:.1%}",
        amounts=[
            (name, f"{s.pool:,.0f}", f"{s.kept:,.0f}", f"{s.ratio:.2%}")
            for name, s in report.amounts()
        ],
        tiers=_shares(report.tiers),
        calibration=[
            (CALIBRATED[name], f"{c.brier:.3f}", f"{c.mae:.3f}", f"{c.tier_accuracy:.1%}")
            for name, c in report.calibration.items()
        ],
        measured=f"Pass rates: {report.measured_note()}.",
        domains=_shares(dict(list(report.domains.items())[:DOMAINS_SHOWN])),
        domains_covered=f"{covered} of {len(report.domains)} domains are covered",
        comparisons=[
            (name, *(_shown(v) for v in (c.pool, c.kept, c.twin)))
            for name, c in _comparisons(report)
        ],
        hygiene=[
            (escape(reason.replace("_", " ")), f"{fault.rows:,}", *_rates(fault))
            for reason, fault in report.hygiene.items()
        ],
        compared=bool(made.benchmarks),
        made=_provenance(made),
    )


def escape(text: str, *, limit: int = 200) -> str:
    """Return text as one line that Markdown, HTML, YAML and Jinja take as plain text."""
    line = " ".join(text.split())[:limit]
    return _MARKDOWN.sub(r"\\\1", html.escape(line, quote=False))


def _render(**values: Any) -> str:
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_template(TEMPLATE)).render(**values)


def _template(name: str) -> str:
    """Return a template's text: from the wheel, or from the repository's folder beside it."""
    packaged = resources.files("rbic_hf") / "model_card_templates" / name
    if packaged.is_file():
        return packaged.read_text("utf-8")
    folder = Path(__file__).resolve().parent.parent / "model_card_templates"
    return (folder / name).read_text("utf-8")


def _shares(shares: dict[str, Share]) -> list[tuple[str, str, str]]:
    return [(escape(name), f"{s.pool:.1%}", f"{s.kept:.1%}") for name, s in shares.items()]


def _comparisons(report: Report) -> list[tuple[str, Comparison]]:
    named = [
        ("contribution", report.contribution),
        ("depth of reasoning", report.depth),
        ("coverage", report.coverage),
    ]
    return [(name, c) for name, c in named if c.kept is not None]


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _rates(fault: Fault) -> tuple[str, str]:
    return f"{fault.per_1000:.1f}", f"{fault.kept_per_1000:.1f}"


def _provenance(made: Provenance) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = [("layout", escape(made.layout))]
    lines += [(name, escape(str(value))) for name, value in made.selection.items()]
    for name, spec in (
        ("encoder", made.encoder), ("prober", made.prober), ("proxy", made.proxy),
    ):  # fmt: skip
        if spec:
            lines.append((name, escape(_named(spec, name))))
    student = made.student.get("student")
    lines.append(("tokens counted with", escape(student or "an estimate from the text")))
    if made.benchmarks:
        named = ", ".join(f"{name} ({n:,} questions)" for name, n in made.benchmarks.items())
        lines.append(("compared with benchmarks", escape(named, limit=2000)))
    settings = ", ".join(f"{key}={value}" for key, value in made.config.items())
    lines.append(("settings", escape(settings, limit=2000)))
    return lines


def _named(spec: dict[str, Any], what: str) -> str:
    name = str(spec.get(what, "own object"))
    revision = spec.get("revision")
    return f"{name} @ {str(revision)[:12]}" if revision else name


def _size_category(rows: int) -> str:
    """Return the Hub's size tag."""
    edges = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
    return next((tag for edge, tag in edges if rows < edge), "1M<n<10M")
