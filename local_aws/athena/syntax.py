"""Parses Trino's SQL with sqlglot; keeps function calls as written, and records positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import ParseError, TokenError
from sqlglot.parser import Parser
from sqlglot.parsers.athena import AthenaTrinoParser
from sqlglot.tokenizer_core import Token, TokenType

from local_aws.athena.errors import InvalidSyntax

_CALLS_WITH_SYNTAX = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "POSITION", "LISTAGG")


def _placed(parse: Callable[[Parser, Token], Any]) -> Callable[[Parser, Token], Any]:
    def parse_and_place(parser: Parser, token: Token) -> Any:
        node = parse(parser, token)
        return node.update_positions(token) if isinstance(node, exp.Expr) else node

    return parse_and_place


class _Parser(AthenaTrinoParser):
    """Parses all function calls alike, because functions.txt defines them, not sqlglot."""

    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    FUNCTION_PARSERS = {
        name: AthenaTrinoParser.FUNCTION_PARSERS[name] for name in _CALLS_WITH_SYNTAX
    }
    NO_PAREN_FUNCTION_PARSERS = {
        name: parser
        for name, parser in AthenaTrinoParser.NO_PAREN_FUNCTION_PARSERS.items()
        if name in ("CASE", "ANY", "IF")
    }
    PRIMARY_PARSERS = {
        kind: _placed(parser) for kind, parser in AthenaTrinoParser.PRIMARY_PARSERS.items()
    }


class _Dialect(Trino):
    Parser = _Parser
    INDEX_OFFSET = 0  # sqlglot must not renumber array subscripts


class Source:
    """One statement's text: its syntax tree, and the line and column of every node."""

    def __init__(self, text: str) -> None:
        self.text = text
        dialect = _Dialect()
        try:
            self._tokens = dialect.tokenize(text)
            trees = [
                tree
                for tree in dialect.parser().parse(self._tokens, text)
                if tree and not isinstance(tree, exp.Semicolon)
            ]
        except (ParseError, TokenError) as error:
            raise InvalidSyntax(self._mismatched(error)) from error
        if len(trees) != 1:
            several = f"Only one sql statement is allowed. Got: {text}"
            raise InvalidSyntax(several if trees else "line 1:1: mismatched input '<EOF>'")
        self.tree: exp.Expr = trees[0]
        self._reject_other_dialects()

    def _mismatched(self, error: Exception) -> str:
        details = getattr(error, "errors", None) or [{}]
        line, highlight = details[0].get("line") or 1, details[0].get("highlight") or "<EOF>"
        before = details[0].get("start_context") or ""
        column = len(before.rpartition("\n")[2]) + 1
        if not details[0]:
            return f"line 1:1: mismatched input: {error}"
        if self._tokens_end_with(before + highlight):
            return f"{self._line_column(len(self.text))}: mismatched input '<EOF>'"
        where = self.text.find(before + highlight) if before else -1
        return (
            f"line {line}:{column if where <= 0 else self._at(where + len(before))[1]}: mismatched"
            f" input '{highlight}'"
        )

    def _tokens_end_with(self, read: str) -> bool:
        """Returns whether the parser read the text to its end, and thus expected more."""
        return self.text.rstrip().endswith(read)

    def _reject_other_dialects(self) -> None:
        for word in ("QUALIFY", "TOP", "ILIKE", "RLIKE", "PIVOT", "::"):
            for token in self._tokens:
                if token.text.upper() == word and token.token_type not in (
                    TokenType.VAR,
                    TokenType.IDENTIFIER,
                    TokenType.STRING,
                ):
                    raise InvalidSyntax(
                        f"{self._line_column(token.start)}: mismatched input '{token.text}'"
                    )
        order = [
            token
            for token in self._tokens
            if token.token_type in (TokenType.LIMIT, TokenType.OFFSET)
        ]
        for limit, offset in zip(order, order[1:], strict=False):
            if (
                limit.token_type is TokenType.LIMIT
                and offset.token_type is TokenType.OFFSET
                and self._same_level(limit, offset)
            ):
                raise InvalidSyntax(
                    f"{self._line_column(offset.start)}: mismatched input '{offset.text}'."
                    " Expecting: <EOF>"
                )

    def _same_level(self, first: Token, last: Token) -> bool:
        between = [
            token.token_type for token in self._tokens if first.start < token.start < last.start
        ]
        return TokenType.L_PAREN not in between and TokenType.R_PAREN not in between

    def _at(self, offset: int) -> tuple[int, int]:
        before = self.text[:offset]
        return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1

    def _line_column(self, offset: int) -> str:
        line, column = self._at(offset)
        return f"line {line}:{column}"

    def place(self, node: exp.Expr) -> str:
        """The start of ``node``, such as ``line 1:8``."""
        start = self._start(node)
        words = _KEYWORDS.get(type(node), ())
        before = [
            token.start
            for token in self._tokens
            if token.start < start and token.text.upper() in words
        ]
        return self._line_column(before[-1] if before else start)

    def place_of_operator(self, node: exp.Expr, right: exp.Expr) -> str:
        """The position of the operator before ``right``; Trino's errors point to operators."""
        start, end = self._start(node), self._start(right)
        skipped = (TokenType.L_PAREN, TokenType.DASH, TokenType.PLUS)
        before = [token for token in self._tokens if start <= token.start < end]
        while (
            len(before) > 1
            and before[-1].token_type in skipped
            and before[-2].token_type not in _OPERANDS
        ):
            before.pop()
        return self._line_column(before[-1].start if before else start)

    def is_typed_literal(self, literal: exp.Expr) -> bool:
        """Returns whether a type's name precedes the text, as in ``DATE '2024-01-01'``."""
        place = self._start(literal)
        before = [token for token in self._tokens if token.start < place]
        return bool(before) and before[-1].token_type not in (TokenType.L_PAREN, TokenType.COMMA)

    def _start(self, node: exp.Expr) -> int:
        return min((place for place in _starts(node)), default=0)


# nodes that start with a keyword, whose position sqlglot does not record
_KEYWORDS: dict[type, tuple[str, ...]] = {
    exp.Cast: ("CAST",),
    exp.TryCast: ("TRY_CAST",),
    exp.Case: ("CASE",),
    exp.Not: ("NOT",),
    exp.Array: ("ARRAY",),
}
_OPERANDS = (
    TokenType.VAR,
    TokenType.IDENTIFIER,
    TokenType.NUMBER,
    TokenType.STRING,
    TokenType.R_PAREN,
    TokenType.R_BRACKET,
)


def _starts(node: exp.Expr) -> Iterator[int]:
    for part in node.walk():
        start = part.meta.get("start")
        if start is not None:
            yield start


def trimmed(text: str) -> str:
    """Removes space and semicolons at the end; positions stay the same."""
    return text.rstrip().rstrip(";").rstrip()
