"""Sweeps of optimizers over landscapes: an experiment made of a few lines of TOML. No torch here.

``profiles/landscapes/<profile>.toml`` says for each sweep on which landscapes and with which values; one `SweepPart`,
an algorithm's share of a sweep, names one file.
"""

import itertools
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from popview.common.errors import UsageError, check_name
from popview.common.schemas import Count, Names, Positive, Schema, check
from popview.runs import profiles
from popview.runs.specs import Part

FOLDER = profiles.FOLDER.parent / "landscapes"

#: Raised when the arithmetic of sweeps changes, so that old results count as missing.
REVISION = 1

#: What tells one row of a file from another; NaN, or 0 for `tau`, where a landscape or an algorithm lacks it.
SETTINGS = ("landscape", "dimension", "ratio", "depth", "normalized", "lr", "displacement", "rho", "tau", "weight")


#: Values to try.
Sizes = Annotated[list[Positive], Field(description="a list of numbers above 0")]


class OwnValues(Schema):
    """What an algorithm of a sweep tries instead of the common values."""

    lr: Sizes = Field(default=[])
    displacement: Sizes = Field(default=[])
    tau: list[Count] = Field(default=[], description="a list of whole numbers, 1 or above")


class SweepTable(Schema):
    """A sweep in a profile of landscapes: every combination of the values listed."""

    algorithms: Names
    landscapes: Names
    restarts: Count
    lr: Sizes
    displacement: Sizes
    iterations: Count = 1000
    epsilon: Positive = 1e-3
    dimension: Count = 2
    tau: list[Count] = Field(default=[], description="a list of whole numbers, 1 or above")
    ratio: Sizes = Field(default=[])
    depth: list[float] = Field(default_factory=list)
    normalized: list[bool]
    weight: list[float] = Field(default_factory=lambda: [0.0])
    own: dict[str, OwnValues] = Field(default_factory=dict)


@dataclass(frozen=True)
class SweepPart(Part):
    """An algorithm's share of a sweep; everything that determines its file.

    Attributes
    ----------
    profile, task, algorithm : str
        ``task`` is the sweep's name.
    seed : int
        Of starts and noise.
    settings : dict
        The sweep's table, with the algorithm's own values in place.

    Examples
    --------
    >>> from popview.runs.sweeps import settings_of, sweep_parts
    >>> part = sweep_parts("laptop", "two-wells-2d", ("NiG-GD",))[0]
    >>> first = next(settings_of(part))
    >>> len(list(settings_of(part))), first["displacement"], round(first["rho"], 6)
    (144, 0.003, 0.3)
    """

    profile: str
    task: str
    algorithm: str
    seed: int
    settings: dict[str, Any]

    @property
    def experiment(self) -> str:
        """The folder of results that it belongs to."""
        return "landscapes"

    @property
    def labels(self) -> dict[str, str]:
        """What else tells it from others: nothing."""
        return {"kind": "sweep"}

    @property
    def canonical(self) -> str:
        """The part and the revision as JSON with sorted keys and no spaces."""
        content = {**asdict(self), "kind": "sweep", "revision": REVISION}
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @property
    def command(self) -> str:
        """The command that computes it."""
        return f"popview run --experiment landscapes --profile {self.profile} --task {self.task}"


def sweep_names(profile: str) -> tuple[str, ...]:
    """Return the names of a profile's sweeps."""
    return tuple(profiles.tables(profile, FOLDER))


def sweep_parts(
    profile: str, sweep: str, algorithms: Collection[str] | None = None, restarts: int | None = None
) -> list[SweepPart]:
    """Return the parts of a sweep: one for each algorithm.

    Parameters
    ----------
    profile, sweep : str
    algorithms : collection of str, optional
        Some of the sweep's.
    restarts : int, optional
        Per combination; the sweep's by default.

    Raises
    ------
    UsageError
        If a name is unknown, a table's key or value is, or it lacks values that an algorithm or landscape needs.
    """
    known = profiles.tables(profile, FOLDER)
    check_name(f"task of profile {profile} of landscapes", sweep, known)
    where = f"{sweep} in profile {profile} of landscapes"
    table = profiles.checked(partial(check, SweepTable), known[sweep], where)
    for name in algorithms or ():
        check_name(f"algorithm of {where}", name, table["algorithms"])
    if restarts is not None:
        check(SweepTable, table | {"restarts": restarts}, where)
        table["restarts"] = restarts
    own, names = table.pop("own", {}), algorithms or table["algorithms"]
    common = {key: value for key, value in table.items() if key != "algorithms"}
    found = [SweepPart(profile, sweep, name, 0, common | own.get(name, {})) for name in names]
    for part in found:
        needed = [
            *(("ratio", "depth") if "two-well" in table["landscapes"] else ()),
            *(("tau",) if _hops(part) else ()),
        ]
        if absent := [key for key in needed if not part.settings.get(key)]:
            raise UsageError(f"{where} has no {absent[0]}, which {part.algorithm} needs there")
    return found


def _hops(part: SweepPart) -> bool:
    """Say whether noise comes every tau steps."""
    return "BH" in part.algorithm or part.algorithm.startswith("NiM")


def settings_of(part: SweepPart) -> Iterator[dict[str, Any]]:
    """Yield what each row of a part's file is a setting of: the values of `SETTINGS`, in the order of the rows."""
    given, name = part.settings, part.algorithm
    nan = float("nan")
    places = [
        (landscape, given.get("dimension", 2), ratio, depth)
        for landscape in given["landscapes"]
        for ratio, depth in (
            itertools.product(given["ratio"], given["depth"]) if landscape == "two-well" else [(nan, nan)]
        )
    ]
    steps = given["tau"] if _hops(part) else [0]
    axes = (places, given["normalized"], given["lr"], steps, given.get("weight", [0.0]), given["displacement"])
    for place, normalized, lr, tau, weight, displacement in itertools.product(*axes):
        rho = displacement / lr if name.startswith("NiG") else displacement
        yield dict(zip(SETTINGS, (*place, normalized, lr, displacement, rho, tau, weight), strict=True))
