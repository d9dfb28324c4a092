"""What one Python statement reads, writes and computes: the names in it, with their scopes.

A symbol is a name, or `.x` for the attribute `x` of the object whose method is read. Changing a
container in place is a write of *part* of it: it builds on the container and not on the changes
before it, so ten lines that fill a list stand side by side. What also looks at the content, such as
`sort` or `pop`, writes the *whole* of it. Walks are loops, not recursion: expressions may be deep.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# Methods of containers that only put something in, and those that look at what is there.
_PUTTING = frozenset(
    "add append appendleft discard extend extendleft insert push put setdefault update".split()
)
_TAKING = frozenset("clear pop popitem popleft remove reverse rotate sort".split())
MUTATORS = _PUTTING | _TAKING
# Functions that change their first argument.
_PUTTING_FUNCTIONS = frozenset("heappush insort insort_left insort_right setattr".split())
_TAKING_FUNCTIONS = frozenset("heapify heappop heappushpop heapreplace next shuffle".split())
_CHANGING = MUTATORS | _PUTTING_FUNCTIONS | _TAKING_FUNCTIONS

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_NAMED_PATTERNS = (ast.MatchAs, ast.MatchStar, ast.MatchMapping)
_SKIPPED = {"ctx", "op", "ops", "kind", "conversion", "type_comment", "annotation", "returns"}
_FIELDS: dict[type, tuple[str, ...]] = {}


class Uses:
    """The symbols of one statement.

    Attributes:
        reads: symbols whose value it uses, in the order of the walk.
        stores: symbols that it binds to a new value.
        whole: symbols of objects that it changes in place, having read them.
        parts: symbols of objects that it changes in part, unread.
        calls: calls that may be of functions of this program.
        operators: arithmetic, comparison and boolean operators, and calls.
    """

    __slots__ = ("calls", "operators", "parts", "reads", "stores", "whole")

    def __init__(self) -> None:  # one for each statement: a dataclass takes twice as long
        self.reads: dict[str, None] = {}
        self.stores: list[str] = []
        self.whole: list[str] = []
        self.parts: list[str] = []
        self.calls: list[ast.Call] = []
        self.operators = 0


def uses_of(nodes: Iterable[Any], receiver: str | None = None) -> Uses:
    """Return the symbols of a statement's expressions and targets; None among them is skipped.

    `receiver` is the name of the method's own object. Names that a comprehension or a lambda binds
    are its own and no symbols.
    """
    uses = Uses()
    jobs: list[tuple[list[Any], frozenset[str]]] = [(list(nodes), frozenset())]
    for stack, bound in jobs:  # grows while inner scopes are found
        while stack:
            node = stack.pop()
            kind = type(node)
            if kind is ast.Name:
                if node.id in bound:
                    continue
                if type(node.ctx) is ast.Load:
                    uses.reads[node.id] = None
                elif type(node.ctx) is ast.Store:
                    uses.stores.append(node.id)
            elif kind is ast.Constant or node is None:
                continue
            elif kind is ast.Attribute or kind is ast.Subscript:
                _place(node, uses, stack, bound, receiver)
            elif kind is ast.Call:
                _call(node, uses, stack, bound, receiver)
            elif kind in _COMPREHENSIONS:
                jobs.append(_comprehension(node, stack, bound))
            elif kind is ast.Lambda:
                stack += node.args.defaults + node.args.kw_defaults
                jobs.append(([node.body], bound | set(parameters(node.args))))
            else:
                uses.operators += _num_operators(kind, node)
                if kind in _NAMED_PATTERNS:
                    name = node.rest if kind is ast.MatchMapping else node.name
                    uses.stores += [name] if name else []
                _push_children(kind, node, stack)
    return uses


def uses_of_lone_call(call: ast.Call, receiver: str | None = None) -> tuple[Uses, str] | None:
    """Return the symbols of `a.b.method(x)` where nobody takes the result, and the symbol of `a`.

    Such a call is made for what it changes, so `a` is not read. None where that cannot be said: the
    call is of a function, of a method known to change or of the method's own object.
    """
    function: Any = call.func
    if type(function) is not ast.Attribute or function.attr in _CHANGING:
        return None
    root = root_of(function.value, receiver)
    if root is None or _is_name(function.value, receiver):
        return None
    inner = [*call.args, *(keyword.value for keyword in call.keywords)]
    node: Any = function.value
    while type(node) is not ast.Name:
        inner += [node.slice] if type(node) is ast.Subscript else []
        node = node.value
    uses = uses_of(inner, receiver)
    uses.calls.append(call)
    uses.operators += 1
    return uses, root


def parameters(arguments: ast.arguments) -> list[str]:
    """Return the names of the parameters, positional ones first."""
    named = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    extra = [arguments.vararg, arguments.kwarg]
    return [argument.arg for argument in [*named, *extra] if argument is not None]


def root_of(node: Any, receiver: str | None = None) -> str | None:
    """Return the symbol whose object a chain of attributes and subscripts starts from."""
    while type(node) is ast.Attribute or type(node) is ast.Subscript:
        if type(node) is ast.Attribute and _is_name(node.value, receiver):
            return f".{node.attr}"
        node = node.value
    return node.id if type(node) is ast.Name else None


def _is_name(node: Any, name: str | None) -> bool:
    return type(node) is ast.Name and node.id == name


def _place(
    node: Any, uses: Uses, stack: list[Any], bound: frozenset[str], receiver: str | None
) -> None:
    """Read or write `a.b` or `a[b]`."""
    is_attribute = type(node) is ast.Attribute
    is_own = is_attribute and receiver not in bound and _is_name(node.value, receiver)
    if type(node.ctx) is ast.Load:
        if is_own:
            uses.reads[f".{node.attr}"] = None
            return
        stack.append(node.value)
        if not is_attribute:
            stack.append(node.slice)
    elif is_own and type(node.ctx) is ast.Store:
        uses.stores.append(f".{node.attr}")
    else:
        _change(node, uses, stack, bound, receiver)


def _change(
    node: Any, uses: Uses, stack: list[Any], bound: frozenset[str], receiver: str | None
) -> None:
    """Write a part of what the chain `node` starts from; its subscripts are read."""
    root = root_of(node, receiver)
    if root is not None and root not in bound:
        uses.parts.append(root)
    while type(node) is ast.Attribute or type(node) is ast.Subscript:
        if type(node) is ast.Subscript:
            stack.append(node.slice)
        node = node.value
    if type(node) is not ast.Name:
        stack.append(node)  # d.setdefault(k, []).append(v)


def _replace(
    node: Any, uses: Uses, stack: list[Any], bound: frozenset[str], receiver: str | None
) -> None:
    """Read all of what the chain `node` starts from, and write it."""
    root = root_of(node, receiver)
    if root is not None and root not in bound:
        uses.whole.append(root)
    stack.append(node)


def _call(
    node: ast.Call, uses: Uses, stack: list[Any], bound: frozenset[str], receiver: str | None
) -> None:
    uses.operators += 1
    if node.keywords:
        stack += [keyword.value for keyword in node.keywords]
    function: Any = node.func
    is_method = type(function) is ast.Attribute
    name = function.attr if is_method else function.id if type(function) is ast.Name else ""
    if node.args and (name in _PUTTING_FUNCTIONS or name in _TAKING_FUNCTIONS):
        stack += node.args[1:]
        if name in _PUTTING_FUNCTIONS:
            _change(node.args[0], uses, stack, bound, receiver)
        else:
            _replace(node.args[0], uses, stack, bound, receiver)
        return
    stack += node.args
    if is_method and name in MUTATORS and not _is_name(function.value, receiver):
        if name in _PUTTING:
            _change(function.value, uses, stack, bound, receiver)
        else:
            _replace(function.value, uses, stack, bound, receiver)
        return
    if name and name not in bound:
        uses.calls.append(node)
    stack.append(function)


def _comprehension(
    node: Any, stack: list[Any], bound: frozenset[str]
) -> tuple[list[Any], frozenset[str]]:
    """Return what is read in the comprehension's own scope; its first source is read outside."""
    stack.append(node.generators[0].iter)
    is_pair = type(node) is ast.DictComp
    inside: list[Any] = [node.key, node.value] if is_pair else [node.elt]
    own: set[str] = set()
    for place, generator in enumerate(node.generators):
        own.update(n.id for n in ast.walk(generator.target) if type(n) is ast.Name)
        inside += generator.ifs
        if place:
            inside.append(generator.iter)
    return inside, bound | own


