"""The S-expressions of ZIO's rules, read and evaluated as the gateway's routes do.

    expression = "(" operator expression { expression } ")" | value
    value      = 'text' | "text" | 12 | -1.5 | true | false | name

docs/routes.md says what they mean, and what is different from ZIO's own reading.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

#: Evaluates a part of a rule over what names stand for. Unknown says that it has no value.
Evaluate = Callable[["Scope"], Any]

#: How deep lists may lie within each other.
_MAX_DEPTH = 100
#: What a rule may compute: the digits of a number's text, its bits, a text's characters.
_MAX_DIGITS, _MAX_BITS, _MAX_JOINED = 40, 256, 1 << 16
#: How much a ruleset may be evaluated for one flow: parts, and characters looked at.
MAX_EFFORT = 50_000

_SPACE = " \t\r\n"
_TOKEN = re.compile(r"[^ \t\r\n()'\"]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?\Z")


class Unknown(Exception):
    """A part of a rule has no value; the text says why."""


class _Exhausted(Unknown):
    """Too much was evaluated: nothing decides any more."""


class Scope:
    """What names stand for, and how much more may be evaluated."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes
        self._left = MAX_EFFORT

    def __getitem__(self, name: str) -> Any:
        if name not in self._attributes:
            raise Unknown(f"{name} is missing")
        value = self._attributes[name]
        if isinstance(value, float) and not math.isfinite(value):
            raise Unknown(f"{name} is no finite number")
        return value

    def spend(self, effort: int) -> None:
        self._left -= effort
        if self._left < 0:
            raise _Exhausted("takes too long to evaluate")


def parse(text: str) -> Callable[[Mapping[str, Any] | Scope], bool]:
    """A rule as a function that says whether it is true; Unknown says that it is neither.

    ValueError names line, column and cause.
    """
    reader = _Reader(text)
    try:
        evaluate = reader.expression(0)
        reader.space()
        if reader.at < len(text):
            raise ValueError(f"{_cut(text[reader.at :])} follows the expression")
    except ValueError as wrong:
        line = 1 + text.count("\n", 0, reader.at)
        column = reader.at - text.rfind("\n", 0, reader.at)
        raise ValueError(f"{line}:{column}: {wrong}") from None

    def true(attributes: Mapping[str, Any] | Scope) -> bool:
        return _true(evaluate, attributes if isinstance(attributes, Scope) else Scope(attributes))

    return true


def _cut(text: str) -> str:
    return '"' + (text if len(text) <= 20 else text[:20] + "…") + '"'


