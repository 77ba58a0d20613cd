"""Rulesets, and the commands' ways to say what is wrong."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from zioflow.files import RuleError, Ruleset, _sexp, rules

_ROOT = pathlib.Path(__file__).parents[3]
_GO = (_ROOT / "broker/match/sexp_test.go").read_text()

#: What the gateway's own tests of rules have for a BOT.
BOT = {
    **json.loads(
        '{"name":"Manfred","a":3,"b":2,"gain":1.5,"yes":true,"none":null,'
        '"big":18446744073709551615,"level":1,"order":"row","network":"daq","equal":5,'
        '"tags":["x"],"quote":"it\'s"}'
    ),
    **{"flow": "BOT", "direction": "inject", "credit": 4, "seqno": 0},
    **{"origin": 7, "granule": 1 << 63},
}


def _table(function, value):
    """A table of rules in the gateway's tests, which holds for both."""
    body = _GO[_GO.index(f"func {function}(") :].partition("\n}\n")[0]
    rows = re.findall(rf"^\t\t`([^`]*)`: +{value},$", body, re.M)
    assert len(rows) > 20
    return rows


@pytest.mark.parametrize("rule, want", _table("TestRule", "(true|false)"))
def test_rules_are_evaluated_as_the_gateway_does(rule, want):
    true = _sexp.parse(rule)
    try:
        assert true(BOT) is (want == "true")
    except _sexp.Unknown:
        assert want == "false"


@pytest.mark.parametrize("rule, want", _table("TestRuleErrorsNamePositionAndCause", "`([^`]*)`"))
def test_errors_are_those_of_the_gateway(rule, want):
    with pytest.raises(ValueError) as wrong:
        _sexp.parse(rule)
    assert str(wrong.value).startswith(want)


@pytest.mark.parametrize(
    "rule, why",
    [
        ("(> (* " + "big " * 100 + ") 1)", "a number becomes too large"),
        ("(> (* 1.5 " + "big " * 20 + ") 1)", "a number becomes too large"),
        ("(= (+ long long long) 'x')", "a text becomes too long"),
        ("(or " + "(= a 4) " * 20_000 + "(= a 3))", "takes too long to evaluate"),
        ("(= (+ '' " + "(+ name name) " * 2000 + ") long)", "takes too long to evaluate"),
        ("(= gain nan)", "nan is no finite number"),
    ],
)
def test_what_a_rule_may_cost(rule, why):
    attributes = {**BOT, "long": "x" * 30_000, "nan": float("nan")}
    with pytest.raises(_sexp.Unknown, match=why):
        _sexp.parse(rule)(attributes)
    with pytest.raises(ValueError, match="1:501: more than 100 lists"):
        _sexp.parse("(and " * 101)


def one(**rule) -> Ruleset:
    return rules.parse(json.dumps([{"rule": "true", "rw": "w", "filepat": "a.h5", **rule}]))


def test_the_first_true_rule_takes_the_flow():
    found = rules.parse(
        """[
        {"rule": "(= run 1)", "rw": "r", "filepat": "one.h5"},
        {"rule": "(< run 5)", "rw": "write", "filepat": "{stream}-{run:04d}.h5",
         "grouppat": "{site}/{{x}}/{gain:.2f}", "attr": {"site": "here"}},
        {"rule": "true", "rw": "w", "filepat": "rest.h5"}
        ]"""
    )
    assert found.find({"run": 1}) == rules.Place(1, False, "one.h5", "/")
    # attr stands in place of what the flow says.
    place = found.find({"run": 3, "stream": "raw", "gain": 2, "site": "there"})
    assert place == rules.Place(2, True, "raw-0003.h5", "here/{x}/2.00")
    assert found.find({"run": 7}).file == found.find({}).file == "rest.h5"
    with pytest.raises(RuleError, match="rule 2: filepat .*: the flow has no attribute 'stream'"):
        found.find({"run": 3})


