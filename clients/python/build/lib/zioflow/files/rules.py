"""ZIO's rulesets: which flow is written to, or read from, which group of which file.

A ruleset is a list of objects, in JSON or Jsonnet, each with `rule`, `rw`, `filepat` and,
where wanted, `grouppat` and `attr`. The first rule that is true takes the flow.
"""

from __future__ import annotations

import json
import os
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import _sexp
from .errors import RuleError

_KEYS = {"rule", "rw", "filepat", "grouppat", "attr"}
#: How many of the rules that are not true a refusal explains.
_MAX_EXPLAINED = 5
#: What a pattern may become, in characters.
_MAX_NAME = 4096


@dataclass(frozen=True)
class Place:
    """Where a rule puts a flow, or finds it. The names are not checked yet."""

    #: The rule's number in its ruleset, from 1.
    number: int
    #: Whether the flow is written; otherwise it is read.
    write: bool
    #: The file's name, below the root.
    file: str
    #: The group in it.
    group: str


@dataclass(frozen=True)
class Rule:
    """One rule of a ruleset."""

    #: Its S-expression, and the same as a function.
    rule: str
    #: "r" for flows that are read from a file, "w" for those that are written.
    rw: str
    #: The file's name, with {names} of attributes.
    filepat: str
    #: The group's, likewise.
    grouppat: str = "/"
    #: Attributes that stand in place of the flow's own.
    attr: Mapping[str, Any] = field(default_factory=dict)
    _true: Callable[[Mapping[str, Any]], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "_true", _sexp.parse(self.rule))
        except ValueError as wrong:
            raise RuleError(f"rule: {wrong}") from None
        if self.rw[:1] not in ("r", "w"):
            raise RuleError(f"rw is {self.rw!r}, want r or w")
        for name in ("filepat", "grouppat"):
            _check_pattern(name, getattr(self, name))

    def is_true(self, attributes: Mapping[str, Any]) -> bool:
        """Whether the rule takes a flow with these attributes.

        RuleError says why it is neither true nor false: an attribute that decides is
        missing, or values cannot be compared.
        """
        try:
            return self._true({**attributes, **self.attr})
        except _sexp.Unknown as unknown:
            raise RuleError(str(unknown)) from None

    def place(self, number: int, attributes: Mapping[str, Any]) -> Place:
        """Where the rule, of this number, puts a flow that it takes; RuleError for a
        pattern that cannot be filled in."""
        attributes = {**attributes, **self.attr}
        file = _fill("filepat", self.filepat, attributes)
        group = _fill("grouppat", self.grouppat, attributes)
        return Place(number, self.rw.startswith("w"), file, group)


