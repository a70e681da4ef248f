"""Chapters and the book, interrupted at random moments, against a book that was not: are they the same?

    PYTHONPATH=lib OMP_NUM_THREADS=1 python benchmarks/interrupted_book.py [--kills 50] [--terms 10] [--seed 0]

`popview book` and `popview chapter waits -p seconds=1` get SIGKILL or SIGTERM by turns, on a book of two chapters, one
of which trains with two workers: ten times for each new book, then both are run to their ends. No page that is there
may ever differ from that of an uninterrupted book. At the end the notebooks' cells are compared, and which pages there
are. After each signal, processes that live on for half a minute are counted (orphans); at the end of each book,
temporary folders and files, locks, and what is left in /dev/shm. Exits with 1 if anything differs or is left. Twenty
minutes.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import typer
from interruptions import begun, drawn, in_memory, interrupt

from popview.common.environment import processor
from popview.common.folders import ROOT

#: Signals to each book, before it is finished.
EACH = 10

#: A book of two chapters and a page of prose, by file.
BOOK = {
    "_toc.yml": """format: jb-book
root: prose
chapters:
- file: runs
- file: waits
""",
    "requirements.lock": "",
    "book/prose.md": "# 1 Prose\n\n{cite:t}`a2020`\n\n```{bibliography}\n```\n",
    "book/references.bib": "@misc{a2020,\n author={A, B},\n title={C},\n year={2020}\n}\n",
    "book/runs.py": """# %% [markdown]
# # 2 Runs

# %%
from popview.runs import expansion, store, workers

parts = expansion.expand("smoke", "digits", algorithms=("SGD", "SAM"), epochs=5, checkpoints=6)
workers.run(parts, workers=2, quiet=True, every=0.0)
print([store.load(part).num_rows for part in parts])
""",
    "book/waits.py": """# %% [markdown]
# # 3 Waits

# %% tags=["parameters"]
seconds: float = 2.0

# %%
import time

time.sleep(seconds)
""",
}
COMMANDS = {"book": ["book"], "chapter": ["chapter", "waits", "-p", "seconds=1"]}


def project(folder: Path) -> Path:
    """Write the book of `BOOK`, in the dress of this one, and an empty folder for temporary files beside it."""
    for name, text in BOOK.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(ROOT / "_config.yml", folder)
    shutil.copytree(ROOT / "book" / "assets", folder / "book" / "assets", dirs_exist_ok=True)
    (folder / "temporary").mkdir()
    return folder


def command(root: Path, which: str) -> subprocess.Popen[str]:
    """Start a command on a book."""
    code = "import sys; from popview.cli import main; sys.exit(main())"
    return begun(["-c", code, *COMMANDS[which]], POPVIEW_ROOT=str(root), TMPDIR=str(root / "temporary"))


def finished(root: Path) -> dict[str, float]:
    """Run both commands to their ends; return the seconds that each took."""
    spans = {}
    for which in COMMANDS:
        began, process = time.perf_counter(), command(root, which)
        error = process.communicate()[1]
        assert process.returncode == 0, error
        spans[which] = time.perf_counter() - began
    return spans


def shown(root: Path) -> dict[str, str]:
    """Return what a reader gets: the notebooks' cells, and the names of the pages."""
    notebooks = {file: cells(file) for file in (root / "book" / "run").rglob("*.ipynb")}
    pages = {file: "" for file in root.rglob("*.html") if "_static" not in file.parts}
    return {str(file.relative_to(root)): content for file, content in (notebooks | pages).items()}


def cells(file: Path) -> str:
    """Return a notebook's cells; its stamp also says what was read, which is less where results were there before."""
    return json.dumps(json.loads(file.read_text())["cells"])


def kill_commands(
    folder: Path, signals: list[int], draws: random.Random, whole: Path, spans: dict[str, float]
) -> tuple[int, int, int, int]:
    """Interrupt `EACH` times, then let both finish; return files compared, the same, orphans and what was left over."""
    compared = same = spent = orphans = leftovers = 0
    wanted_of_all, which = shown(whole), [*COMMANDS]
    print("\n| signal | book | command | seconds after the start | pages published |\n|---|---|---|---|---|")
    while spent < len(signals):
        number = 1 + spent // EACH
        root = project(folder / f"book-{number}")
        for name in signals[spent : spent + EACH]:
            chosen = which[spent % 2]
            process, moment = command(root, chosen), draws.uniform(0, spans[chosen])
            with suppress(subprocess.TimeoutExpired):
                process.wait(moment)
            orphans += interrupt(process, name)
            spent += 1
            pages = {key: value for key, value in shown(root).items() if key.endswith("ipynb")}
            assert pages.items() <= wanted_of_all.items(), "a page that is not whole"
            print(f"| {signal.Signals(name).name} | {number} | {chosen} | {moment:.1f} | {len(pages)} |", flush=True)
        finished(root)
        found = shown(root)
        compared, same = compared + len(wanted_of_all), same + len(found.items() & wanted_of_all.items())
        left = [*(root / "temporary").iterdir(), *root.rglob(".*.lock"), *root.rglob("*.part")]
        left += [file for file in (root / "data").rglob("*") if file.is_file() and file.suffix != ".parquet"]
        left += [root / name for name in found.keys() - wanted_of_all.keys()]
        leftovers += len(left)
        print(*left, sep="\n", end="\n" if left else "")
    return compared, same, orphans, leftovers


def main(kills: int = 50, terms: int = 10, seed: int = 0) -> None:
    """Print what was interrupted when, how many files are the same, and what was left."""
    draws, before = random.Random(seed), in_memory()
    with tempfile.TemporaryDirectory() as name:
        whole = project(Path(name) / "book-whole")
        spans = finished(whole)
        print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; without a break", end=" ")
        print(", ".join(f"{which} {span:.0f} s" for which, span in spans.items()))
        compared, same, orphans, left = kill_commands(Path(name), drawn(kills, terms, draws), draws, whole, spans)
    left += in_memory() - before
    told = f"{same} of {compared} files the same, {orphans} orphans, {left} leftovers"
    print(f"\n{kills} SIGKILLs, {terms} SIGTERMs: {told}")
    if same != compared or orphans or left > 0:
        raise SystemExit(1)


if __name__ == "__main__":
    typer.run(main)
