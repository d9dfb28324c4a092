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
from typing import Any

from rbic_hf.code_names import (
    MUTATORS,
    NOTHING,
    Changes,
    Function,
    Scope,
    Uses,
    is_docstring,
    parameters,
    root_of,
    signature,
    uses_of,
)

_MAX_PRODUCERS = 32  # of one name; the deepest are kept, so that work stays linear
_MAX_NESTING = 100  # blocks and functions in each other: Python's own limit of indents
_MAX_COMPARED = 500_000  # parts of statements that are compared with earlier ones

_ANYTHING = ast.dump(ast.MatchAs())
BRANCHES = {ast.If, ast.ExceptHandler, ast.match_case}
_TRIES: tuple[type, ...] = (ast.Try, getattr(ast, "TryStar", ast.Try))
_CHECKS = (ast.Pass, ast.Assert, ast.Raise)


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

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.premises: list[set[int]] = []
        self.levels: list[int] = []
        self.operators: list[int] = []
        self._functions: dict[int, Function] = {}
        self._methods: dict[str, list[int]] = {}  # by name, of all classes
        self._scope = Scope()
        self._control: tuple[int, ...] = ()  # the test or loop that decides what runs
        self._nesting = 0
        self._num_compared = 0
        self._imported: set[str] = set()
        self._readers: dict[type, Callable[[Any], int | None]] = {
            **dict.fromkeys((ast.Assign, ast.AnnAssign, ast.AugAssign), self._assignment),
            **dict.fromkeys((ast.For, ast.AsyncFor, ast.While), self._loop),
            **dict.fromkeys((ast.With, ast.AsyncWith), self._with),
            **dict.fromkeys((ast.Import, ast.ImportFrom), self._import),
            **dict.fromkeys((ast.Global, ast.Nonlocal), self._declaration),
            **dict.fromkeys((ast.FunctionDef, ast.AsyncFunctionDef), self._definition),
            **dict.fromkeys(_TRIES, self._try),
            ast.ClassDef: self._class,
            ast.Delete: self._expression,
            ast.Expr: self._expression,
            ast.If: self._if,
            ast.Match: self._match,
            ast.Return: self._return,
        }

    def read(self, tree: ast.Module) -> None:
        """Read all of a program; TooDeepError when blocks and functions nest over 100 deep."""
        self._block(tree.body)
        self._finish(self._scope.inner)

    # Blocks: what was said already, arms and what is known after them.

    def _block(self, statements: Sequence[ast.stmt]) -> None:
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            raise TooDeepError
        seen: dict[Any, Any] = {}
        written = self._scope.written
        for node in statements:
            read = self._readers.get(type(node))
            if read is None:
                continue
            rough = _rough(node)
            earlier = seen.get(rough)
            if earlier is not None:
                if type(earlier) is tuple:
                    earlier = seen[rough] = {self._signature(earlier[0]): earlier[1]}
                exact = self._signature(node)
                if exact in earlier:
                    self._repeat(node, earlier[exact])
                    continue
            mark = len(written)
            at = read(node)
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

    def _repeat(self, node: Any, outcome: int | Changes) -> None:
        """Let names have the value that the first of two equal statements gave them."""
        if isinstance(outcome, int):
            uses = self._uses(node)
            self._premises(uses)
            self._write(outcome, uses)
        else:
            for symbol, binding in outcome.items():
                self._scope.bind(symbol, binding)

    def _changes(self, mark: int = 0) -> Changes:
        names = self._scope.names
        return {symbol: names[symbol] for symbol, _ in self._scope.written[mark:]}

    def _arm(
        self,
        statements: Sequence[ast.stmt],
        control: Iterable[int],
        maybe: Changes | None = None,
    ) -> Changes | None:
        """Read statements that may not run; return what they change, None if nothing follows.

        `maybe` are changes that may have been made when they start.
        """
        scope = self._scope
        outer, scope.written = scope.written, []
        before, self._control = self._control, self._few(control)
        if maybe:
            self._join([maybe, {}])
        self._block(statements)
        changes = self._changes()
        for symbol, binding in reversed(scope.written):
            if binding is None:
                del scope.names[symbol]
            else:
                scope.names[symbol] = binding
        scope.written, self._control = outer, before
        leaves = bool(statements) and type(statements[-1]) in (ast.Return, ast.Raise)
        return None if leaves else changes

    def _join(self, arms: Sequence[Changes | None]) -> None:
        """Bind each name to what any of the arms leaves it at."""
        reached = [arm for arm in arms if arm is not None]
        for symbol in dict.fromkeys(symbol for arm in reached for symbol in arm):
            before = self._scope.find(symbol)
            bindings = [arm.get(symbol, before) for arm in reached]
            shaped = self._few([at for binding in bindings for at in binding[0]])
            made = self._few([at for binding in bindings for at in binding[1]])
            self._scope.bind(symbol, (shaped, made))

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

    def _uses(self, node: Any) -> Uses:
        kind = type(node)
        receiver = self._scope.receiver
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
        uses = uses_of([node.value], receiver)
        value = node.value.value if type(node.value) is ast.Await else node.value
        if type(value) is ast.Call and type(value.func) is ast.Attribute:
            # A result that nobody takes: the call was made for what it changes.
            root = root_of(value.func.value, receiver)
            if root is not None and root not in uses.parts and self._scope.find(root)[0]:
                is_known = value.func.attr in self._methods or root == receiver
                if value.func.attr not in MUTATORS and not is_known:
                    uses.parts.append(root)
        return uses

    def _premises(self, uses: Uses) -> set[int]:
        """Return what the statement depends on; adds to `uses` what its calls change."""
        found = set(self._control)
        find = self._scope.find
        for symbol in uses.reads:
            for at in find(symbol)[0]:
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
        receiver = self._scope.receiver
        is_method = type(target) is ast.Attribute
        is_own = is_method and type(target.value) is ast.Name and target.value.id == receiver
        if not is_method or is_own:
            known = self._scope.find(f".{target.attr}" if is_own else target.id)[0]
        else:
            known = () if target.attr in MUTATORS else tuple(self._methods.get(target.attr, ()))
        for at in known:
            if at >= 0:
                continue
            found.update(self._exits(~at))
            function = self._functions[~at]
            for position in function.changed:
                position -= function.is_method and is_method
                if 0 <= position < len(call.args):
                    root = root_of(call.args[position], receiver)
                    uses.parts += [root] if root is not None else []
            for symbol in function.outside:
                if symbol[0] != "." or is_own or not is_method:
                    uses.parts.append(symbol)
                else:
                    root = root_of(target.value, receiver)
                    uses.parts += [root] if root is not None else []

    def _exits(self, at: int) -> tuple[int, ...]:
        """Return the statements that give a function's value, or an object of a class."""
        function = self._functions[at]
        if function.state == 0:
            self._enter(function)
        return function.exits or (at,)

    def _add(self, node: Any, uses: Uses, premises: set[int] | None = None) -> int:
        """Add a statement and write what it writes; return its number."""
        if premises is None:
            premises = self._premises(uses)
        at = len(self.nodes)
        levels = self.levels
        self.nodes.append(node)
        self.premises.append(premises)
        self.operators.append(uses.operators)
        levels.append(1 + max([levels[premise] for premise in premises], default=0))
        self._write(at, uses)
        return at

    def _write(self, at: int, uses: Uses) -> None:
        scope = self._scope
        for symbol in uses.stores:
            scope.bind(symbol, ((at,), (at,)))
            if symbol[0] == "." or symbol in scope.declared:
                if scope.function is not None:
                    scope.function.outside.setdefault(symbol, []).append(at)
            else:
                scope.local.add(symbol)
        for symbol in uses.whole:
            self._change(symbol, at, (at,))
        for symbol in uses.parts:
            self._change(symbol, at, None)

    def _change(self, symbol: str, at: int, made: tuple[int, ...] | None) -> None:
        """Note that statement `at` changes an object in place; `made`: as a whole."""
        if symbol in self._imported:
            return
        scope = self._scope
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

    # Kinds of statements. Each returns the number of the one that it added, if it is simple.

    def _assignment(self, node: Any) -> int | None:
        return self._add(node, self._uses(node)) if node.value is not None else None

    def _expression(self, node: Any) -> int | None:
        value = getattr(node, "value", None)
        if is_docstring(node) or _is_print(value):
            return None
        uses = self._uses(node)
        premises = self._premises(uses)
        is_yield = type(value) in (ast.Yield, ast.YieldFrom)
        if not (is_yield or uses.stores or uses.whole or uses.parts):
            return None  # a bare test, or a call whose effect is not known
        if not is_yield and not uses.stores and self._imported.issuperset(uses.whole + uses.parts):
            return None
        at = self._add(node, uses, premises)
        if is_yield and self._scope.function is not None:
            self._scope.function.returns.append(at)
        return at

    def _return(self, node: ast.Return) -> int | None:
        if node.value is None:
            return None
        at = self._add(node, uses_of([node.value], self._scope.receiver))
        if self._scope.function is not None:
            self._scope.function.returns.append(at)
        return at

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.split(".")[0]
            self._imported.add(name)
            self._scope.bind(name, NOTHING)

    def _declaration(self, node: ast.Global | ast.Nonlocal) -> None:
        self._scope.declared.update(node.names)

    def _if(self, node: ast.If) -> None:
        if _only_checks(node) or (self._is_module() and _is_main(node)):
            return
        tests: list[int] = []
        arms: list[Changes | None] = []
        while True:
            tests.append(self._add(node, uses_of([node.test], self._scope.receiver)))
            arms.append(self._arm(node.body, tests[-1:]))
            rest = node.orelse
            if len(rest) != 1 or type(rest[0]) is not ast.If:
                break
            node = rest[0]
        arms.append(self._arm(rest, tests))
        self._join(arms)

    def _is_module(self) -> bool:
        return self._scope.parent is None

    def _loop(self, node: Any) -> None:
        if all(type(inner) in _CHECKS for inner in node.body):
            return
        control = self._control
        if type(node) is not ast.While:
            uses = uses_of([node.target, node.iter], self._scope.receiver)
            control = (self._add(node, uses),)
        elif type(node.test) is not ast.Constant:  # `while True` decides nothing
            control = (self._add(node, uses_of([node.test], self._scope.receiver)),)
        self._join([self._arm(node.body, control), {}])
        self._block(node.orelse)

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        managers: list[Any] = [item.context_expr for item in node.items]
        managers += [item.optional_vars for item in node.items]
        self._add(node, uses_of(managers, self._scope.receiver))
        self._block(node.body)

    def _try(self, node: ast.Try) -> None:
        tried = self._arm([*node.body, *node.orelse], self._control)
        arms = [tried]
        for handler in node.handlers:
            uses = uses_of([handler.type], self._scope.receiver)
            uses.stores += [handler.name] if handler.name else []
            at = self._add(handler, uses)
            arms.append(self._arm(handler.body, (at,), maybe=tried))
        self._join(arms)
        self._block(node.finalbody)

    def _match(self, node: ast.Match) -> None:
        subject = uses_of([node.subject], self._scope.receiver)
        tests: list[int] = []
        arms: list[Changes | None] = []
        for case in node.cases:
            if ast.dump(case.pattern) == _ANYTHING and case.guard is None:  # an else
                arms.append(self._arm(case.body, tests or self._control))
                break
            uses = uses_of([case.pattern, case.guard], self._scope.receiver)
            uses.reads.update(subject.reads)
            uses.calls += subject.calls
            tests.append(self._add(case, uses))
            arms.append(self._arm(case.body, tests[-1:]))
        else:
            arms.append({})
        self._join(arms)

    # Functions and classes.

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        arguments = node.args
        defaults = [*node.decorator_list, *arguments.defaults, *arguments.kw_defaults]
        at = self._add(node, uses_of(defaults, self._scope.receiver))
        scope = self._scope
        function = Function(at, node, scope)
        if scope.is_class:
            function.scope, function.own = scope.parent or scope, scope.own
            decorators = {getattr(each, "id", "") for each in node.decorator_list}
            function.is_method = "staticmethod" not in decorators
            self._methods.setdefault(node.name, []).append(~at)
        self._define(node.name, function)

    def _define(self, name: str, function: Function) -> None:
        self._functions[function.at] = function
        self._scope.inner.append(function.at)
        self._scope.local.add(name)
        self._scope.bind(name, ((~function.at,), (~function.at,)))

    def _class(self, node: ast.ClassDef) -> None:
        at = self._add(node, uses_of([*node.decorator_list, *node.bases], self._scope.receiver))
        own: Changes = {}
        for base in node.bases:
            for known in self._scope.find(getattr(base, "id", ""))[0]:
                own.update(self._functions[~known].own or {} if known < 0 else {})
        function = Function(at, node, self._scope, own=own)
        outer = self._scope
        self._scope = Scope(parent=outer, own=own, is_class=True)
        self._block(node.body)
        function.inner = self._scope.inner
        own.update({f".{name}": binding for name, binding in self._scope.names.items()})
        self._scope = outer
        self._define(node.name, function)

    def _finish(self, inner: list[int]) -> None:
        for at in inner:
            self._exits(at)

    def _enter(self, function: Function) -> None:
        """Read the body of a function, or the methods of a class."""
        function.state = 1
        node = function.node
        if type(node) is ast.ClassDef:
            first = [at for at in function.inner if self._functions[at].node.name == "__init__"]
            self._finish(first + function.inner)
            function.exits = tuple(at for each in first for at in self._exits(each))
            function.state = 2
            return
        outer, control, first_own = self._scope, self._control, len(self.nodes)
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
        self._scope, self._control = scope, ()
        self._block(node.body)
        self._finish(scope.inner)
        self._scope, self._control = outer, control
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
        target = node.targets[0]
        return ast.Assign, getattr(target, "id", None)
    if kind is ast.AnnAssign:
        return ast.Assign, getattr(node.target, "id", None)
    if kind is ast.AugAssign:
        return kind, getattr(node.target, "id", None)
    return kind, getattr(node, "name", None)


def _is_print(value: Any) -> bool:
    return type(value) is ast.Call and type(value.func) is ast.Name and value.func.id == "print"


def _is_main(node: ast.If) -> bool:
    test = node.test
    return type(test) is ast.Compare and getattr(test.left, "id", "") == "__name__"


def _only_checks(node: ast.If) -> bool:
    """Return whether an `if` does nothing but refuse: as good as an assert."""
    while all(type(inner) in _CHECKS for inner in node.body):
        if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
            return all(type(inner) in _CHECKS for inner in node.orelse)
        node = node.orelse[0]
    return False
