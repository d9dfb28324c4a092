"""The columns that rbic_hf adds: one table from which features and the README are made."""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "rbic_"

TIERS = ("easy", "medium", "hard", "unsolved")

KEPT = "kept"
CLEAN = "clean"
BUDGET = "budget"
CONTAMINATED = "contaminated"


@dataclass(frozen=True)
class Column:
    """One added column.

    Attributes:
        name: its name, always starting with `rbic_`.
        dtype: its type as `datasets` writes it; "vector" is a fixed-length list of float32.
        range: the values it takes.
        direction: what a higher value means; "" where order has no meaning.
        meaning: what it holds, and what a missing value means.
        refined: whether a refined dataset carries it without being asked.
    """

    name: str
    dtype: str
    range: str
    direction: str
    meaning: str
    refined: bool = True


COLUMNS: tuple[Column, ...] = (
    Column(
        "rbic_status", "string", "kept, clean, budget, or a reason", "",
        "kept: in the refined dataset; clean: usable; budget: usable, but beyond the budget; "
        "duplicate, no_question, no_response, not_text, multi_turn, tool_call, too_long, "
        "unfinished_thinking, repetition, refusal, cut_off, mixed_language, contaminated, "
        "not_embedded: set aside, and why",
    ),
    Column(
        "rbic_contaminated_by", "string", "n-gram, copy or cosine, and NAME:ROW", "",
        "the benchmark question, by its row, that the question is a copy of, shares words in a row "
        "with (so many), or is nearly the same as by embedding; only with benchmarks=. Null: not "
        "set aside as contaminated", refined=False,
    ),
    Column(
        "rbic_rank", "int32", "0 .. rows - 1", "picked later",
        "global pick order; every ratio is a prefix of it. Null: set aside, or another row of its "
        "duplicate group is picked instead",
    ),
    Column(
        "rbic_key", "string", "32 hex digits", "",
        "hash of question, response and reference as read; joins runs and finds old results again",
    ),
    Column(
        "rbic_embedding", "vector", "unit length", "",
        "embedding of the question, L2-normalised. Null: set aside", refined=False,
    ),
    Column(
        "rbic_embedding_cut", "bool", "true, false", "",
        "the question is longer than the encoder reads. Null: not known, or set aside",
        refined=False,
    ),
    Column(
        "rbic_domain", "int32", "0 .. domains - 1", "",
        "knowledge domain: Leiden community of the question graph, the one of most questions "
        "first. Null: set aside",
    ),
    Column(
        "rbic_domain_label", "string", "up to three words", "",
        "the domain's distinctive words. Null: set aside",
    ),
    Column(
        "rbic_core", "float32", "0 .. 1", "more central",
        "percentile of the row's weighted degree inside its domain. Null: set aside",
    ),
    Column(
        "rbic_duplicate_group", "int32", "0 .. groups - 1", "",
        "rows whose questions are (near-)duplicates share a number. Null: set aside for another "
        "reason",
    ),
    Column(
        "rbic_rollouts", "int32", "0 .. num_rollouts", "",
        "rollouts that were graded; 0: pass rate and tier are predicted. Null: set aside, or "
        "probing was off",
    ),
    Column(
        "rbic_correct", "int32", "0 .. rbic_rollouts", "easier",
        "graded rollouts that reached the reference answer. Null as rbic_rollouts",
    ),
    Column(
        "rbic_unknown", "int32", "0 .. num_rollouts", "",
        "rollouts that nobody could grade: cut off at max_new_tokens, or the grader failed. "
        "Null as rbic_rollouts",
    ),
    Column(
        "rbic_probe", "string", "measured, or why not", "",
        "measured: rollouts were graded; given: taken from columns of the dataset; "
        "not_asked: others of its kind were (the limit, or another "
        "row of its duplicate group); unknown: asked, and no rollout could be graded; too_long: "
        "the prompt is longer than the prober reads; failed: the prober gave up on it; "
        "unverifiable: no answer that can be graded. Null as rbic_rollouts",
    ),
    Column(
        "rbic_prior", "float32", "0 .. 1", "easier",
        "pass rate that is expected of the row from its neighbours, length, domain and language, "
        "its own rollouts left out. Null: set aside, or nothing was probed",
    ),
    Column(
        "rbic_pass_rate", "float32", "0 .. 1", "easier",
        "posterior mean of the share of rollouts that are right. Null: set aside, or nothing was "
        "probed",
    ),
    Column(
        "rbic_pass_rate_std", "float32", "0 .. 0.5", "less certain",
        "posterior standard deviation of rbic_pass_rate. Null as rbic_pass_rate",
    ),
    Column(
        "rbic_tier", "string", "easy, medium, hard, unsolved", "",
        "the most probable tier of the pass rate: > .75, between, < .25; unsolved: no success, and "
        "a pass rate < .1. Null as rbic_pass_rate",
    ),
    Column(
        "rbic_steps", "int32", ">= 0", "more steps",
        "segments (sentences, lines) of the reasoning. Null: set aside",
    ),
    Column(
        "rbic_depth", "int32", ">= 0", "longer chain",
        "longest chain of steps that build on each other. Null: set aside",
    ),
    Column(
        "rbic_confidence", "float32", "0 .. 1", "more certain depth",
        "share of the reasoning that numbers and variables carry, among its steps and at most "
        "twice that among all but filler; 0: too few to follow (general "
        "prose), depth counts segments linked by a connective and the contribution is shrunk to "
        ".5. Null: set aside",
    ),
    Column(
        "rbic_novel_steps", "int32", "0 .. rbic_steps", "more steps",
        "segments that do not say an earlier one again, in its words or its symbols. "
        "Null: set aside", refined=False,
    ),
    Column(
        "rbic_width", "int32", ">= 0", "more side by side",
        "most steps at one depth of the graph. Null: set aside", refined=False,
    ),
    Column(
        "rbic_edges", "int32", ">= 0", "more links",
        "links from a segment to an earlier one that it builds on. Null: set aside", refined=False,
    ),
    Column(
        "rbic_operators", "int32", ">= 0", "more arithmetic",
        "arithmetic and relation signs in novel segments. Null: set aside", refined=False,
    ),
    Column(
        "rbic_branch_density", "float32", "0 .. 1", "more branching",
        "share of segments that open a branch or take something back. Null: set aside",
        refined=False,
    ),
    Column(
        "rbic_loop_share", "float32", "0 .. 1", "more repetition",
        "share of segments that repeat the words of an earlier one. Null: set aside", refined=False,
    ),
    Column(
        "rbic_tail_share", "float32", "0 .. 1", "more after the answer",
        "share of the characters after the segment that first reaches the answer; 0 where none is "
        "found. Null: set aside", refined=False,
    ),
    Column(
        "rbic_depth_z", "float32", "any number", "deeper than usual at its length",
        "robust z of log(1 + depth) minus its median at the row's length, within language and kind "
        "of reasoning. Null: set aside", refined=False,
    ),
    Column(
        "rbic_branch_z", "float32", "any number", "more branching than usual at its length",
        "the same of rbic_branch_density, from -3 to 3; above 0 a quarter of it is taken from the "
        "depth's. "
        "Null: set aside", refined=False,
    ),
    Column(
        "rbic_loop_z", "float32", "any number", "more repetition than usual at its length",
        "the same of rbic_loop_share, from -3 to 3; above 0 half of it is taken from the depth's. "
        "Null: set aside", refined=False,
    ),
    Column(
        "rbic_further_z", "float32", "any number", "teaches more",
        "gain_weight and entropy_weight times the z of rbic_answer_gain and rbic_entropy, summed; "
        "0 without them. Null: set aside", refined=False,
    ),
    Column(
        "rbic_percentile", "float32", "0 .. 1", "teaches more",
        "place of all z together among rows of the same tier and length decile. "
        "Null: set aside", refined=False,
    ),
    Column(
        "rbic_answer", "string", "verified, unverifiable, contradicted", "",
        "the response's own final answer against the answer column; unverifiable without one. "
        "Null: set aside",
    ),
    Column(
        "rbic_contribution", "float32", "0 .. 1", "teaches more",
        "inference contribution: .5 + rbic_confidence × (rbic_percentile - .5), times 1, .9 or .6 "
        "for a verified, unverifiable or contradicted answer. Null: set aside",
    ),
    Column(
        "rbic_tokens", "int32", ">= 0", "longer",
        "tokens of prompt and response, in the student's tokenizer and chat template when a "
        "student is given, else estimated from the text. Null: not readable",
    ),
    Column(
        "rbic_cost", "float64", ">= 0", "dearer",
        "training cost in tokens, attention included when the student's size is known. "
        "Null: not readable",
    ),
    Column(
        "rbic_answer_gain", "float32", "nats per token", "reasoning that helps more",
        "log-probability of the answer given question and reasoning, up to where it is first "
        "given, minus that given the question alone, per token of the answer, by a small model; "
        "only with a proxy or after with_likelihoods. Null: set aside, no short answer, or longer "
        "than the model reads", refined=False,
    ),
    Column(
        "rbic_entropy", "float32", ">= 0, nats", "less certain",
        "high-entropy sum: entropies of a small model's predictions of the response, over the .5 % "
        "of its tokens where they are highest (at least one), summed; follows length. "
        "Null: set aside, or the model cannot read it", refined=False,
    ),
    Column(
        "rbic_ifd", "float32", ">= 0", "less helped by its question",
        "instruction-following difficulty: perplexity of the response given the question over its "
        "perplexity alone, by a small model. Null as rbic_entropy", refined=False,
    ),
    Column(
        "rbic_generations", "list<string>", "", "",
        "the rollouts' texts; only with with_generations=True. Null: not probed", refined=False,
    ),
)  # fmt: skip

BY_NAME = {column.name: column for column in COLUMNS}


def as_markdown() -> str:
    """Return the table of columns for the README."""
    lines = [
        "| column | type | values | a higher value is | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for column in COLUMNS:
        name = f"`{column.name}`" + ("" if column.refined else " ¹")
        cells = (name, column.dtype, column.range, column.direction, column.meaning)
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    lines.append("¹ in a scored dataset; in a refined one only on request.")
    return "\n".join(lines)
