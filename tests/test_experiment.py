"""One way to run an experiment: parts, labels, grids made of a few lines of TOML, and what there is of each."""

from pathlib import Path

import pandas as pd
import pytest

from popview import cli
from popview.common.errors import UsageError
from popview.common.folders import RESULTS
from popview.runs import annealed, experiment, grids, profiles, specs, store, sweeps, workers
from popview.runs.expansion import expand
from popview.runs.solutions import parts
from popview.runs.specs import GridSpec
from popview.runs.status import status

BASE = """
[digits]
restarts = 4
stack = 2
epochs = 2
checkpoints = 3
margin = 0.01
algorithms = ["SGD", "NiG-SGD", "NiM-BH", "SAM"]
model = { hidden = 8, batch_size = 50 }

[digits.base]
lr = 0.05
momentum = 0.9

[digits.base.NiG-SGD]
rho = 0.5

[digits.base.NiM-BH]
rho = 0.5
tau = 10

[digits.base.SAM]
rho = 0.05
"""

NOISE = """
[digits]
like = "optimizers/tiny/digits"
algorithms = ["SGD", "NiG-SGD", "NiM-BH"]
restarts = 2
grid = { rho = [0.0, 0.5, 5.0], lr = [0.05, 0.1], NiM-BH = { tau = [5, 10] } }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The profile "tiny" of the optimizers' experiment, and of a grid named "noise"."""
    for name, text in (("optimizers", BASE), ("noise", NOISE)):
        (tmp_path / "profiles" / name).mkdir(parents=True)
        (tmp_path / "profiles" / name / "tiny.toml").write_text(text)
    monkeypatch.setattr(profiles, "FOLDER", tmp_path / "profiles" / "optimizers")
    return tmp_path


def grid(**options) -> list[GridSpec]:
    return grids.grid_specs("noise", "tiny", "digits", **options)


class TestGrid:
    def test_every_combination_of_what_an_algorithm_has(self, folder):
        labels = {name: [tuple(s.labels.values()) for s in grid(algorithms=(name,))] for name in ("SGD", "NiG-SGD")}
        assert labels["SGD"] == [(0.05,), (0.1,)]  # it has no ρ
        assert labels["NiG-SGD"] == [(rho, lr) for rho in (0.0, 0.5, 5.0) for lr in (0.05, 0.1)]
        hops = grid(algorithms=("NiM-BH",))
        assert len(hops) == 3 * 2 * 2
        assert [*hops[0].labels] == ["rho", "lr", "tau"]
        assert all(s.hyperparameters["momentum"] == 0.9 for s in hops)

    def test_settings_are_those_of_the_profile_that_it_is_like(self, folder):
        point = grid(algorithms=("SGD",))[0]
        assert (point.epochs, point.checkpoints, point.restarts) == (2, 3, 2)
        assert point.model == {"hidden": 8, "batch_size": 50}
        assert point.experiment == "noise"
        (base,) = point.same_as
        assert base == experiment.parts_of("optimizers", "tiny", "digits", algorithms=("SGD",))[0]

    def test_the_base_setting_is_not_trained_again(self, folder):
        root = folder / "store"
        base = experiment.parts_of("optimizers", "tiny", "digits", algorithms=("NiG-SGD",), restarts=2)
        workers.run(base, workers=1, root=root, quiet=True)
        (point,) = (s for s in grid(algorithms=("NiG-SGD",)) if s.labels == {"rho": 0.5, "lr": 0.05})
        workers.run([point], workers=1, root=root, quiet=True)
        taken = store.metadata(point, root)
        assert taken["seconds"] == {}
        assert store.load(point, root).drop_columns([]).equals(store.load(base[0], root))

    def test_files_lie_in_a_folder_of_their_own(self, folder):
        point = grid(algorithms=("NiG-SGD",))[0]
        assert store.path(point, Path()) == Path(f"noise/tiny/digits/NiG-SGD/0.0-0.05-0-{point.digest}.parquet")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("NiM-BH = {", "NiM-HB = {", r"unknown algorithm in the grid of .* 'NiM-HB': did you mean 'NiM-BH'"),
            ("grid =", "gird =", "has no grid"),
            ("rho = [0.0, 0.5, 5.0]", "rho = 0.5", "rho in the grid of digits in profile tiny of noise must be a list"),
            ("/digits", "/digit", "unknown table that digits in profile tiny is like 'digit': did you mean 'digits'"),
            ("restarts = 2", "restart = 2", "unknown key of digits in profile tiny of noise 'restart'"),
        ],
    )
    def test_a_table_that_is_wrong(self, folder, old, new, message):
        file = folder / "profiles" / "noise" / "tiny.toml"
        file.write_text(file.read_text().replace(old, new))
        with pytest.raises(UsageError, match=message):
            grid()


