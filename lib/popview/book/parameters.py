"""The typed parameters of a chapter: read from its text, and values checked against their types.

A parameter is an annotated assignment in the cell tagged ``parameters``, such as
``restarts: int = 500  # random restarts per cell [1 or more]``. Types: int, float, str, bool, list[…], tuple[…] and
``… | None``. A comment may end with the bounds of a number: ``[1 or more]``, ``[above 0]``, ``[0 to 1]``. Nothing is
evaluated but literals.
"""

import ast
import builtins
import io
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Strict, TypeAdapter

from popview.common.errors import UsageError

CELL = re.compile(r"^# ?%%(.*)$", re.MULTILINE)
#: As jupytext reads it: a list in single or double quotes, after ``tags=`` or as JSON.
TAGGED = re.compile(r"""\btags["']?\s*[=:]\s*\[[^\]]*(["'])parameters\1""")
WORDS = {"true": True, "false": False}
MISMATCH = (ValueError, SyntaxError, TypeError)
#: At the end of a comment: the bounds of a number.
BOUNDS = re.compile(r"\s*\[((above )?(-?[\d.]+)(?: or more| to (-?[\d.]+))?)\]$")


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, its type as written, its default, the comment beside it, and the bounds of a number.

    Examples
    --------
    >>> from popview.book.parameters import read_parameters
    >>> text = '# %% tags=["parameters"]\\nrestarts: int = 500  # restarts per cell [1 or more]\\n'
    >>> read_parameters(text, "04")["restarts"]
    Parameter(name='restarts', type='int', default=500, help='restarts per cell', bounds='1 or more')
    """

    name: str
    type: str
    default: Any
    help: str
    bounds: str = ""


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
        comment = comments.get(node.end_lineno or 0, "")
        bounds = BOUNDS.search(comment)
        found[name] = Parameter(name, kind, default, BOUNDS.sub("", comment), bounds[1] if bounds else "")
        _check_bounds(found[name], default)
    return found


def parameter_lines(known: Mapping[str, Parameter]) -> list[str]:
    """Return a line for each parameter: name, type, default, what it is, and its bounds."""
    ends = {name: f" [{entry.bounds}]" if entry.bounds else "" for name, entry in known.items()}
    return [f"{one.name}: {one.type} = {one.default!r}  {one.help}{ends[one.name]}".rstrip() for one in known.values()]


def convert(parameter: Parameter, value: Any) -> Any:
    """Return `value` as the parameter's type says; a text is read first, anything else must be of that type."""
    kind = ast.parse(parameter.type, mode="eval").body
    try:
        given = _read(value, kind) if isinstance(value, str) else value
        found = TypeAdapter(_type(kind)).validate_python(given)
    except MISMATCH:
        raise UsageError(f"parameter {parameter.name}: {value!r} is not {parameter.type}") from None
    _check_bounds(parameter, found)
    return found


def _check_bounds(parameter: Parameter, value: Any) -> None:
    """Raise UsageError for a number that is not within the parameter's bounds."""
    bounds = BOUNDS.search(f"[{parameter.bounds}]")
    if bounds is None or value is None:
        return
    _, above, low, high = bounds.groups()
    if not (value > float(low) or (value == float(low) and not above)) or (high and value > float(high)):
        raise UsageError(f"parameter {parameter.name}: {value!r} is not {parameter.bounds}")


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
