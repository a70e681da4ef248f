"""What people may write into a table or a file, as pydantic models; a mistake is told in one line."""

import os
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from popview.common.errors import UsageError, check_name

Count = Annotated[int, Field(ge=1, description="a whole number, 1 or above")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, description="a number above 0")]
Names = Annotated[list[str], Field(description="a list of names")]

#: Else pydantic would search every installed package for plugins, which takes longer than all that is checked.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

#: What a value must be, by pydantic's kind of error, where its field has no description.
_WORDS = {
    "bool_type": "true or false",
    "dict_type": "a table",
    "float_type": "a number",
    "invalid-json-value": "a number, a text, true or false, or a list or table of these",
    "list_type": "a list",
    "model_type": "a table",
    "string_type": "a name",
}

#: What pydantic puts among the keys that lead to a value that is no JSON.
_TAGS = ("dict", "list")


class Schema(BaseModel, extra="forbid", strict=True, defer_build=True):
    """A table with known keys, whose values are of the kind that is written: "4" is no number, and true is no 1."""


def check(kind: Any, given: Any, where: str = "") -> None:
    """Raise UsageError for a value that is not of a kind: of all mistakes one, an unknown key before a missing one.

    Parameters
    ----------
    kind : type
        A `Schema`, or another type that pydantic knows.
    given
        The value; it stays as it is.
    where : str
        What a reader is told that it is.

    Examples
    --------
    >>> from popview.common.errors import UsageError
    >>> from popview.common.schemas import Count, Schema, check
    >>> class Stay(Schema):
    ...     nights: Count
    >>> for table in ({"nights": 3}, {"nights": 0}, {"night": 3}):
    ...     try:
    ...         check(Stay, table, "my table")
    ...     except UsageError as error:
    ...         print(error)
    nights of my table must be a whole number, 1 or above, got 0
    unknown key of my table 'night': did you mean 'nights'? known: nights
    """
    try:
        _adapter(kind).validate_python(given)
    except ValidationError as error:
        order = {"extra_forbidden": 0, "missing": 2}
        first = min(error.errors(include_url=False), key=lambda one: order.get(one["type"], 1))
    else:
        return
    *path, name = [step for step in first["loc"] if isinstance(step, str) and step not in _TAGS] or [""]
    place = f"[{'.'.join(path)}] of {where}" if path else where
    what = f"{name} {'in' if path else 'of'} {place}" if name and place else name or place
    table, value, cause = _kind_at(kind, path), first["input"], first.get("ctx", {}).get("error")
    field = getattr(table, "model_fields", {}).get(name)
    match first["type"]:
        case "extra_forbidden":
            check_name(f"key of {place}", name, table.model_fields)
        case "missing":
            raise UsageError(f"{place} has no {name}")
        case "literal_error":
            check_name(what, value, get_args(_kind_at(table, [name])))
        case "less_than_equal":
            cause = f"at most {first['ctx']['le']:,}"
    if isinstance(cause, UsageError):
        raise UsageError(f"{what}: {cause}")
    words = cause or (field and field.description) or _WORDS.get(first["type"], first["msg"])
    raise UsageError(f"{what} must be {words}, got {value!r}")


_adapter = cache(TypeAdapter)


def _kind_at(kind: Any, path: list[str]) -> Any:
    """Return the type of what lies at a path of keys below a type; lists count as what they hold."""
    for key in path:
        fields = getattr(kind, "model_fields", None)
        kind = (fields[key].annotation if key in fields else Any) if fields else ([*get_args(kind)] or [Any])[-1]
        while get_origin(kind) is list or get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
    return kind