class TestExperiment:
    def test_names(self, folder):
        assert experiment.experiments() == ("optimizers", "solutions", "landscapes", "noise")
        with pytest.raises(UsageError, match="unknown experiment 'nose': did you mean 'noise'"):
            experiment.tasks_of("nose", "tiny")
        with pytest.raises(UsageError, match="unknown experiment 'nose': did you mean 'noise'"):
            experiment.parts_of("nose", "tiny", "digits")

    def test_labels_become_columns(self, folder):
        root = folder / "store"
        wanted = grid(algorithms=("SGD", "NiG-SGD"))
        workers.run(wanted, workers=1, root=root, quiet=True)
        rows = [store.load(one, root).to_pandas().assign(algorithm=one.algorithm, **one.labels) for one in wanted]
        table = pd.concat(rows, ignore_index=True)
        assert {"algorithm", "lr", "rho", "seed", "train_loss"} <= set(table)
        assert table["rho"].isna().sum() == len(table[table["algorithm"] == "SGD"])
        ends = table[table["epoch"] == 2].groupby(["algorithm", "lr", "rho"], dropna=False).size()
        assert (ends == 2).all()
        assert len(ends) == 2 + 6
        same = table[table["lr"] == 0.05].set_index(["algorithm", "rho", "seed", "step"])["test_loss"]
        assert same["NiG-SGD", 0.0].equals(same["SGD"].droplevel(0))  # ρ = 0 is SGD

    def test_coverage_of_every_experiment(self, folder):
        root = folder / "store"
        wanted = [
            *grid(algorithms=("SGD",)),
            *experiment.parts_of("optimizers", "tiny", "digits", algorithms=("SGD",)),
        ]
        workers.run(wanted[:1], workers=1, root=root, quiet=True)
        store.path(wanted[1], root).write_bytes(b"no Parquet")
        found = status(wanted, root)
        assert [one.state for one in found] == ["done", "damaged", "missing", "missing"]
        assert found[0].seconds > 0 == found[1].seconds

    def test_the_command_that_a_part_names_computes_it(self, folder, monkeypatch, capsys):
        monkeypatch.setitem(experiment.run_experiment.__kwdefaults__, "root", folder / "store")
        monkeypatch.setattr("popview.common.folders.RESULTS", folder / "store")
        point = grid(algorithms=("SGD",))[1]
        with pytest.raises(UsageError, match=f"compute it with `{point.command}`"):
            store.load(point, folder / "store")
        assert cli.main([*point.command.split()[1:], "--algorithm", "SGD", "--workers", "1"]) == 0
        assert "tiny/digits: 2 files wanted, 2 new, 0 there before" in capsys.readouterr().out
        assert len(store.load(point, folder / "store")) == 2 * 3

    def test_what_a_page_reads_is_read_once(self, folder, monkeypatch):
        root = folder / "store"
        wanted = grid(algorithms=("SGD",))
        workers.run(wanted, workers=1, root=root, quiet=True)
        store._opened.cache_clear()
        read, opened = store.pq.ParquetFile, []
        monkeypatch.setattr(store.pq, "ParquetFile", lambda file, **how: opened.append(file) or read(file, **how))
        for _ in range(3):
            assert store.missing(wanted, root) == []
            for part in wanted:
                store.load(part, root)
            store.metadata(wanted[0], root)
        assert len(opened) == len(wanted)


class TestShippedResults:
    def test_every_file_is_a_part_of_an_experiment(self):
        """What shipped before specs got their later fields is named as it was; every file is asked for by a profile."""
        golden = set((Path(__file__).parent / "golden" / "shipped.txt").read_text().split())
        named = set()
        for name in ("smoke", "laptop", "paper"):
            variants = {
                task: (*specs.VARIANTS, *annealed.AnnealedPlan(name, task).variants) for task in profiles.tasks(name)
            }
            every = [s for task, several in variants.items() for v in several for s in expand(name, task, variant=v)]
            named |= {str(store.path(spec, Path())) for spec in every}
        for name in parts.PROFILES:
            found = [part for network in parts.networks(name) for part in parts.topography_parts(name, network)]
            named |= {str(store.path(part, Path())) for part in found}
        for name in grids.grids():
            specs_of = [s for task in grids.grid_tasks(name, "laptop") for s in grids.grid_specs(name, "laptop", task)]
            named |= {str(store.path(spec, Path())) for spec in specs_of}
        for name in sweeps.sweep_names("laptop"):
            named |= {str(store.path(part, Path())) for part in sweeps.sweep_parts("laptop", name)}
        assert golden <= named
        present = {str(file.relative_to(RESULTS)) for file in RESULTS.glob("*/*/*/*/*.parquet")}
        assert present <= named
        assert golden <= present