def _num_operators(kind: type, node: Any) -> int:
    if kind is ast.BinOp:
        return 1
    if kind is ast.Compare:
        return len(node.ops)
    if kind is ast.BoolOp:
        return len(node.values) - 1
    # -1 is a number
    return int(kind is ast.UnaryOp and type(node.operand) is not ast.Constant)


def _push_children(kind: type, node: Any, stack: list[Any]) -> None:
    for name in fields_of(kind):
        child = getattr(node, name)
        if type(child) is list:
            stack += child
        elif child is not None:
            stack.append(child)


def fields_of(kind: type) -> tuple[str, ...]:
    """Return the fields of a kind of node that hold what it means; none for text and numbers."""
    found = _FIELDS.get(kind)
    if found is None:
        names = getattr(kind, "_fields", ())
        found = _FIELDS[kind] = tuple(name for name in names if name not in _SKIPPED)
    return found


def signature(statement: ast.stmt) -> tuple[Any, ...]:
    """Return what two statements share when they say the same, comments and annotations aside."""
    parts: list[Any] = []
    stack: list[Any] = [statement]
    while stack:
        item = stack.pop()
        kind = type(item)
        parts.append(kind)
        if kind is list:
            if item and is_docstring(item[0]):
                item = item[1:]
            parts.append(len(item))
            stack += item
        elif isinstance(item, ast.AST):
            if isinstance(item, ast.AnnAssign):  # x: int = 3 says what x = 3 says
                parts[-1] = ast.Assign
                stack += [item.value, [item.target]]
                continue
            stack += [getattr(item, name) for name in item._fields if name not in _UNSAID]
        else:
            parts.append(item)
    return tuple(parts)