@pytest.mark.parametrize(
    "rule, attributes, why",
    [
        ({"filepat": "{x}"}, {"x": None}, "x is no text and no number"),
        ({"filepat": "{x}"}, {"x": ["a"]}, "x is no text and no number"),
        ({"filepat": "{x:d}"}, {"x": "a"}, "x is 'a': "),
        ({"filepat": "{x}"}, {"x": "a" * 5000}, "more than 4096 characters"),
        ({"grouppat": "{x}"}, {}, "grouppat '{x}': the flow has no attribute 'x'"),
        ({"rule": "(= x 1)"}, {"x": 2}, "no rule takes the flow: rule 1: is false"),
        ({"rule": "(< x 1)"}, {"x": "a"}, 'rule 1: "a" and 1 have no order'),
    ],
)
def test_flows_without_a_place_FILE_1(rule, attributes, why):
    with pytest.raises(RuleError) as refused:
        one(**rule).find(attributes)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    "text, why",
    [
        ("{}", "a ruleset is a list of rules"),
        ("[]", "there is no rule"),
        ("[1]", "rule 1: a rule is an object"),
        ('[{"rw":"r","filepat":"a"}]', "rule 1: rule is missing"),
        ('[{"rule":"true","filepat":"a"}]', "rule 1: rw is missing"),
        ('[{"rule":"true","rw":"x","filepat":"a"}]', "rule 1: rw is 'x', want r or w"),
        ('[{"rule":"true","rw":"r"}]', "rule 1: filepat is missing"),
        ('[{"rule":"true","rw":"r","filepat":1}]', "rule 1: filepat is 1, want a text"),
        ('[{"rule":"true","rw":"r","filepat":"a","attr":1}]', "rule 1: attr is 1, want an object"),
        ('[{"rule":"true","rw":"r","filepat":"a","file":1}]', "rule 1: has the key 'file'"),
        ('[{"rule":"(= a","rw":"r","filepat":"a"}]', "rule 1: rule: 1:5: a closing parenthesis"),
        ('[{"rule":"true","rw":"r","filepat":"{a.b}"}]', "rule 1: filepat '{a.b}': want a name"),
        ('[{"rule":"true","rw":"r","filepat":"{a[0]}"}]', "want a name"),
        ('[{"rule":"true","rw":"r","filepat":"{a!r}"}]', "want a name"),
        ('[{"rule":"true","rw":"r","filepat":"{}"}]', "want a name"),
        ('[{"rule":"true","rw":"r","filepat":"{a:{b}}"}]', "want a name"),
        ('[{"rule":"true","rw":"r","filepat":"{a:9999d}"}]', "'9999d' makes a name too long"),
        ('[{"rule":"true","rw":"r","filepat":"{a"}]', "rule 1: filepat '{a': "),
    ],
)
def test_wrong_rulesets_are_refused(text, why):
    with pytest.raises(RuleError) as refused:
        rules.parse(text)
    assert why in str(refused.value)


def test_jsonnet(tmp_path):
    pytest.importorskip("_jsonnet")
    (tmp_path / "kinds.libsonnet").write_text("{ both: \"(or (= type 'a') (= type 'b'))\" }")
    file = tmp_path / "rules.jsonnet"
    file.write_text(
        "local kinds = import 'kinds.libsonnet';\n"
        "[{ rule: kinds.both, rw: 'w', filepat: '{type}.h5' }]"
    )
    assert rules.load(file).find({"type": "b"}).file == "b.h5"
    file.write_text("[{ rule: ")
    with pytest.raises(RuleError, match="rules.jsonnet: .*STATIC ERROR|rules.jsonnet:.*1:"):
        rules.load(file)


#: What a user gets wrong, and the one line that says so.
MISTAKES = {
    "no ruleset": (["none.json"], "zioflow: none.json: No such file or directory"),
    "no folder": (["r.json", "--root=none"], "zioflow: none: No such file or directory"),
    "a wrong rule": (["wrong.json"], 'zioflow: wrong.json: rule 1: rule: 1:2: "x" is no operator'),
    "no gateway": (["r.json", "--gateway=127.0.0.1:1"], "zioflow: the gateway: "),
    "a compression": (
        ["r.json", "--compression=zip"],
        "zioflow: compression 'zip': want one of gzip, lzf, blosc, blosc2, bzip2, bitshuffle, "
        "lz4, zstd",
    ),
}


@pytest.mark.parametrize("arguments, line", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_said_in_one_line(tmp_path, arguments, line):
    pytest.importorskip("h5py")
    (tmp_path / "r.json").write_text('[{"rule":"true","rw":"w","filepat":"a.h5"}]')
    (tmp_path / "wrong.json").write_text('[{"rule":"(x)","rw":"w","filepat":"a.h5"}]')
    done = run("serve-files", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == "" and done.stderr.startswith(line) and done.stderr.count("\n") == 1


def run(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "zioflow", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_a_package_that_is_missing_is_named(tmp_path):
    """Whichever it is: here one that cannot be imported stands in front of it."""
    (tmp_path / "r.json").write_text('[{"rule":"true","rw":"w","filepat":"a.h5"}]')
    (tmp_path / "r.jsonnet").write_text("[{rule:'true',rw:'w',filepat:'a.h5'}]")
    for name, ruleset in (("h5py", "r.json"), ("numpy", "r.json"), ("_jsonnet", "r.jsonnet")):
        hidden = tmp_path / name
        hidden.mkdir()
        (hidden / f"{name}.py").write_text(f"raise ModuleNotFoundError('no', name='{name}')")
        path = ":".join((str(hidden), *sys.path))
        done = run("serve-files", ruleset, cwd=tmp_path, PYTHONPATH=path)
        assert done.returncode == 1
        assert name.strip("_") in done.stderr and "pip install 'zioflow[files]'" in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


def test_check_rules(tmp_path):
    (tmp_path / "r.json").write_text(
        '[{"rule":"(= direction \'inject\')","rw":"w","filepat":"{run}.h5","grouppat":"{s}"}]'
    )
    done = run("check-rules", "r.json", "direction=inject", "run=7", "s=raw", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "rule 1 writes to 7.h5, group raw\n")
    done = run("check-rules", "r.json", "direction=extract", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "zioflow: no rule takes the flow: rule 1: is false\n"
