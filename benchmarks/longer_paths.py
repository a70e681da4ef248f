"""Whether paths that count as settled are: the same searches five times as long, cut short, and on fewer images.

    PYTHONPATH=lib OMP_NUM_THREADS=1 python benchmarks/longer_paths.py [--network digits] [--pairs 3] [--times 5]

prints a Markdown table (about three minutes; solutions whose weights are not there are trained first). For the first
pairs of fully fitted solutions of each algorithm: the rise at which the search ended, that of a search which takes
`--times` as many gradients however little the height changes, and how far the two are apart; beside them the rise after
the first 25 gradients, and that of a path which settled on a tenth of the images. All rises are taken on all images.
Exits with 1 if the first two are further apart than what a settled height is told to.
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
    loss, fewer = (net.loss(number, table["chunk"]) for number in (table["images"], table["images"] // 10))
    finder, measure = FourierPathFinder(loss, **table["path"]), partial(profile, loss, grids=table["grids"])
    on_fewer = FourierPathFinder(fewer, **table["path"]), partial(profile, fewer, grids=table["grids"])
    drawn, bad = random_pairs(table["solutions"], table["pairs"], 0)[:pairs], 0
    print("| between | settled after | rise | longer: after | rise | apart | cut short at 25 | a tenth of the images |")
    print("|---|---|---|---|---|---|---|---|")
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
                short = settle(finder, *ends, measure, first=25, most=25)
                few = measure(*ends, settle(on_fewer[0], *ends, on_fewer[1], **rule).coefficients)
                apart = abs(float(path.height - longer.height))
                higher = measure_ends(loss, *ends)
                bad += apart > max(rule["share"] * float(path.height - higher), rule["within"])
                rises = [f"{float(one.height - higher):.2g}" for one in (path, longer, short, few)]
                row = (int(path.steps), rises[0], int(longer.steps), rises[1], f"{apart:.1g}", *rises[2:])
                print(f"| {name}, {first} and {second} |", " | ".join(map(str, row)), "|", flush=True)
    raise typer.Exit(1 if bad else 0)


def measure_ends(loss, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Return the loss of the higher end."""
    with torch.no_grad():
        return torch.maximum(loss(start), loss(end))


if __name__ == "__main__":
    typer.run(main)
