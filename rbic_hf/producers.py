"""Who established a symbol last: where the premises of a segment are found."""

from __future__ import annotations

from rbic_hf.statements import Statement

# Bounds on what is copied at each case: a text of cases alone must stay linear.
_MOST_CASES, _MOST_KNOWN = 30, 1000


class Producers:
    """The last producer of each symbol, while a text is read."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._solved: set[str] = set()  # variables whose value is stated
        self._replaced: dict[str, int | None] = {}  # by the last statement
        self._before_cases: dict[str, int] | None = None
        self._elsewhere: dict[str, int] = {}  # in the other cases
        self._num_cases = 0
        self._counted: dict[str, int] = {}  # noun -> the last amount of it

    def of(self, statement: Statement) -> dict[int, str]:
        """Return the segments that a statement depends on, each with a symbol that links them.

        An equation in an unknown goes back to the last equation in it, but not beyond its solution:
        "case 2: -x + 1 = 7" does not follow from the "x = 8" of case 1.
        """
        found: dict[int, str] = {}
        for symbol in statement.uses:
            at = self._last.get(symbol, self._elsewhere.get(symbol))
            if at is not None:
                found.setdefault(at, symbol)
        # several unknowns that are all solved are evaluated: "x + y = 21"
        is_evaluated = len(statement.about) > 1 and self._solved.issuperset(statement.about)
        for symbol in statement.about:
            at = self._last.get(symbol)
            if at is not None and (is_evaluated or symbol not in self._solved):
                found.setdefault(at, symbol)
        for noun in statement.points_to:
            at = self._counted.get(noun)
            if at is not None:
                found.setdefault(at, noun)
        return found

    def know(self, statement: Statement) -> bool:
        """Return whether all numbers that a statement arrives at were established before."""
        numbers = [symbol for symbol in statement.results if symbol[0].isdigit()]
        return bool(numbers) and all(number in self._last for number in numbers)

    def add(self, statement: Statement, at: int) -> None:
        """Record what the statement of a segment establishes.

        A number that is only used counts as established by the words that state it, not by a
        computation: two computations that share a given number can come in either order.
        """
        last = self._last
        self._replaced = {symbol: last.get(symbol) for symbol in statement.results}
        for symbol in statement.results:
            last[symbol] = at
            self._solved.discard(symbol)
        if statement.unit:
            self._counted[statement.unit] = at
        if statement.value and statement.subject in statement.about:
            self._solved.add(statement.subject)
        for symbol in statement.mentions:
            if not (statement.has_equation and symbol[0].isdigit()):
                last.setdefault(symbol, at)

    def take_back(self) -> None:
        """Forget what the last statement established."""
        for symbol, at in self._replaced.items():
            if at is None:
                self._last.pop(symbol, None)
            else:
                self._last[symbol] = at
        self._replaced = {}

    def open_case(self, *, is_merged: bool) -> None:
        """A case knows what was known before the first one, and not what the others found."""
        if self._before_cases is None:
            if not is_merged and len(self._last) <= _MOST_KNOWN:
                self._before_cases, self._num_cases = dict(self._last), 1
        elif is_merged or self._num_cases >= _MOST_CASES or len(self._last) > _MOST_KNOWN:
            self._last = {**self._elsewhere, **self._last}
            self._before_cases, self._elsewhere = None, {}
        else:
            self._num_cases += 1
            self._elsewhere.update(self._last)
            self._last = dict(self._before_cases)