class Ruleset(Sequence[Rule]):
    """An ordered list of rules. It does not change, and may be used by many threads."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        if not rules:
            raise RuleError("there is no rule")
        self._rules = tuple(rules)

    def __len__(self) -> int:
        return len(self._rules)

    def __getitem__(self, index: Any) -> Any:
        return self._rules[index]

    def find(self, attributes: Mapping[str, Any]) -> Place:
        """The place that the first true rule gives a flow with these attributes.

        RuleError says why there is none: what is wrong with each rule, or with the
        patterns of the one that is true.
        """
        why = []
        for number, rule in enumerate(self._rules, 1):
            try:
                true = rule.is_true(attributes)
                reason = "is false"
            except RuleError as unknown:
                true, reason = False, str(unknown)
            if true:
                try:
                    return rule.place(number, attributes)
                except RuleError as wrong:
                    raise RuleError(f"rule {number}: {wrong}") from None
            why.append(f"rule {number}: {reason}")
        if len(why) > _MAX_EXPLAINED:
            why[_MAX_EXPLAINED:] = ["…"]
        raise RuleError("no rule takes the flow: " + "; ".join(why))


def load(path: str | os.PathLike[str]) -> Ruleset:
    """The ruleset of a file in JSON, or in Jsonnet, which may import others.

    RuleError names file, rule and cause; OSError if the file cannot be read.
    """
    name = os.fspath(path)
    with open(name, encoding="utf-8") as file:
        try:
            text = file.read()
        except UnicodeDecodeError as wrong:
            raise RuleError(f"{name}: is no UTF-8 at byte {wrong.start}") from None
    try:
        return parse(text, name=name)
    except RuleError as wrong:
        raise RuleError(f"{name}: {wrong}") from None


def parse(text: str, *, name: str = "rules") -> Ruleset:
    """The ruleset of a text in JSON, whose integers are exact, or in Jsonnet, in which
    numbers are doubles. RuleError names rule and cause. Imports start at `name`."""
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        items = json.loads(_evaluate(name, text))
    if not isinstance(items, list):
        raise RuleError("a ruleset is a list of rules")
    rules = []
    for number, item in enumerate(items, 1):
        try:
            rules.append(_read(item))
        except RuleError as wrong:
            raise RuleError(f"rule {number}: {wrong}") from None
    return Ruleset(rules)


def _evaluate(name: str, text: str) -> str:
    try:
        import _jsonnet  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise RuleError(
            "is no JSON, and for Jsonnet the package jsonnet is missing: "
            "pip install 'zioflow[files]'"
        ) from None
    try:
        found: str = _jsonnet.evaluate_snippet(name, text)
    except RuntimeError as wrong:
        raise RuleError(" ".join(str(wrong).split())) from None
    return found


def _read(item: Any) -> Rule:
    if not isinstance(item, dict):
        raise RuleError("a rule is an object")
    for key in item.keys() - _KEYS:
        raise RuleError(f"has the key {key!r}, want rule, rw, filepat, grouppat, attr")
    for key in ("rule", "rw", "filepat"):
        if key not in item:
            raise RuleError(f"{key} is missing")
    for key in ("rule", "rw", "filepat", "grouppat"):
        if not isinstance(item.get(key, ""), str):
            raise RuleError(f"{key} is {item[key]!r}, want a text")
    if not isinstance(item.get("attr", {}), dict):
        raise RuleError(f"attr is {item['attr']!r}, want an object")
    return Rule(**item)


def _fields(pattern: str) -> list[tuple[str, str | None, str]]:
    """A pattern's texts, each with the name and the format that follow it."""
    found = []
    for text, name, form, conversion in string.Formatter().parse(pattern):
        if conversion or "{" in (form or "") or (name is not None and not _is_name(name)):
            raise ValueError(f"want a name, as in {{run}} or {{run:06d}}, not {{{name}}}")
        digits = "".join(c if c.isdigit() else " " for c in form or "").split()
        if any(len(d) > 3 for d in digits):
            raise ValueError(f"{form!r} makes a name too long")
        found.append((text, name, form or ""))
    return found


def _is_name(name: str) -> bool:
    """Whether a field is an attribute's name: nothing is looked up in it, by . or []."""
    return name != "" and not set(name) & set(".[]!")


def _check_pattern(key: str, pattern: str) -> None:
    try:
        _fields(pattern)
    except ValueError as wrong:
        raise RuleError(f"{key} {pattern!r}: {wrong}") from None


def _fill(key: str, pattern: str, attributes: Mapping[str, Any]) -> str:
    done = ""
    for text, name, form in _fields(pattern):
        done += text
        if name is None:
            continue
        if name not in attributes:
            raise RuleError(f"{key} {pattern!r}: the flow has no attribute {name!r}")
        value = attributes[name]
        if not isinstance(value, (str, int, float)):
            raise RuleError(f"{key} {pattern!r}: {name} is no text and no number")
        try:
            done += format(value, form)
        except (ValueError, OverflowError) as wrong:
            raise RuleError(f"{key} {pattern!r}: {name} is {value!r}: {wrong}") from None
        if len(done) > _MAX_NAME:
            raise RuleError(f"{key} {pattern!r}: makes a name of more than {_MAX_NAME} characters")
    return done
