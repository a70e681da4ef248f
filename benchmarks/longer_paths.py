"""Whether paths that count as settled are: the same searches, five times as long.

    PYTHONPATH=lib OMP_NUM_THREADS=1 python benchmarks/longer_paths.py [--network digits] [--pairs 3] [--times 5]

prints a Markdown table (about three minutes; solutions whose weights are not there are trained first). For the first
pairs of fully fitted solutions of each algorithm: the height at which the search ended, that of a search which takes
`--times` as many gradients however little the height changes, and how far the two are apart. Exits with 1 if they are
further apart than what a settled height is told to.
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import typer

from popview.runs import workers
from popview.runs.solutions.parts import network_settings, topography_parts
from popview.runs.solutions.training import stored_weights
from popview.runs.solutions.vectors import Network
from popview.topography import FourierPathFinder, profile, random_pairs, settle


def main(network: str = "digits", pairs: int = 3, times: int = 5, store: Path | None = None) -> None:
    """Print the table as Markdown."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    table, parts = network_settings("laptop", network), topography_parts("laptop", network)
    rule, net = table["settled"], Network.of(table["task"], table["model"])
    fewer, loss = (net.loss(table[name], table["chunk"]) for name in ("fitted", "images"))
    finder, measure = FourierPathFinder(fewer, **table["path"]), partial(profile, loss, grids=table["grids"])
    drawn, bad = random_pairs(table["solutions"], table["pairs"], 0)[:pairs], 0
    print("| between | gradients | height | gradients | height | apart |\n|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        root = store or Path(folder)
        for name in ("SGD", "L-BFGS-GSS"):
            sources = [part for part in parts if part.kind == "solutions" and part.algorithm == name]
            workers.run(sources, workers=1, root=root, keep_weights=True, quiet=True)
            found = torch.cat([stored_weights(part, root)["fitted"]["vectors"] for part in sources])
            for first, second in drawn:
                ends = found[first : first + 1], found[second : second + 1]
                path = settle(finder, *ends, measure, **rule)
                most = times * int(path.steps)
                longer = settle(finder, *ends, measure, first=most, most=most)
                apart, rise = abs(float(path.height - longer.height)), float(path.height - measure_ends(loss, *ends))
                bad += apart > max(rule["share"] * rise, rule["within"])
                row = (int(path.steps), f"{float(path.height):.3g}", int(longer.steps), f"{float(longer.height):.3g}")
                print(f"| {name}, {first} and {second} |", " | ".join(map(str, row)), f"| {apart:.1g} |", flush=True)
    raise typer.Exit(1 if bad else 0)


def measure_ends(loss, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Return the loss of the higher end."""
    with torch.no_grad():
        return torch.maximum(loss(start), loss(end))


if __name__ == "__main__":
    typer.run(main)
