"""What an expression of PromQL is made of, as a parser reads it."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from promql_parser import Call, Expr, MatchOp, MatrixSelector, VectorSelector, parse, walk

RATE_INTERVAL = "4m"
"""Stands for Grafana's `$__rate_interval`; no query gives this range itself."""

_OPERATORS = ((MatchOp.Equal, "="), (MatchOp.NotEqual, "!="), (MatchOp.Re, "=~"), (MatchOp.NotRe, "!~"))


@dataclass(frozen=True)
class Selector:
    """One metric that an expression reads. `function` is what its range is given to; empty without a range."""

    metric: str
    matchers: frozenset[str]
    """Such as `job=~"$job"`."""
    function: str = ""
    seconds: float = 0.0


@functools.cache
def nodes(expression: str) -> tuple[Expr, ...]:
    """Each part of an expression, a whole before its parts. Raises ValueError where it is no PromQL."""
    found: list[Expr] = []
    walk(parse(expression.replace("$__rate_interval", RATE_INTERVAL)), found.append)
    return tuple(found)


def selectors(expression: str) -> Iterator[Selector]:
    """The metrics that an expression reads."""
    function = ""
    before: Expr | None = None
    for node in nodes(expression):
        if isinstance(node, Call):
            function = node.func.name
        elif isinstance(node, MatrixSelector):
            ranged = _selector(node.vector_selector)
            yield Selector(ranged.metric, ranged.matchers, function, node.range.total_seconds())
        elif isinstance(node, VectorSelector) and not isinstance(before, MatrixSelector):
            yield _selector(node)
        before = node


def _selector(node: VectorSelector) -> Selector:
    matchers = (f'{one.name}{_sign(one.op)}"{one.value}"' for one in node.matchers.matchers)
    return Selector(node.name or "", frozenset(matchers))


def _sign(operator: MatchOp) -> str:
    return next(sign for known, sign in _OPERATORS if known == operator)  # MatchOp has no hash
