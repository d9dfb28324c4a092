"""Follows the values of a program from statement to statement.

A statement depends on the last statements that gave its names their values, and on the test or the
loop that decides whether it runs.

- The body of a function is read where the function is first used, and else at the end of its scope:
  it does not matter which function is written first. A use of it depends on what it returns, or
  where it returns nothing on its deepest statement; inside its own body, on its first line alone.
- A loop counts once: what a later line of its body hands to an earlier one is no premise.
- Arms of `if`, `try` and `match` stand side by side: a name that several arms set has several last
  producers, and `elif` does not build on the test above it. An early `return` decides nothing for
  the lines below it.
- A change of part of a container (`a[i] = x`, `a.append(x)`) builds on the container and not on the
  changes before it. Two names for one object are two names.
- Imports, prints, asserts, raises, docstrings, bare tests and `if __name__ == "__main__":` are no
  statements here, nor is what an earlier line of the same block says already.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from rbic_hf.code_names import (
    MUTATORS,
    NOTHING,
    Binding,
    Changes,
    Function,
    Scope,
    Uses,
    parameters,
    root_of,
    signature,
    uses_of,
    uses_of_lone_call,
)

_MAX_PRODUCERS = 32  # of one name; the deepest are kept, so that work stays linear
_MAX_EFFECTS = 16  # of one call, and methods of one name
_MAX_NESTING = 100  # blocks and functions in each other: Python's own limit of indents
_MAX_COMPARED = 500_000  # parts of statements that are compared with earlier ones

# How to read each kind of statement; returns its number if it is one of the graph and simple.
Kinds = dict[type, Callable[["Reader", Any], "int | None"]]


class TooDeepError(Exception):
    """The program nests deeper than it is read."""


class Reader:
    """Reads a program; afterwards the lists hold one entry for each statement.

    Attributes:
        nodes: its node in the syntax tree.
        premises: the numbers of statements that it depends on.
        levels: 1 + the highest level of its premises.
        operators: operators and calls in it.
    """

    def __init__(self, kinds: Kinds) -> None:
        self.nodes: list[Any] = []
        self.premises: list[set[int]] = []
        self.levels: list[int] = []
        self.operators: list[int] = []
        self._uses: list[Uses] = []
        self.functions: dict[int, Function] = {}
        self.methods: dict[str, list[int]] = {}  # by name, of all classes
        self.scope = Scope()
        self.control: tuple[int, ...] = ()  # the test or loop that decides what runs
        self._nesting = 0
        self._num_compared = 0
        self.imported: set[str] = set()
        self._kinds = kinds

    def read(self, tree: ast.Module) -> None:
        """Read all of a program; TooDeepError when blocks and functions nest over 100 deep."""
        self.block(tree.body)
        self._finish(self.scope.inner)

    # Blocks: what was said already, arms and what is known after them.

    def block(self, statements: Sequence[ast.stmt]) -> None:
        """Read statements in order; one that repeats an earlier one of them adds nothing."""
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            raise TooDeepError
        seen: dict[Any, Any] = {}
        written = self.scope.written
        for node in statements:
            read = self._kinds.get(type(node))
            if read is None:
                continue
            rough = _rough(node)
            earlier = seen.get(rough)
            if earlier is not None:
                if type(earlier) is tuple:
                    earlier = seen[rough] = {self._signature(earlier[0]): earlier[1]}
                exact = self._signature(node)
                if exact in earlier:
                    self._repeat(earlier[exact])
                    continue
            mark = len(written)
            at = read(self, node)
            outcome = at if at is not None else self._changes(mark)
            if earlier is None:
                seen[rough] = (node, outcome)
            else:
                earlier[exact] = outcome
        self._nesting -= 1

    def _signature(self, node: ast.stmt) -> Any:
        if self._num_compared > _MAX_COMPARED:
            return node
        found = signature(node)
        self._num_compared += len(found)
        return found

    def _repeat(self, outcome: int | Changes) -> None:
        """Let names have the value that the first of two equal statements gave them."""
        if isinstance(outcome, int):
            self._write(outcome, self._uses[outcome])
        else:
            for symbol, binding in outcome.items():
                self.scope.bind(symbol, binding)

    def _changes(self, mark: int = 0) -> Changes:
        names = self.scope.names
        return {symbol: names[symbol] for symbol, _ in self.scope.written[mark:]}

    def arm(
        self,
        statements: Sequence[ast.stmt],
        control: Iterable[int],
        maybe: Changes | None = None,
    ) -> Changes | None:
        """Read statements that may not run; return what they change, None if nothing follows.

        `maybe` are changes that may have been made when they start.
        """
        scope = self.scope
        outer, scope.written = scope.written, []
        before, self.control = self.control, self._few(control)
        if maybe:
            self.join([maybe, {}])
        self.block(statements)
        changes = self._changes()
        for symbol, binding in reversed(scope.written):
            if binding is None:
                del scope.names[symbol]
            else:
                scope.names[symbol] = binding
        scope.written, self.control = outer, before
        leaves = bool(statements) and type(statements[-1]) in (ast.Return, ast.Raise)
        return None if leaves else changes

    def join(self, arms: Sequence[Changes | None]) -> None:
        """Bind each name to what any of the arms leaves it at."""
        reached = [arm for arm in arms if arm is not None]
        found: dict[str, list[Binding]] = {}
        for arm in reached:
            for symbol, binding in arm.items():
                found.setdefault(symbol, []).append(binding)
        for symbol, bindings in found.items():
            if len(bindings) < len(reached):  # an arm that leaves it as it was
                bindings.append(self.scope.find(symbol))
            shaped = self._few([at for binding in bindings for at in binding[0]])
            made = self._few([at for binding in bindings for at in binding[1]])
            self.scope.bind(symbol, (shaped, made))

    def _few(self, producers: Iterable[int]) -> tuple[int, ...]:
        """Return them without repeats, the deepest if there are many."""
        found = tuple(dict.fromkeys(producers))
        if len(found) <= _MAX_PRODUCERS:
            return found
        return tuple(
            sorted(found, key=lambda at: (self.levels[max(at, ~at)], max(at, ~at)))[
                -_MAX_PRODUCERS:
            ]
        )

    # One statement: its premises, and what it leaves behind.

    def uses(self, node: Any) -> Uses:
        """Return the symbols of a simple statement, those that a lone call may change with them."""
        kind = type(node)
        receiver = self.scope.receiver
        if kind is ast.Assign:
            return uses_of([*node.targets, node.value], receiver)
        if kind is ast.AnnAssign:
            return uses_of([node.target, node.value], receiver)
        if kind is ast.AugAssign:
            uses = uses_of([node.target, node.value], receiver)
            root = root_of(node.target, receiver)
            if root is not None:
                uses.reads[root] = None
            uses.operators += 1
            return uses
        if kind is ast.Delete:
            return uses_of(node.targets, receiver)
        value: Any = node.value.value if type(node.value) is ast.Await else node.value
        lone = uses_of_lone_call(value, receiver) if type(value) is ast.Call else None
        if lone is None:
            return uses_of([node.value], receiver)
        uses, root = lone
        if value.func.attr not in self.methods and self.scope.find(root)[0]:
            uses.parts.append(root)
        return uses

    def sources(self, uses: Uses) -> set[int]:
        """Return what the statement depends on; adds to `uses` what its calls change."""
        found = set(self.control)
        find = self.scope.find
        for symbol in uses.reads:
            shaped = find(symbol)[0]
            if not shaped and symbol[0] == ".":  # set elsewhere: all that is known is the object
                shaped = find(self.scope.receiver or "")[0]
            for at in shaped:
                if at >= 0:
                    found.add(at)
                else:
                    found.update(self._exits(~at))
        for call in uses.calls:
            self._follow(call, uses, found)
        for symbol in uses.parts:
            found.update(at for at in find(symbol)[1] if at >= 0)
        return found

    def _follow(self, call: ast.Call, uses: Uses, found: set[int]) -> None:
        """Add what a call of the program's own function depends on and changes."""
        target: Any = call.func
        receiver = self.scope.receiver
        is_method = type(target) is ast.Attribute
        is_own = is_method and type(target.value) is ast.Name and target.value.id == receiver
        if not is_method or is_own:
            known = self.scope.find(f".{target.attr}" if is_own else target.id)[0]
        else:
            methods = () if target.attr in MUTATORS else self.methods.get(target.attr, ())
            known = tuple(methods[:_MAX_EFFECTS])
        for at in known:
            if at >= 0:
                continue
            found.update(self._exits(~at))
            function = self.functions[~at]
            for position in islice(function.changed, _MAX_EFFECTS):
                position -= function.is_method and is_method
                if 0 <= position < len(call.args):
                    root = root_of(call.args[position], receiver)
                    uses.parts += [root] if root is not None else []
            for symbol in islice(function.outside, _MAX_EFFECTS):
                if symbol[0] != "." or is_own or not is_method:
                    uses.parts.append(symbol)
                else:
                    root = root_of(target.value, receiver)
                    uses.parts += [root] if root is not None else []

    def _exits(self, at: int) -> tuple[int, ...]:
        """Return the statements that give a function's value, or an object of a class."""
        function = self.functions[at]
        if function.state == 0:
            self._enter(function)
        return function.exits or (at,)

    def add(self, node: Any, uses: Uses, premises: set[int] | None = None) -> int:
        """Add a statement and write what it writes; return its number."""
        if premises is None:
            premises = self.sources(uses)
        at = len(self.nodes)
        levels = self.levels
        self.nodes.append(node)
        self.premises.append(premises)
        self.operators.append(uses.operators)
        self._uses.append(uses)
        levels.append(1 + max([levels[premise] for premise in premises], default=0))
        self._write(at, uses)
        return at

    def _write(self, at: int, uses: Uses) -> None:
        scope = self.scope
        for symbol in uses.stores:
            scope.bind(symbol, ((at,), (at,)))
            if symbol[0] == "." or symbol in scope.declared:
                if scope.function is not None:
                    scope.function.outside.setdefault(symbol, []).append(at)
            else:
                scope.local.add(symbol)
        if not uses.whole and not uses.parts:
            return
        for symbol in uses.whole:
            self._change(symbol, at, (at,))
        for symbol in dict.fromkeys(uses.parts):
            self._change(symbol, at, None)

    def _change(self, symbol: str, at: int, made: tuple[int, ...] | None) -> None:
        """Note that statement `at` changes an object in place; `made`: as a whole."""
        if symbol in self.imported:
            return
        scope = self.scope
        shaped, base = scope.find(symbol)
        shaped = made or (shaped if at in shaped else self._few((*shaped, at)))
        scope.bind(symbol, (shaped, made or base))
        function = scope.function
        if function is None:
            return
        if symbol not in scope.local:
            function.outside.setdefault(symbol, []).append(at)
        elif base == (function.at,) and symbol in function.positions:
            function.changed.add(function.positions[symbol])

    # Functions and classes.

    def _finish(self, inner: list[int]) -> None:
        for at in inner:
            self._exits(at)

    def _enter(self, function: Function) -> None:
        """Read the body of a function, or the methods of a class."""
        function.state = 1
        node = function.node
        if type(node) is ast.ClassDef:
            first = [at for at in function.inner if self.functions[at].node.name == "__init__"]
            self._finish(first + function.inner)
            function.exits = tuple(at for each in first for at in self._exits(each))
            function.state = 2
            return
        outer, control, first_own = self.scope, self.control, len(self.nodes)
        names = parameters(node.args)
        receiver = names[0] if function.is_method and names else None
        inherited = function.scope.receiver
        scope = Scope(
            parent=function.scope,
            function=function,
            receiver=receiver or (inherited if inherited not in names else None),
            own=function.own,
            names=dict.fromkeys(names, ((function.at,), (function.at,))),
            local=set(names),
        )
        function.positions = {name: place for place, name in enumerate(names)}
        self.scope, self.control = scope, ()
        self._nesting += 1  # a call takes more of Python's own stack than a block
        self.block(node.body)
        self._finish(scope.inner)
        self._nesting -= 1
        self.scope, self.control = outer, control
        said = range(first_own, len(self.nodes))
        deepest = [max(said, key=self.levels.__getitem__)] if said else []
        function.exits = self._few(function.returns or deepest)
        for symbol, writers in function.outside.items():
            if symbol[0] == "." and function.own is not None:
                shaped, made = function.own.get(symbol, NOTHING)
                both = self._few([*shaped, *writers]), self._few([*made, *writers])
                function.own[symbol] = both
        function.state = 2


def _rough(node: Any) -> tuple[Any, ...]:
    """Return what two equal statements surely share, for little."""
    kind = type(node)
    if kind is ast.Assign:
        return ast.Assign, getattr(node.targets[0], "id", None)
    if kind is ast.AnnAssign:
        return ast.Assign, getattr(node.target, "id", None)
    if kind is ast.AugAssign:
        return kind, getattr(node.target, "id", None)
    if kind is ast.If or kind is ast.While:
        test = node.test
        return kind, type(test), len(node.body), getattr(getattr(test, "left", test), "id", None)
    if kind is ast.For:
        return kind, getattr(node.target, "id", None), len(node.body)
    return kind, getattr(node, "name", None)
