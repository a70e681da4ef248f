"""The whole sweeps of the page on the magnitude of noise: as populations, and in a loop over their settings.

    PYTHONPATH=lib OMP_NUM_THREADS=1 python benchmarks/sweeps.py [--every 12] [--sweep two-wells-2d]

For each sweep and algorithm of the laptop profile: seconds of processor time of all settings as few populations
(`popview.stationary.sample_each`), and of a loop over every twelfth setting (`popview.stationary.sample`), in
proportion; gradients (points times updates) a second of both, and their ratio. Every end point of the loop is compared
with its population's, bit for bit. Last the time of each whole sweep on two cores.
"""

from collections import defaultdict
from time import process_time
from typing import Annotated

import torch
import typer

from popview.common.environment import processor
from popview.landscapes.restarts import sample, sample_each
from popview.runs.sweeping import samples_of
from popview.runs.sweeps import sweep_names, sweep_parts


def main(every: int = 12, sweep: Annotated[list[str] | None, typer.Option()] = None) -> None:
    """Print the table as Markdown."""
    torch.set_num_threads(1)
    print(f"{processor()}; every {every}th setting in the loop\n")
    print("| sweep | algorithm | settings × restarts | seconds | gradients a second | loop | ratio |")
    print("|---|---|---|---|---|---|---|")
    whole, looped = defaultdict(float), defaultdict(float)
    for name in sweep or sweep_names("laptop"):
        for part in sweep_parts("laptop", name):
            wanted = samples_of(part)
            began = process_time()
            together = list(sample_each(part.algorithm, wanted))
            seconds = process_time() - began
            chosen = range(len(wanted))[every // 2 :: every]
            began = process_time()
            alone = [sample(algorithm=part.algorithm, **wanted[place]) for place in chosen]
            loop = process_time() - began
            for place, found in zip(chosen, alone, strict=True):
                same = torch.equal(found.ends.nan_to_num(7.0), together[place].ends.nan_to_num(7.0))
                assert same, f"{name}, {part.algorithm}, setting {place}: another end than alone"
            gradients = sum(int(one.gradient_evaluations.sum()) for one in together)
            of_loop = sum(int(one.gradient_evaluations.sum()) for one in alone)
            scaled = loop * gradients / of_loop
            whole[name] += seconds
            looped[name] += scaled
            size = f"{len(wanted)} × {part.settings['restarts']}"
            rates = f"{gradients / seconds:,.3g} | {of_loop / loop:,.3g} | {scaled / seconds:.1f} ×"
            print(f"| {name} | {part.algorithm} | {size} | {seconds:.1f} | {rates} |", flush=True)
    for name, seconds in whole.items():
        print(f"\n{name}: {seconds / 2:.0f} s on two cores; in a loop {looped[name] / 2:.0f} s", end="")
    print()


if __name__ == "__main__":
    typer.run(main)
