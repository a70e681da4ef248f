"""What a constructor takes, in one signature: its own hyperparameters and those that it hands on."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

_MANY = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def merged_signature(steps: Iterable[Callable[..., Any]], without: Iterable[str] = ()) -> inspect.Signature:
    """Return the signature of a call that is handed on by ``**others`` from one function to the next.

    The first function's positional parameters come first; each function adds its keywords, until one has no ``**``.

    Parameters
    ----------
    steps : iterable of callable
        In the order in which they are called; ``self`` is left out.
    without : iterable of str
        Parameters that a step gives itself.

    Examples
    --------
    >>> from popview.optimizers.signatures import merged_signature
    >>> def rest(*, lr=0.1, seed=0): ...
    >>> def first(params, *, rho=0.5, **others): ...
    >>> merged_signature([first, rest])
    <Signature (params, *, rho=0.5, lr=0.1, seed=0)>
    """
    found: dict[str, inspect.Parameter] = {}
    hidden = {"self", *without}
    for place, step in enumerate(steps):
        given = inspect.signature(step).parameters.values()
        known = [one for one in given if one.name not in hidden and one.kind not in _MANY]
        for one in known if not place else [one for one in known if one.kind is one.KEYWORD_ONLY]:
            found.setdefault(one.name, one)
        if not any(one.kind is one.VAR_KEYWORD for one in given):
            break
    return inspect.Signature(sorted(found.values(), key=lambda one: one.kind))
