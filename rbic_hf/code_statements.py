"""What each kind of Python statement means for the graph; `code_reading` says the rules.

Each function adds what the statement holds and returns its number, or None where it is no single
statement of the graph.
"""

from __future__ import annotations

import ast
from typing import Any

from rbic_hf.code_names import NOTHING, Changes, Function, Scope, is_docstring, uses_of
from rbic_hf.code_reading import Kinds, Reader

BRANCHES = {ast.If, ast.ExceptHandler, ast.match_case}
_CHECKS = (ast.Pass, ast.Assert, ast.Raise)
_TRIES: tuple[type, ...] = (ast.Try, getattr(ast, "TryStar", ast.Try))
_ANYTHING = ast.dump(ast.MatchAs())


def _assignment(reader: Reader, node: Any) -> int | None:
    return reader.add(node, reader.uses(node)) if node.value is not None else None


def _expression(reader: Reader, node: Any) -> int | None:
    value = getattr(node, "value", None)
    if is_docstring(node) or _is_print(value):
        return None
    uses = reader.uses(node)
    premises = reader.sources(uses)
    is_yield = type(value) in (ast.Yield, ast.YieldFrom)
    if not (is_yield or uses.stores or uses.whole or uses.parts):
        return None  # a bare test, or a call whose effect is not known
    if not is_yield and not uses.stores and reader.imported.issuperset(uses.whole + uses.parts):
        return None
    at = reader.add(node, uses, premises)
    if is_yield and reader.scope.function is not None:
        reader.scope.function.returns.append(at)
    return at


def _return(reader: Reader, node: ast.Return) -> int | None:
    if node.value is None:
        return None
    at = reader.add(node, uses_of([node.value], reader.scope.receiver))
    if reader.scope.function is not None:
        reader.scope.function.returns.append(at)
    return at


def _import(reader: Reader, node: ast.Import | ast.ImportFrom) -> None:
    for alias in node.names:
        name = alias.asname or alias.name.split(".")[0]
        reader.imported.add(name)
        reader.scope.bind(name, NOTHING)


def _declaration(reader: Reader, node: ast.Global | ast.Nonlocal) -> None:
    reader.scope.declared.update(node.names)


def _if(reader: Reader, node: ast.If) -> None:
    if _only_checks(node) or (reader.scope.parent is None and _is_main(node)):
        return
    tests: list[int] = []
    arms: list[Changes | None] = []
    while True:
        tests.append(reader.add(node, uses_of([node.test], reader.scope.receiver)))
        arms.append(reader.arm(node.body, tests[-1:]))
        rest = node.orelse
        if len(rest) != 1 or type(rest[0]) is not ast.If:
            break
        node = rest[0]
    arms.append(reader.arm(rest, tests))
    reader.join(arms)


def _loop(reader: Reader, node: Any) -> None:
    if all(type(inner) in (ast.Assert, ast.Raise) for inner in node.body):
        return
    control = reader.control
    if type(node) is not ast.While:
        uses = uses_of([node.target, node.iter], reader.scope.receiver)
        control = (reader.add(node, uses),)
    elif type(node.test) is not ast.Constant:  # `while True` decides nothing
        control = (reader.add(node, uses_of([node.test], reader.scope.receiver)),)
    reader.join([reader.arm(node.body, control), {}])
    reader.block(node.orelse)


def _with(reader: Reader, node: ast.With | ast.AsyncWith) -> None:
    managers: list[Any] = [item.context_expr for item in node.items]
    managers += [item.optional_vars for item in node.items]
    reader.add(node, uses_of(managers, reader.scope.receiver))
    reader.block(node.body)


def _try(reader: Reader, node: ast.Try) -> None:
    tried = reader.arm([*node.body, *node.orelse], reader.control)
    arms = [tried]
    for handler in node.handlers:
        uses = uses_of([handler.type], reader.scope.receiver)
        uses.stores += [handler.name] if handler.name else []
        at = reader.add(handler, uses)
        arms.append(reader.arm(handler.body, (at,), maybe=tried))
    reader.join(arms)
    reader.block(node.finalbody)


def _match(reader: Reader, node: ast.Match) -> None:
    subject = uses_of([node.subject], reader.scope.receiver)
    tests: list[int] = []
    arms: list[Changes | None] = []
    for case in node.cases:
        if ast.dump(case.pattern) == _ANYTHING and case.guard is None:  # an else
            arms.append(reader.arm(case.body, tests or reader.control))
            break
        uses = uses_of([case.pattern, case.guard], reader.scope.receiver)
        uses.reads.update(subject.reads)
        uses.calls += subject.calls
        tests.append(reader.add(case, uses))
        arms.append(reader.arm(case.body, tests[-1:]))
    else:
        arms.append({})
    reader.join(arms)


def _definition(reader: Reader, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    arguments = node.args
    defaults = [*node.decorator_list, *arguments.defaults, *arguments.kw_defaults]
    at = reader.add(node, uses_of(defaults, reader.scope.receiver))
    scope = reader.scope
    function = Function(at, node, scope)
    if scope.is_class:
        function.scope, function.own = scope.parent or scope, scope.own
        decorators = {getattr(each, "id", "") for each in node.decorator_list}
        function.is_method = "staticmethod" not in decorators
        reader.methods.setdefault(node.name, []).append(~at)
    _define(reader, node.name, function)


def _define(reader: Reader, name: str, function: Function) -> None:
    reader.functions[function.at] = function
    reader.scope.inner.append(function.at)
    reader.scope.local.add(name)
    reader.scope.bind(name, ((~function.at,), (~function.at,)))


def _class(reader: Reader, node: ast.ClassDef) -> None:
    at = reader.add(node, uses_of([*node.decorator_list, *node.bases], reader.scope.receiver))
    own: Changes = {}
    for base in node.bases:
        for known in reader.scope.find(getattr(base, "id", ""))[0]:
            own.update(reader.functions[~known].own or {} if known < 0 else {})
    function = Function(at, node, reader.scope, own=own)
    outer = reader.scope
    reader.scope = Scope(parent=outer, own=own, is_class=True)
    reader.block(node.body)
    function.inner = reader.scope.inner
    own.update({f".{name}": binding for name, binding in reader.scope.names.items()})
    reader.scope = outer
    _define(reader, node.name, function)


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


KINDS: Kinds = {
    **dict.fromkeys((ast.Assign, ast.AnnAssign, ast.AugAssign), _assignment),
    **dict.fromkeys((ast.Expr, ast.Delete), _expression),
    **dict.fromkeys((ast.For, ast.AsyncFor, ast.While), _loop),
    **dict.fromkeys((ast.With, ast.AsyncWith), _with),
    **dict.fromkeys((ast.Import, ast.ImportFrom), _import),
    **dict.fromkeys((ast.Global, ast.Nonlocal), _declaration),
    **dict.fromkeys((ast.FunctionDef, ast.AsyncFunctionDef), _definition),
    **dict.fromkeys(_TRIES, _try),
    ast.ClassDef: _class,
    ast.If: _if,
    ast.Match: _match,
    ast.Return: _return,
}
