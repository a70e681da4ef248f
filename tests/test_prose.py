"""Sentences stand in chapters: what is written in the library's room for the book is names, not prose."""

import ast
import re
from pathlib import Path

import pytest

import popview.book

BOOK = Path(popview.book.__file__).parent

#: The most words of a literal there.
MOST = 8


def literals(tree: ast.AST) -> list[str]:
    """Return the texts of a module that are neither docstrings, nor of errors, nor alternative texts of pictures."""
    left_out: set[int] = set()
    for node in ast.walk(tree):
        inner: list[ast.AST] = []
        if isinstance(node, ast.Raise):
            inner = [node]
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inner = [node]  # a docstring
        elif (isinstance(node, ast.keyword) and node.arg == "alt") or (
            isinstance(node, ast.Call) and "Error" in ast.unparse(node.func)
        ):
            inner = [node]
        elif isinstance(node, ast.JoinedStr):
            inner = node.values  # counted as a whole
        left_out |= {id(part) for top in inner for part in ast.walk(top)}
    found = []
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.JoinedStr):
            found.append("".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def words(text: str) -> int:
    """Count the words of a text; code and tags between spaces are none."""
    return sum(re.fullmatch(r"[(\"'“]?[^\W\d_][\w’'-]*[.,;:)?!\"'”]*", word) is not None for word in text.split())


@pytest.mark.parametrize("file", sorted(BOOK.rglob("*.py")), ids=lambda file: file.relative_to(BOOK).as_posix())
def test_no_prose_in_the_library(file):
    found = literals(ast.parse(file.read_text(encoding="utf-8")))
    assert [text for text in found if words(text) > MOST] == []


def test_prose_would_be_found():
    code = [
        "def f():",
        '    """A docstring of more than eight words is not counted."""',
        '    return f"{x} one two three"',
    ]
    assert literals(ast.parse("\n".join(code))) == ["{} one two three"]
    assert literals(ast.parse('raise ValueError("an error may have as many words as it needs")')) == []