class _Reader:
    """Reads an expression. After a ValueError, `at` is where it was seen."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def space(self) -> None:
        while self.at < len(self._text) and self._text[self.at] in _SPACE:
            self.at += 1

    def expression(self, depth: int) -> Evaluate:
        self.space()
        if self.at == len(self._text):
            raise ValueError("an expression is missing")
        first = self._text[self.at]
        if first == "(":
            if depth == _MAX_DEPTH:
                raise ValueError(f"more than {_MAX_DEPTH} lists lie within each other")
            self.at += 1
            return self._list(depth + 1)
        return self._quoted(first) if first in "'\"" else self._word()

    def _token(self) -> str:
        found = _TOKEN.match(self._text, self.at)
        assert found is not None
        self.at = found.end()
        return found.group()

    def _list(self, depth: int) -> Evaluate:
        self.space()
        start = self.at
        name = self._token()
        if name not in _OPERATORS:
            self.at = start
            raise ValueError(f"{_cut(name)} is no operator" if name else "an operator is missing")
        make, least, most = _OPERATORS[name]
        arguments: list[Evaluate] = []
        while True:
            self.space()
            if self.at == len(self._text):
                raise ValueError("a closing parenthesis is missing")
            if self._text[self.at] == ")":
                self.at += 1
                break
            arguments.append(self.expression(depth))
        if len(arguments) < least or most < len(arguments):
            self.at = start
            wants = str(least) if least == most else f"{least} or more"
            raise ValueError(f"{name} has {len(arguments)} operands, wants {wants}")
        return make(arguments)

    def _quoted(self, quote: str) -> Evaluate:
        end = self._text.find(quote, self.at + 1)
        if end < 0:
            raise ValueError("a closing quote is missing")
        value = self._text[self.at + 1 : end]
        self.at = end + 1
        return _constant(value)

    def _word(self) -> Evaluate:
        start = self.at
        token = self._token()
        if token.lower() in ("true", "false"):
            return _constant(token.lower() == "true")
        if _NAME.match(token):
            return _name(token)
        number = _NUMBER.match(token)
        if number and len(token) <= _MAX_DIGITS:
            return _constant(float(token) if number.group(1) else int(token))
        self.at = start
        token = token or self._text[start]  # a parenthesis
        raise ValueError(f"{_cut(token)} is no string, number or attribute's name")


def _constant(value: Any) -> Evaluate:
    def evaluate(scope: Scope) -> Any:
        scope.spend(1)
        return value

    return evaluate


def _name(name: str) -> Evaluate:
    def evaluate(scope: Scope) -> Any:
        scope.spend(1)
        return scope[name]

    return evaluate


def _true(evaluate: Evaluate, scope: Scope) -> bool:
    """Whether a part holds: it is true, or a number other than 0, as (or 0 1) is to ZIO."""
    value = evaluate(scope)
    if isinstance(value, (bool, int, float)):
        return bool(value)
    raise Unknown(f"{_shown(value)} is neither true nor false")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return _cut(value)
    return {list: "a list", dict: "an object", type(None): "null"}.get(type(value), str(value))


def _either(decisive: bool) -> Callable[[list[Evaluate]], Evaluate]:
    """An `or` if True decides, whatever the others are, an `and` if False does."""

    def make(arguments: list[Evaluate]) -> Evaluate:
        def evaluate(scope: Scope) -> bool:
            scope.spend(1)
            unknown: Unknown | None = None
            for argument in arguments:
                try:
                    if _true(argument, scope) is decisive:
                        return decisive
                except _Exhausted:
                    raise
                except Unknown as found:
                    unknown = unknown or found
            if unknown is not None:
                raise unknown
            return not decisive

        return evaluate

    return make


def _effort(value: Any) -> int:
    return 1 + (len(value) // 64 if isinstance(value, str) else 0)


def _chain(holds: Callable[[Any, Any], bool]) -> Callable[[list[Evaluate]], Evaluate]:
    """Compares every operand with the next: (< 1 run 10)."""

    def make(arguments: list[Evaluate]) -> Evaluate:
        def evaluate(scope: Scope) -> bool:
            values = [argument(scope) for argument in arguments]
            scope.spend(sum(map(_effort, values)))
            return all([holds(a, b) for a, b in zip(values, values[1:])])

        return evaluate

    return make


def _fold(compute: Callable[[Any, Any], Any]) -> Callable[[list[Evaluate]], Evaluate]:
    """Computes from the left: (- 9 2 1) is 6."""

    def make(arguments: list[Evaluate]) -> Evaluate:
        def evaluate(scope: Scope) -> Any:
            result, *rest = [argument(scope) for argument in arguments]
            for value in rest:
                scope.spend(_effort(result) + _effort(value))
                result = compute(result, value)
            return result

        return evaluate

    return make


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _equal(a: Any, b: Any) -> bool:
    """Values of any types; those of different types differ."""
    if _is_number(a) and _is_number(b):
        return bool(a == b)
    if isinstance(a, (list, dict)):
        raise Unknown(f"{_shown(a)} can't be compared")
    return type(a) is type(b) and bool(a == b)


def _ordered(is_so: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(a: Any, b: Any) -> bool:
        if (_is_number(a) and _is_number(b)) or (isinstance(a, str) and isinstance(b, str)):
            return is_so(a, b)
        raise Unknown(f"{_shown(a)} and {_shown(b)} have no order")

    return holds


def _computed(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def bounded(a: Any, b: Any) -> Any:
        if not (_is_number(a) and _is_number(b)):
            raise Unknown(f"{_shown(a)} and {_shown(b)} are not both numbers")
        try:
            result = compute(a, b)
        except OverflowError:
            raise Unknown("a number becomes too large") from None
        large = result.bit_length() > _MAX_BITS if isinstance(result, int) else False
        if large or not math.isfinite(result):
            raise Unknown("a number becomes too large")
        return result

    return bounded


_sum = _computed(lambda a, b: a + b)


def _add(a: Any, b: Any) -> Any:
    """Adds numbers and joins texts."""
    if not (isinstance(a, str) and isinstance(b, str)):
        return _sum(a, b)
    if len(a) + len(b) > _MAX_JOINED:
        raise Unknown("a text becomes too long")
    return a + b


_MANY = 1 << 30
#: How an operator is made of its operands, and how many it has.
_OPERATORS: dict[str, tuple[Callable[[list[Evaluate]], Evaluate], int, int]] = {
    name: (make, least, most)
    for names, make, least, most in (
        ("and &", _either(False), 1, _MANY),
        ("or |", _either(True), 1, _MANY),
        ("= == eq", _chain(_equal), 2, _MANY),
        ("!= ne", _chain(lambda a, b: not _equal(a, b)), 2, 2),
        ("< lt", _chain(_ordered(lambda a, b: bool(a < b))), 2, _MANY),
        ("<= le", _chain(_ordered(lambda a, b: bool(a <= b))), 2, _MANY),
        ("> gt", _chain(_ordered(lambda a, b: bool(a > b))), 2, _MANY),
        (">= ge", _chain(_ordered(lambda a, b: bool(a >= b))), 2, _MANY),
        ("+ add", _fold(_add), 2, _MANY),
        ("- sub", _fold(_computed(lambda a, b: a - b)), 2, _MANY),
        ("* mul", _fold(_computed(lambda a, b: a * b)), 2, _MANY),
    )
    for name in names.split()
}