_UNSAID = {"ctx", "kind", "type_comment", "annotation", "returns", "type_params"}


def is_docstring(node: Any) -> bool:
    """Return whether a statement is nothing but a constant."""
    return type(node) is ast.Expr and type(node.value) is ast.Constant


# Statements are numbered. A function or class as a value is ~(the number of its definition).
Binding = tuple[tuple[int, ...], tuple[int, ...]]  # all that shaped the value; what made it anew
Changes = dict[str, Binding]
NOTHING: Binding = ((), ())


@dataclass(slots=True)
class Scope:
    """The names of a function, a class or the module, and what is known while it is read.

    Attributes:
        parent: the scope in which its free names are looked up.
        function: whose scope it is; None for the module and for classes.
        receiver: the name of the method's own object, in a method.
        own: attributes and methods of the class of that object, as `.x`.
        names: the binding of each symbol.
        local: the names that are its own, as parameters or by assignment.
        declared: the names after `global` and `nonlocal`.
        inner: functions and classes that it defines.
        is_class: whether it is a class's own scope, which its methods do not look into.
        written: symbols written in the arm that is read, with their bindings before.
    """

    parent: Scope | None = None
    function: Function | None = None
    receiver: str | None = None
    own: Changes | None = None
    names: Changes = field(default_factory=dict)
    local: set[str] = field(default_factory=set)
    declared: set[str] = field(default_factory=set)
    inner: list[int] = field(default_factory=list)
    is_class: bool = False
    written: list[tuple[str, Binding | None]] = field(default_factory=list)

    def find(self, symbol: str) -> Binding:
        """Return the binding of a symbol here or in the scopes around."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(symbol)
            if found is None and scope.own is not None:
                found = scope.own.get(symbol)
            if found is not None:
                return found
            scope = scope.parent
        return NOTHING

    def bind(self, symbol: str, binding: Binding) -> None:
        """Set the binding of a symbol here."""
        self.written.append((symbol, self.names.get(symbol)))
        self.names[symbol] = binding


@dataclass(slots=True)
class Function:
    """A function or class of the program.

    Attributes:
        at: the number of its definition.
        node: the definition.
        scope: where its free names are looked up.
        own: attributes and methods, as `.x`, of the class or of the method's class.
        is_method: whether its first parameter is its own object.
        state: 0, 1 while its body is read, 2 when it was.
        exits: the statements that give its value.
        returns: the statements that return or yield one.
        positions: the place of each parameter.
        changed: positions of the parameters that it changes in place.
        outside: symbols around it that it writes, with the statements that do.
        inner: the methods of a class.
    """

    at: int
    node: Any
    scope: Scope
    own: Changes | None = None
    is_method: bool = False
    state: int = 0
    exits: tuple[int, ...] = ()
    returns: list[int] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)
    outside: dict[str, list[int]] = field(default_factory=dict)
    inner: list[int] = field(default_factory=list)
