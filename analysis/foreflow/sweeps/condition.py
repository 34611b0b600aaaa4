# SPDX-License-Identifier: BSD-3-Clause
"""Conditions of a sweep's `where`: comparisons of keys and constants, with and, or, not, in, arithmetic and parentheses.

They are read as Python's expressions, of which only these are known; nothing is ever evaluated by Python.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from foreflow.errors import Refused

COMPARED = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
COMBINED = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
CONSTANTS = {"true": True, "false": False, "null": None}


class Condition:
    """`text` as read from `source`; `value_of` gives the value of a key, and refuses what is none."""

    def __init__(self, text: str, source: str) -> None:
        self._where = f"{source}: where: {text}"
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise Refused(f"{self._where}: is no condition; allowed is as in load < 0.9 or capacity != \"5%\"") from None

    def holds(self, value_of: Callable[[str], Any]) -> bool:
        try:
            value = self._value(self._tree, value_of)
        except (TypeError, ZeroDivisionError, OverflowError) as error:
            raise Refused(f"{self._where}: {error}; compare numbers with numbers, and texts such as \"5%\" with texts") from None
        if not isinstance(value, bool):
            raise Refused(f"{self._where}: is {value!r}; allowed is what is true or false")
        return value

    def _value(self, node: ast.AST, value_of: Callable[[str], Any]) -> Any:
        def of(inner: ast.AST) -> Any:
            return self._value(inner, value_of)

        match node:
            case ast.Constant(value) if isinstance(value, (int, float, str)):
                return value
            case ast.Name() | ast.Attribute():
                name = _dotted(node)
                if name in CONSTANTS:
                    return CONSTANTS[name]
                if name:
                    return value_of(name)
            case ast.List(items) | ast.Tuple(items):
                return [of(item) for item in items]
            case ast.BoolOp(op, parts):
                values = [_truth(of(part)) for part in parts]
                return all(values) if isinstance(op, ast.And) else any(values)
            case ast.UnaryOp(ast.Not(), inner):
                return not _truth(of(inner))
            case ast.UnaryOp(ast.USub(), inner):
                return -of(inner)
            case ast.BinOp(left, op, right) if type(op) in COMBINED:
                return COMBINED[type(op)](_number(of(left)), _number(of(right)))
            case ast.Compare(first, operators, others) if all(type(op) in COMPARED for op in operators):
                values = [of(first), *map(of, others)]
                return all(COMPARED[type(op)](a, b) for op, a, b in zip(operators, values, values[1:]))
        raise Refused(f"{self._where}: holds {ast.unparse(node)!r}; allowed are keys, constants, comparisons, and, or, not, in, + - * / and parentheses")


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return value
