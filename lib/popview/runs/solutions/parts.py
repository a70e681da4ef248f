"""What the study of solutions consists of: one `TopographyPart` names one file. No torch here."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import Any

from popview.common.errors import check_name
from popview.common.schemas import check
from popview.runs import profiles
from popview.runs.schemas import NetworkTable
from popview.runs.specs import Part

FOLDER = profiles.FOLDER.parent / "solutions"
PROFILES = tuple(sorted(file.stem for file in FOLDER.glob("*.toml")))

#: The solutions that a run gives: at the lowest validation loss; where the training loss first is at the common level
#: or below; at the lowest training loss.
STAGES = ("early", "equal", "fitted")

#: Raised when the arithmetic of a kind of part changes, so that its old results count as missing.
REVISIONS = {"solutions": 1, "products": 1, "barriers": 1}


@dataclass(frozen=True)
class TopographyPart(Part):
    """Everything that determines one file of the study; `digest` names it.

    Attributes
    ----------
    kind : {"solutions", "products", "barriers"}
        Trained solutions of one algorithm; inner products of all solutions at one stage; barriers of pairs.
    profile, network, algorithm : str
        ``algorithm`` is "all" for products.
    seed : int
        Of the first solution; of barriers, the place of the first pair in the drawing.
    settings : dict
        The rest. Of products and barriers it holds the parts whose solutions they are taken from.
    """

    kind: str
    profile: str
    network: str
    algorithm: str
    seed: int
    settings: dict[str, Any]

    @property
    def task(self) -> str:  # type: ignore[override]
        """The folder that its file lies in: the network."""
        return self.network

    @property
    def experiment(self) -> str:
        """The folder of results that it belongs to."""
        return "solutions"

    @property
    def labels(self) -> dict[str, str]:
        """What else tells it from others: its kind and, of barriers, stage, ends and objective; of products, stage."""
        names = (name for name in ("stage", "ends", "objective") if name in self.settings)
        return {"kind": self.kind, **{name: self.settings[name] for name in names}}

    @property
    def canonical(self) -> str:
        """The part and its revision as JSON with sorted keys and no spaces."""
        content = {**asdict(self), "revision": REVISIONS[self.kind]}
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @property
    def command(self) -> str:
        """The command that computes it."""
        return f"popview topography --profile {self.profile} --network {self.network}"

    @property
    def sources(self) -> list["TopographyPart"]:
        """The parts whose solutions this one is taken from."""
        return [TopographyPart(**given) for given in self.settings.get("sources", ())]

    @property
    def keeps_weights(self) -> bool:
        """Solutions are kept: paths are found between them."""
        return self.kind == "solutions"


def networks(profile: str) -> tuple[str, ...]:
    """Return the names of a profile's networks."""
    return tuple(profiles.tables(profile, FOLDER))


def titles(profile: str) -> dict[str, str]:
    """Return what a reader is told for each of a profile's networks."""
    return {name: network_settings(profile, name)["title"] for name in networks(profile)}


def network_settings(profile: str, network: str) -> dict[str, Any]:
    """Return a network's table in a profile (``lib/popview/runs/profiles/solutions/<profile>.toml``).

    Raises
    ------
    UsageError
        If the profile or the network is unknown, or one of the table's keys unknown or missing.
    """
    known = profiles.tables(profile, FOLDER)
    check_name(f"network of profile {profile}", network, known)
    return dict(profiles.checked(partial(check, NetworkTable), known[network], f"{network} in profile {profile}"))


def solution_parts(profile: str, network: str, algorithm: str) -> list[TopographyPart]:
    """Return the parts that train an algorithm's solutions, in stacks of consecutive seeds."""
    table = network_settings(profile, network)
    check_name(f"algorithm of {network} in profile {profile}", algorithm, table["algorithms"])
    run = {"hyperparameters": {}, **table["algorithms"][algorithm], "task": table["task"]}
    run["model"] = table["model"] | run.get("model", {})
    measured = {name: table[name] for name in ("level", "floor", "fitted", "chunk")}
    return [
        TopographyPart("solutions", profile, network, algorithm, seed, {**run, "restarts": restarts, **measured})
        for seed in range(0, table["solutions"], table["stack"])
        for restarts in [min(table["stack"], table["solutions"] - seed)]
    ]


def topography_parts(profile: str, network: str) -> list[TopographyPart]:
    """Return all parts of a network's study: solutions first, then what is taken from them."""
    table = network_settings(profile, network)
    trained = {name: solution_parts(profile, network, name) for name in table["algorithms"]}
    everything = [part for found in trained.values() for part in found]
    sources = {name: [asdict(part) for part in found] for name, found in trained.items()}
    of_all = [source for found in sources.values() for source in found]
    of_each = ({"stage": stage, "sources": of_all} for stage in STAGES)
    products = [TopographyPart("products", profile, network, "all", 0, given) for given in of_each]
    measured = {name: table[name] for name in ("images", "grids", "chunk", "pairs", "path", "settled", "solutions")}
    measured["fitted"] = table["images"]  # always: kept so that digests of stored results stay
    barriers = [
        TopographyPart(
            "barriers",
            profile,
            network,
            algorithm,
            first,
            measured
            | {"stage": stage, "ends": ends, "objective": objective, "sources": sources[algorithm]}
            | {"count": min(table["group"], table["pairs"] - first)},
        )
        for wanted in table["barriers"]
        for objective, stage, algorithm, ends in product(
            wanted["objectives"], wanted["stages"], wanted["algorithms"], wanted["ends"]
        )
        for first in range(0, table["pairs"], table["group"])
    ]
    return [*everything, *products, *barriers]
