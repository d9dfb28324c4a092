"""Draws word problems: numbers that fit, told in the words of a table.

Stories follow one quantity through events, comparisons relate several quantities to each other.
Numbers are drawn event by event and a draft that does not work out is thrown away: simpler than
solving for numbers, and quick, since most drafts work out. Results differ from every other number
of the problem, so that the graph can also be read back from the text without ambiguity.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .sample_problems import (
    MAX_VALUE,
    Language,
    Node,
    Problem,
    Step,
    Unfit,
    compute,
    node_depths,
    words,
)

# Quantities so common in prose that no reader could trace where they came from.
UNTRACEABLE = frozenset({1, 2, 10, 100})
PERCENTS = (5, 10, 15, 20, 25, 30, 40, 50, 60, 75)
WIDE_SHARE = 0.4
GENTLE_SHARE = 0.6  # of the easy problems: only addition, which a tiny model sometimes gets right
ADDING = ("", "n", "n+m", "x+n", "list", "total")
EASY_DEPTH = 2  # up to here numbers stay small enough for a tiny model
ATTEMPTS = 20_000  # the rarest plot takes about a hundred drafts of 0.1 ms
NUM_PEOPLE = 14  # more than half of the names: both pronouns are among them

_RANGE = re.compile(r"([nmk]) (\d+)-(\d+)(?:/(\d+))?")
_DEFAULT_RANGES = {"n": range(3, 21), "m": range(3, 13), "k": range(3, 9)}


def draw_problem(rng: Random, *, topic: str, language: Language, depth: int) -> Problem:
    """Return a random problem whose answer needs a chain of exactly `depth` operations (1 to 8)."""
    scenarios = [s for s in words(language)["scenarios"] if s["topic"] == topic]
    for _ in range(ATTEMPTS):
        scenario = rng.choice(scenarios)
        draft = _Draft(rng, language, scenario, depth)
        try:
            return draft.tell_comparison() if "relations" in scenario else draft.tell_story()
        except Unfit:
            continue
    # Unreachable for the shipped tables (a test draws every topic, language and depth).
    raise RuntimeError(f"no {language} problem of depth {depth} about {topic}")


@dataclass
class _Draft:
    """A problem under construction: graph, question sentences, solution steps."""

    rng: Random
    language: Language
    scenario: dict[str, Any]
    depth: int
    nodes: list[Node] = field(default_factory=list)
    question: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    plot: list[str] = field(default_factory=list)
    slots: dict[str, Any] = field(default_factory=dict)
    link: str = ""  # the linking word said last
    gentle: bool = False
    wide: bool = False  # several independent quantities, summed up

    def __post_init__(self) -> None:
        """Choose the setting: a world of the scenario, and the people in it."""
        self.gentle = self.depth <= EASY_DEPTH and self.rng.random() < GENTLE_SHARE
        self.wide = self.depth > 1 and self.rng.random() < WIDE_SHARE
        world = self.rng.choice(self.scenario["worlds"])
        self.slots = {key: self._pick(value) for key, value in world.items() if key != "items"}
        self.items: list[str] = self.rng.sample(world.get("items", []), len(world.get("items", [])))
        self.slots |= {f"i{i}": item for i, item in enumerate(self.items, 1)}
        people = self.rng.sample(words(self.language)["names"], NUM_PEOPLE)
        self.people = [name for name, _ in people]
        name, pronoun = people[0]
        # The second person takes the other pronoun, so that "she" is never in doubt.
        other = next(n for n, p in people if p != pronoun)
        self.slots |= {"a": name, "b": other, **words(self.language)["pronouns"][pronoun]}
        self.plot.append(str(sorted((k, str(v)) for k, v in world.items())))

    def _pick(self, value: str | list[str]) -> str:
        return value if isinstance(value, str) else self.rng.choice(value)

    # The graph

    def given(self, value: int) -> int:
        """Add a given quantity; only the multiplier 2 may occur twice."""
        if value != 2 and any(node.value == value for node in self.nodes):
            raise Unfit
        self.nodes.append(Node(value))
        return len(self.nodes) - 1

    def apply(self, op: str, *args: int) -> int:
        """Add an operation; its result is exact, in range, and unlike all other quantities."""
        value = compute(op, [self.nodes[arg].value for arg in args])
        known = {node.value for node in self.nodes}
        cap = min(self.scenario.get("cap", MAX_VALUE), MAX_VALUE)
        if not 3 <= value <= cap or value in known or value in UNTRACEABLE:
            raise Unfit
        self.nodes.append(Node(value, op, args))
        return len(self.nodes) - 1

    def value(self, index: int) -> int:
        """Return the value of a node."""
        return self.nodes[index].value

    # Stories: one quantity, event after event

    def tell_story(self) -> Problem:
        """Return a problem that follows one quantity through an opening and some events."""
        self._set_scene()
        openings = self.scenario["openings"]
        wide = [opening for opening in openings if opening[1] in ("list", "basket")]
        unit, x = self._play(self._choose((self.wide and wide) or openings, 1), None)
        left = list(self.scenario["moves"])
        while self._depth(x) < self.depth:
            fitting = [move for move in left if move[0].split(">")[0] == unit]
            if not fitting:
                raise Unfit
            move = self._choose(fitting, 1)
            left.remove(move)
            unit, x = self._try(move, unit, x)
        if self._depth(x) != self.depth or unit not in self.scenario["asks"]:
            raise Unfit
        self._say(self.rng.choice(self.scenario["asks"][unit]), {})
        return self._finish()

    def _choose(self, rows: list[list[str]], column: int) -> list[str]:
        """Return one row of a table; a gentle problem only adds, as long as it can."""
        adding = [row for row in rows if row[column] in ADDING]
        return self.rng.choice((self.gentle and adding) or rows)

    def _depth(self, index: int) -> int:
        return node_depths(self.nodes)[index]

    def _set_scene(self) -> None:
        scenes = self.scenario.get("scenes", [])
        if scenes and self.rng.random() < min(0.6, 0.2 * (self.depth - 1)):
            self._say(self.rng.choice(scenes), {})

    def _try(self, move: list[str], unit: str, x: int) -> tuple[str, int]:
        """Play a move, or leave the draft as it was when its numbers do not fit."""
        parts: tuple[list[Any], ...] = (self.nodes, self.question, self.steps, self.plot)
        sizes = [len(part) for part in parts]
        try:
            told = self._play(move, x)
            if self._depth(told[1]) <= self.depth:
                return told
        except Unfit:
            pass
        for part, size in zip(parts, sizes, strict=True):
            del part[size:]
        return unit, x

    def _play(self, move: list[str], x: int | None) -> tuple[str, int]:
        """Add one row of the table to question, graph and solution; return the new quantity."""
        unit, program, numbers, text, *sentences = move
        if program in ("list", "basket"):
            return unit.strip(">"), self._play_list(program, numbers, text, sentences)
        refs = self._operands(program, numbers, x)
        slots: dict[str, Any] = {name: self.value(index) for name, index in refs.items()}
        slots |= self._number_words(slots.get("n", 0))
        self._say(text, slots, connect=x is not None)
        for token, sentence in zip(program.split(), sentences, strict=False):
            refs["p"] = self.apply(token[1], refs[token[0]], refs[token[2]])
            self._add_step(refs["p"], sentence, slots)
        self.plot.append(text)
        return unit.split(">")[-1], refs["p"] if "p" in refs else refs["n"]

    def _play_list(self, program: str, numbers: str, text: str, sentences: list[str]) -> int:
        """Add several independent quantities (or products of two) and their sum."""
        ranges = self._ranges(numbers)
        width = self.rng.randint(2, len(self.items) - 2 if self.items else 4)
        phrases, parts = [], []
        for item in self.items[:width] or [""] * width:
            slots: dict[str, Any] = {"item": item}
            refs = [self.given(self.rng.choice(ranges["n"]))]
            slots["n"] = self.value(refs[0])
            if program == "basket":
                refs.append(self.given(self.rng.choice(ranges["m"])))
                slots["m"] = self.value(refs[1])
                refs = [self.apply("*", *refs)]
                self._add_step(refs[0], sentences[1], slots)
            phrases.append(self._fill(sentences[0], slots))
            parts += refs
        self._say(text, {"list": _join(phrases, self.language)})
        total = self.apply("+", *parts)
        self._add_step(total, sentences[-1], {})
        self.plot.append(text)
        return total

    def _operands(self, program: str, numbers: str, x: int | None) -> dict[str, int]:
        """Return the node of each letter in the program, drawing the given ones to suit x."""
        ranges = self._ranges(numbers, program)
        refs = {} if x is None else {"x": x}
        for letter in "nmk":
            if letter not in program:
                continue
            choices: list[int] = list(ranges[letter])
            if x is not None:
                choices = _suitable(program, letter, self.value(x), choices)
            elif f"%{letter}" in program:
                choices = _suitable("x%m", "m", self.value(refs["n"]), choices)
            if not choices:
                raise Unfit
            refs[letter] = self.given(self.rng.choice(choices))
        return refs

    def _ranges(self, numbers: str, program: str = "") -> dict[str, range]:
        """Read "n 3-9 m 20-80/20"; at easy depths the upper ends come down."""
        ranges = dict(_DEFAULT_RANGES)
        for letter, low, high, step in _RANGE.findall(numbers):
            ranges[letter] = range(int(low), int(high) + 1, int(step or 1))
        if self.depth <= EASY_DEPTH:
            for letter, r in ranges.items():
                if f"%{letter}" not in program:
                    ranges[letter] = r[: 4 + 2 * self.depth]
        return ranges

    # Comparisons: several quantities, each told by another

    def tell_comparison(self) -> Problem:
        """Return a problem that relates quantities: a chain, or a tree that is summed up."""
        asks = [ask for ask in self.scenario["asks"] if ask[0] == "total" or not self.wide]
        program, text, sentence = self._choose(asks, 0)
        length = self.depth - (1 if program else 0)
        members = [self._first_member()]
        for _ in range(length):
            members.append(self._relate(members[-1], len(members)))
        if program == "total":
            self._widen(members, length)
        e, x = self._entity(len(members) - 1), members[-1]
        slots: dict[str, Any] = {"e": e, "f": self._entity(0)}
        if program == "total":
            x = self.apply("+", *members)
        elif program:
            refs = self._operands(program, "n 3-15", x)
            slots["n"] = self.value(refs["n"])
            x = self.apply(program[1], refs[program[0]], refs[program[2]])
        if program:
            self._add_step(x, sentence, slots)
        self._say(text, slots)
        return self._finish()

    def _entity(self, position: int) -> str:
        pool = self.items or self.people
        if position >= len(pool):
            raise Unfit
        return pool[position]

    def _first_member(self, position: int = 0) -> int:
        base, numbers = self.scenario["base"]
        node = self.given(self.rng.choice(self._ranges(numbers)["n"]))
        self._say(base, {"e": self._entity(position), "n": self.value(node)})
        return node

    def _relate(self, other: int, position: int, target: int | None = None) -> int:
        """Add a quantity told by the node `other`, in words about the entity at `target`."""
        target = position - 1 if target is None else target
        program, numbers, text = self._choose(self.scenario["relations"], 0)
        refs = self._operands(program, numbers, other)
        n = self.value(refs["n"])
        slots = {"e": self._entity(position), "f": self._entity(target), "n": n}
        slots |= self._number_words(n)
        node = self.apply(program[1], other, refs["n"])
        self._say(text, slots)
        self._add_step(node, self.scenario["step"], slots)
        self.plot.append(text)
        return node

    def _widen(self, members: list[int], deepest: int) -> None:
        """Add one to three more quantities without making the deepest chain longer."""
        extra = self.rng.randint(1, 3)
        for _ in range(extra):
            depths = [self._depth(member) for member in members]
            shallow = [i for i, depth in enumerate(depths) if depth < deepest]
            position = len(members)
            if shallow:
                target = self.rng.choice(shallow)
                members.append(self._relate(members[target], position, target))
            else:
                members.append(self._first_member(position))
        if len(members) < 2:
            raise Unfit

    # Words

    def _number_words(self, n: int) -> dict[str, str]:
        table = words(self.language)
        return {"times": table["times"].get(str(n), ""), "part": table["parts"].get(str(n), "")}

    def _fill(self, template: str, slots: Mapping[str, Any]) -> str:
        return template.format_map({**self.slots, **slots, "eq": "{eq}"})

    def _say(self, template: str, slots: Mapping[str, Any], *, connect: bool = False) -> None:
        """Add a question sentence; a leading "=" in the table forbids a linking word before it."""
        text = self._fill(template.removeprefix("="), slots)
        if connect and not template.startswith("="):
            links = [w for w in words(self.language)["connectors"] if w != self.link or not w]
            self.link = self.rng.choice(links)
            text = self.link + text
        self.question.append(text[0].upper() + text[1:])

    def _add_step(self, node: int, template: str, slots: Mapping[str, Any]) -> None:
        text = self._fill(template, slots)
        self.steps.append(Step(node, text[0].upper() + text[1:]))

    def _finish(self) -> Problem:
        space = "" if self.language == "zh" else " "
        return Problem(
            topic=self.scenario["topic"],
            language=self.language,
            question=space.join(self.question),
            nodes=tuple(self.nodes),
            steps=tuple(self.steps),
            plot=tuple(self.plot),
        )


def _suitable(program: str, letter: str, x: int, choices: list[int]) -> list[int]:
    """Return the operands that keep an event plausible and exact for the quantity x."""
    if f"{letter}-x" in program:  # the whole, of which x is a part: a round number above x
        return sorted({-(-(x + choice) // 5) * 5 for choice in choices})
    if f"x/{letter}" in program:
        return [choice for choice in choices if x % choice == 0 and choice < x]
    if f"x%{letter}" in program:
        return [p for p in PERCENTS if p in choices and x * p % 100 == 0]
    if f"x-{letter}" in program:
        return [choice for choice in choices if choice <= x - 3]
    return choices


def _join(phrases: list[str], language: Language) -> str:
    """Join phrases the way the language lists things."""
    if language == "zh":
        return "、".join(phrases[:-1]) + "和" + phrases[-1]
    if len(phrases) == 2:
        return " and ".join(phrases)
    return ", ".join(phrases[:-1]) + ", and " + phrases[-1]
