"""JSONPaths and intrinsic functions in a definition, read as the interpreter reads them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.parser import parse

from local_aws.step_functions.problems import SCHEMA, Problem

_TEMPLATES = ("Parameters", "ResultSelector", "ItemSelector", "Assign")
_PATHS = (
    "InputPath OutputPath ItemsPath SecondsPath TimestampPath TimeoutSecondsPath HeartbeatSecondsPath MaxConcurrencyPath "
    "ToleratedFailureCountPath ToleratedFailurePercentagePath"
).split()
_EXPRESSIONS = ("ErrorPath", "CausePath")
# $$ is the context object, $name a variable of Assign
_ROOT = re.compile(r"\$(\$|[A-Za-z_]\w*)?(?=$|[.\[])")
# https://states-language.net/#ref-paths
_REFERENCE = re.compile(r"\$((\.[^.\[\]@,:?*]+)|(\[(\d+|'[^']+')\]))*")


def expression_problems(state: dict[str, Any], location: str) -> Iterator[Problem]:
    """What is wrong with the expressions of one state, its inner machines apart."""
    for field in _TEMPLATES:
        yield from _template(state.get(field), f"{location}/{field}")
    for field in _PATHS:
        if state.get(field) is not None and not _is_path(state[field]):
            yield _not_a_path(field, f"{location}/{field}")
    for field in _EXPRESSIONS:
        if field in state and not is_expression(state[field]):
            yield _not_a_path(field, f"{location}/{field}")
    yield from _result_path(state, location)
    for number, rule in enumerate(state.get("Catch") or []):
        yield from _result_path(rule, f"{location}/Catch[{number}]")
    for number, rule in enumerate(state.get("Choices") or []):
        yield from _choice(rule, f"{location}/Choices[{number}]")


def _template(value: Any, location: str) -> Iterator[Problem]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _template(item, f"{location}[{number}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not key.endswith(".$"):
                yield from _template(item, f"{location}/{key}")
            elif not is_expression(item):
                yield _not_a_path(key, f"{location}/{key}")


def _choice(rule: dict[str, Any], location: str) -> Iterator[Problem]:
    for field, value in rule.items():
        if field in ("And", "Or"):
            for number, inner in enumerate(value):
                yield from _choice(inner, f"{location}/{field}[{number}]")
        elif field == "Not":
            yield from _choice(value, f"{location}/Not")
        elif (field == "Variable" or field.endswith("Path")) and not _is_path(value):
            yield _not_a_path(field, f"{location}/{field}")


def _result_path(holder: dict[str, Any], location: str) -> Iterator[Problem]:
    path = holder.get("ResultPath")
    if path is not None and not (isinstance(path, str) and _REFERENCE.fullmatch(path)):
        yield Problem(SCHEMA, "The value for the field 'ResultPath' must be a valid reference path", f"{location}/ResultPath")


def _not_a_path(field: str, location: str) -> Problem:
    what = "JSONPath or a valid intrinsic function call" if field.endswith(".$") or field in _EXPRESSIONS else "JSONPath"
    return Problem(SCHEMA, f"The value for the field '{field}' must be a valid {what}", location)


def is_expression(text: Any) -> bool:
    """Whether ``text`` is a JSONPath or a call of an intrinsic function."""
    return _is_intrinsic(text) if isinstance(text, str) and text.startswith("States.") else _is_path(text)


def _is_path(text: Any) -> bool:
    return isinstance(text, str) and _ROOT.match(text) is not None and _parses(_ROOT.sub("$", text, count=1))


@functools.cache
def _parses(path: str) -> bool:
    try:
        parse(path)
    except JSONPathError:
        return False
    return True


def _is_intrinsic(text: str) -> bool:
    from antlr4 import CommonTokenStream, InputStream
    from moto.stepfunctions.parser.asl.antlr.runtime.ASLIntrinsicLexer import ASLIntrinsicLexer
    from moto.stepfunctions.parser.asl.antlr.runtime.ASLIntrinsicParser import ASLIntrinsicParser

    lexer = ASLIntrinsicLexer(InputStream(text))
    lexer.removeErrorListeners()
    tokens = CommonTokenStream(lexer)
    parser = ASLIntrinsicParser(tokens)
    parser.removeErrorListeners()
    parser.func_decl()  # type: ignore[no-untyped-call]
    read = "".join(token.text for token in tokens.tokens[:-1])  # the lexer drops what it does not know
    return bool(parser.getNumberOfSyntaxErrors() == 0 and parser.getCurrentToken().type == -1 and _solid(read) == _solid(text))


def _solid(text: str) -> str:
    return re.sub(r"\s", "", text)
