"""The typed parameters of a chapter: read from its text, and values checked against their types.

A parameter is an annotated assignment in the cell tagged ``parameters``, such as
``restarts: int = 500  # random restarts per cell``. Types: int, float, str, bool, list[…], tuple[…] and ``… | None``.
Nothing is evaluated but literals.
"""

import ast
import builtins
import io
import math
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Strict, TypeAdapter

from popview.common.errors import UsageError

__all__ = ["Parameter", "convert", "read_parameters", "rerun_section"]

CELL = re.compile(r"^# ?%%(.*)$", re.MULTILINE)
#: As jupytext reads it: a list in single or double quotes, after ``tags=`` or as JSON.
TAGGED = re.compile(r"""\btags["']?\s*[=:]\s*\[[^\]]*(["'])parameters\1""")
WORDS = {"true": True, "false": False}
MISMATCH = (ValueError, SyntaxError, TypeError)


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, its type as written, its default and the comment beside it.

    Examples
    --------
    >>> from popview.book.parameters import read_parameters
    >>> text = '# %% tags=["parameters"]\\nrestarts: int = 500  # random restarts per cell\\n'
    >>> read_parameters(text, "04")["restarts"]
    Parameter(name='restarts', type='int', default=500, help='random restarts per cell')
    """

    name: str
    type: str
    default: Any
    help: str


def read_parameters(text: str, origin: str) -> dict[str, Parameter]:
    """Return the parameters that a py:percent text declares, by name, in order.

    Parameters
    ----------
    text
        The chapter's text.
    origin
        The chapter's name, for the message if a declaration cannot be used.
    """
    pieces = CELL.split(text)  # [before, header, body, header, body, …]
    bodies = [body for header, body in zip(pieces[1::2], pieces[2::2], strict=True) if TAGGED.search(header)]
    if len(bodies) > 1:
        raise UsageError(f"chapter {origin} has {len(bodies)} cells tagged 'parameters'; one at most")
    return _declared(bodies[0], origin) if bodies else {}


def _declared(cell: str, origin: str) -> dict[str, Parameter]:
    """Return the parameters that the tagged cell declares."""
    try:
        tree = ast.parse(cell)
    except SyntaxError as error:
        raise UsageError(f"chapter {origin}, parameters cell, line {error.lineno}: {error.msg}") from None
    comments = {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokenize.generate_tokens(io.StringIO(cell).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for node in tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
                pass
            case _:
                line = (ast.get_source_segment(cell, node) or "").splitlines()[0]
                raise UsageError(f"chapter {origin}: {line!r} is no typed parameter such as 'restarts: int = 500'")
        kind = ast.unparse(annotation)
        try:
            default = TypeAdapter(_type(annotation)).validate_python(ast.literal_eval(value))
        except MISMATCH:
            raise UsageError(f"chapter {origin}: parameter {name} = {ast.unparse(value)} is not {kind}") from None
        found[name] = Parameter(name, kind, default, comments.get(node.end_lineno or 0, ""))
    return found


def convert(parameter: Parameter, value: Any) -> Any:
    """Return `value` as the parameter's type says; a text is read first, anything else must be of that type."""
    kind = ast.parse(parameter.type, mode="eval").body
    try:
        given = _read(value, kind) if isinstance(value, str) else value
        return TypeAdapter(_type(kind)).validate_python(given)
    except MISMATCH:
        raise UsageError(f"parameter {parameter.name}: {value!r} is not {parameter.type}") from None


def _read(text: str, kind: ast.expr) -> Any:
    """Return the value that `text` spells, or the text itself; a list may be given bare, as ``SGD,SAM``."""
    match kind:
        case ast.BinOp(left=inner):
            return None if text.lower() == "none" else _read(text, inner)
        case ast.Name(id="int" | "float" as name):
            return getattr(builtins, name)(text)
        case ast.Name(id="bool"):
            return WORDS.get(text.lower(), text)
        case ast.Subscript(slice=inner) if text[:1] not in ("[", "("):
            item = inner.elts[0] if isinstance(inner, ast.Tuple) else inner
            return [_read(part.strip(), item) for part in text.split(",") if part.strip()]
        case ast.Subscript():
            return ast.literal_eval(text)
    return text


def _type(kind: ast.expr) -> Any:
    """Return the type that an annotation names: an int is no bool, and a text no number; a list may be a tuple."""
    match kind:
        case ast.Name(id="int" | "float" | "str" | "bool" as name):
            return Annotated[getattr(builtins, name), Strict()]
        case ast.BinOp(left=inner, op=ast.BitOr(), right=ast.Constant(value=None)):
            return _type(inner) | None
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[_type(item)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=items)):
            ends = (... if isinstance(one, ast.Constant) and one.value is ... else _type(one) for one in items)
            return tuple.__class_getitem__(tuple(ends))
    raise TypeError(f"{ast.unparse(kind)} is no type of a parameter")


#: Stands at the end of every page that has parameters.
RERUN = Path(__file__).with_name("templates") / "rerun.md"
#: Where the book has a page on that.
GUIDE = " [](rerun.md) says what it takes."


def rerun_section(page: str, known: dict[str, Parameter], repository: str, seconds: float | None, guide: bool) -> str:
    """Return the section that lists a page's parameters and says how to run it with others, in Markdown.

    `repository` is the project's address, or empty; `seconds` is what the page takes, if known; `guide` says whether
    there is a page ``rerun.md`` to refer to.
    """
    first = next(iter(known.values()))
    lines = ["| parameter | type | default | |", "|---|---|---|---|"]
    lines += [
        f"| `{entry.name}` | {_cell(entry.type)} | `{entry.default!r}` | {_cell(entry.help)} |"
        for entry in known.values()
    ]
    folder = f"git clone {repository} && cd popview" if repository else "cd popview"
    return RERUN.read_text(encoding="utf-8").format(
        folder=folder,
        page=page,
        example=f"{first.name}={first.default}",
        table="\n".join(lines),
        guide=GUIDE if guide else "",
        span=_span(seconds),
    )


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


def _span(seconds: float | None) -> str:
    """Write what a page takes: " in about 3 minutes"."""
    if seconds is None:
        return ""
    minutes = math.ceil(seconds / 60)
    return " in about a minute" if minutes == 1 else f" in about {minutes} minutes"
