"""moto's parser of the Amazon States Language, with a cache and a faster prediction mode."""

from __future__ import annotations

import functools

from antlr4 import CommonTokenStream, InputStream, ParserRuleContext, PredictionMode
from moto.stepfunctions.parser.asl.antlr.runtime.ASLLexer import ASLLexer
from moto.stepfunctions.parser.asl.antlr.runtime.ASLParser import ASLParser
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.parse.asl_parser import ASLParserException, SyntaxErrorListener
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor

_DEFINITIONS = 64  # moto parses a definition at each creation, update and start


@functools.lru_cache(_DEFINITIONS)
def parse(definition: str) -> tuple[EvalComponent, ParserRuleContext]:
    """Replaces ``AmazonStateLanguageParser.parse``; executions share the stateless program.

    ``parse.cache_clear()`` is called when other tasks are installed, because a program contains its
    tasks.
    """
    tree = _tree(definition)
    return Preprocessor().visit(tree), tree


def _tree(definition: str) -> ParserRuleContext:
    """The syntax tree, by ANTLR's fast prediction mode if that finds no error.

    https://github.com/antlr/antlr4/blob/master/doc/faq/general.md (two-stage parsing)
    """
    try:
        return _parsed(definition, PredictionMode.SLL)
    except ASLParserException:
        return _parsed(definition, PredictionMode.LL)


def _parsed(definition: str, mode: PredictionMode) -> ParserRuleContext:
    listener = SyntaxErrorListener()  # type: ignore[no-untyped-call]
    parser = ASLParser(CommonTokenStream(ASLLexer(InputStream(definition))))
    parser._interp.predictionMode = mode
    parser.removeErrorListeners()
    parser.addErrorListener(listener)
    tree = parser.state_machine()  # type: ignore[no-untyped-call]
    if listener.errors:
        raise ASLParserException(errors=listener.errors)
    return tree
