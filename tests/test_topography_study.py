"""The study of solutions: what is trained, kept, measured and resumed; and the rules that judge it."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from torch.nn.functional import cross_entropy

from popview import cli, topography
from popview.book import style
from popview.book.figures import solutions as solution_figures
from popview.book.tables import barriers as barrier_tables
from popview.book.tables import runs as run_tables
from popview.book.tables import topography as topography_tables
from popview.common.errors import Unavailable, Unfinished, UsageError
from popview.landscapes import get
from popview.paper import against_sgd, claims, rules
from popview.paper.printed import printed_deviations, printed_losses
from popview.paper.rules import Study
from popview.populations import landscape_paths
from popview.populations import solutions as solution_statistics
from popview.runs import experiment, loop, store, workers
from popview.runs.solutions import load as study_results
from popview.runs.solutions import parts as study
from popview.runs.solutions import training
from popview.runs.solutions.between import _aligned, fitted
from popview.runs.solutions.vectors import IMAGES_AT_ONCE, Network, place, vectors
from popview.statistics import dyadic_mean
from popview.tasks.setup import set_up
from popview.tasks.supervised import draw_split
from popview.topography import FourierPathFinder, network_loss, profile, settle
from popview.topography.measures import SHARPNESS

SGD, QUASI = "SGD", solution_statistics.QUASI_NEWTON
MODEL = {"hidden": [8, 8], "batch_size": 50, "shared": True}
TITLES = {"digits": "perceptron on digits"}
STUDY = rules.load_rules("study")


def run(root) -> tuple[int, int]:
    """Compute what is missing of the smoke study; return how many files are wanted, and how many are new."""
    wanted = {"digits": experiment.parts_of("solutions", "smoke", "digits")}
    files = experiment.run_experiment(wanted, workers=1, root=root, quiet=True)["digits"]
    return files.wanted, files.new


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return a store that holds the whole smoke study."""
    place = tmp_path_factory.mktemp("study")
    run(place)
    return place


@pytest.fixture(scope="module")
def evidence(root) -> Study:
    products = {stage: study_results.products("smoke", "digits", stage, root) for stage in study.STAGES}
    return Study(
        "digits",
        study_results.solutions("smoke", "digits", root),
        study_results.barriers("smoke", "digits", root),
        {stage: found for stage, found in products.items() if found is not None},
    )


def part_of(kind: str, algorithm: str, **settings) -> study.TopographyPart:
    """Return the first part of the smoke study that has these settings."""
    found = (p for p in study.topography_parts("smoke", "digits") if p.kind == kind and p.algorithm == algorithm)
    return next(p for p in found if all(p.settings[name] == value for name, value in settings.items()))


class TestShared:
    def test_training_images_are_the_same_and_validation_images_are_not(self):
        first, second = (draw_split(100, 60, 20, seed, shared=True) for seed in (0, 1))
        assert (first["train"] == second["train"]).all()
        assert set(first["validation"]) != set(second["validation"])
        for drawn in (first, second):
            assert not set(drawn["train"]) & set(drawn["validation"])
            assert len(set(drawn["validation"])) == 20

    def test_digits_share_images_across_restarts(self):
        problem = set_up("digits", [3, 4], MODEL)
        images, _ = problem.measured()
        assert images.shape == (2, 1000, 64)
        assert torch.equal(images[0], images[1])

    def test_two_hidden_layers_compute_what_torch_computes(self):
        problem = set_up("digits", [3], MODEL)
        first, first_bias, second, second_bias, third, third_bias = (p[0] for p in problem.parameters)
        images, labels = (part[0] for part in problem.measured())
        hidden = torch.relu(torch.relu(images @ first + first_bias) @ second + second_bias)
        wanted = cross_entropy(hidden @ third + third_bias, labels)
        assert torch.allclose(problem.sample_loss(), wanted)

    def test_one_hidden_layer_may_be_written_either_way(self):
        one, other = (set_up("digits", [0], {"hidden": hidden}) for hidden in (32, [32]))
        assert all(torch.equal(a, b) for a, b in zip(one.parameters, other.parameters, strict=True))


class TestVectors:
    def test_vectors_and_place_undo_each_other(self):
        problem = set_up("digits", [0, 1], MODEL)
        found = vectors(problem)
        place(problem, found.flip(0))
        assert torch.equal(vectors(problem), found.flip(0))

    def test_the_loss_of_vectors_is_the_tasks(self):
        problem = set_up("digits", [0, 1], MODEL)
        network = Network.of("digits", MODEL)
        losses = network.loss(1000)(vectors(problem))
        assert torch.allclose(losses, problem.sample_loss(), atol=1e-6)
        assert network.parameters == vectors(problem).shape[1] == 64 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10
        assert network.layers == ("0", "1", "2")

    def test_aligning_changes_no_output(self):
        start, end = vectors(set_up("digits", [0, 1], MODEL))
        network = Network.of("digits", MODEL)
        aligned = _aligned(network, start, end)
        assert not torch.equal(aligned, end)
        assert (start - aligned).norm() < (start - end).norm()
        losses = network.loss(1000)(torch.stack([end, aligned]))
        assert torch.allclose(losses[0], losses[1], atol=1e-6)


class TestStages:
    def test_hand_made_curves(self):
        """Two runs over five checkpoints: when each stage is, and that the models of that moment are kept."""
        train = np.array([[2.0, 2.0], [0.5, 1.5], [0.4, 0.9], [0.6, np.nan], [0.1, 0.95]])
        validation = np.array([[2.0, 2.0], [1.0, 1.0], [0.8, 1.2], [0.7, 0.1], [0.9, 1.0]])
        stages = training.Stages(2, level=0.5, floor=1e-7)
        for step, losses in enumerate(zip(train, validation, strict=True)):
            stages.offer(10 * step, *losses, torch.tensor([[step], [100.0 + step]]))
        assert stages.steps["early"].tolist() == [30, 30]
        assert stages.steps["equal"].tolist() == [10, -1]
        assert stages.steps["fitted"].tolist() == [40, 20]
        assert stages.vectors["early"].flatten().tolist() == [3, 103]
        assert stages.vectors["equal"][0] == 1
        assert stages.vectors["fitted"].flatten().tolist() == [4, 102]

    def test_a_run_at_the_floor_has_ended_though_others_of_its_stack_go_on(self):
        stages = training.Stages(2, level=0.5, floor=0.1)
        for step, losses in enumerate(([0.4, 0.9], [0.05, 0.8], [0.01, 0.7])):
            stages.offer(step, np.array(losses), np.array(losses), torch.full((2, 1), float(step)))
        assert stages.steps["fitted"].tolist() == stages.steps["early"].tolist() == [1, 2]
        assert stages.vectors["fitted"].flatten().tolist() == [1, 2]
        assert stages.running.tolist() == [False, True]

    def test_a_run_that_no_longer_falls_has_stalled(self):
        """Three checkpoints in a row less than 1 % below the last loss that it fell to; by default it goes on."""
        losses = [1.0, 0.5, 0.4999, 0.499, 0.49, 0.489, 0.488, 0.486, 0.1]
        for patience, last in ((3, 7), (4, 8), (None, 8)):
            stages = training.Stages(2, level=0.0, floor=0.0, patience=patience)
            for step, loss in enumerate(losses):
                given = np.array([loss, 0.9**step])
                stages.offer(step, given, given, torch.full((2, 1), float(step)))
            assert stages.steps["fitted"].tolist() == [last, 8]
            assert stages.running.tolist() == [last == 8, True]

    def test_a_stalled_run_that_is_continued_ends_where_it_would_have(self):
        whole, stages = ([training.Stages(1, 0.0, 0.0, patience=3) for _ in range(2)] for _ in range(2))
        del whole[1:]
        for step, loss in enumerate((1.0, 0.999, 0.998, 0.997)):
            if step == 2:
                first, second = (training.StageRecorder(None, None, None, one) for one in stages)
                second.load_state_dict(first.state_dict())
            for one in (*whole, stages[step >= 2]):
                one.offer(step, np.array([loss]), np.array([loss]), torch.zeros(1, 1))
        assert not whole[0].running.any()
        assert not stages[1].running.any()

    def test_of_equal_losses_the_earlier_is_kept(self):
        stages = training.Stages(1, level=0.0, floor=0.0)
        for step in range(3):
            stages.offer(step, np.array([1.0]), np.array([1.0]), torch.tensor([[float(step)]]))
        assert stages.steps["early"].tolist() == stages.steps["fitted"].tolist() == [0]


class TestSolutions:
    def test_every_algorithm_starts_from_the_same_weights(self, root):
        """Whatever an algorithm's batch size is, the models that its runs begin with are the same, bit for bit."""
        starts = [vectors(set_up("digits", range(4), part.settings["model"])) for part in self.trained()]
        assert len(starts) == 4
        assert all(torch.equal(start, starts[0]) for start in starts)

    def trained(self) -> list[study.TopographyPart]:
        return [part for part in study.topography_parts("smoke", "digits") if part.kind == "solutions"]

    def test_losses_of_the_table_are_those_of_the_weights(self, root):
        part = part_of("solutions", SGD)
        table = store.load(part, root).to_pandas().query("stage == 'fitted'")
        found = training.stored_weights(part, root)["fitted"]["vectors"]
        problem = set_up("digits", range(4), MODEL)
        place(problem, found)
        for split in ("train", "validation", "test"):
            loss, accuracy = problem.evaluate(split)
            assert np.allclose(table[f"{split}_loss"], loss.detach().numpy())
            assert np.allclose(table[f"{split}_accuracy"], accuracy.numpy())
        assert np.allclose(table["weight_norm"], np.linalg.norm(found.double().numpy(), axis=1))

    def test_early_has_the_lowest_validation_loss_and_fitted_the_lowest_training_loss(self, evidence):
        wide = evidence.solutions.pivot(index=["algorithm", "seed"], columns="stage")
        assert (wide["validation_loss"]["early"] <= wide["validation_loss"]["fitted"]).all()
        assert (wide["train_loss"]["fitted"] <= wide["train_loss"]["early"]).all()
        assert (wide["train_loss"]["equal"].dropna() <= 1.0).all()

    def test_lost_weights_are_trained_anew_to_the_same_numbers(self, root):
        part = part_of("solutions", QUASI)
        before = training.stored_weights(part, root)
        store.beside(part, "weights", root).unlink()
        workers.run([part], workers=1, root=root, keep_weights=True, quiet=True)
        after = training.stored_weights(part, root)
        assert all(torch.equal(before[s]["vectors"], after[s]["vectors"]) for s in study.STAGES)


class TestConvolutions:
    def test_losses_and_gradients_are_those_of_all_images_at_once(self):
        """Images run through in batches, of which the last is not full."""
        torch.manual_seed(0)
        layers = torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(2 * 4 * 4, 3)
        module = torch.nn.Sequential(*layers).double()
        shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
        images, labels = torch.randn(2 * IMAGES_AT_ONCE + 7, 1, 6, 6).double(), torch.arange(2 * IMAGES_AT_ONCE + 7) % 3
        found = torch.randn(2, sum(p.numel() for p in module.parameters())).double().requires_grad_()
        losses = Network(shapes, images, labels, module).loss(len(images), 1)(found)
        whole = network_loss(module, images, labels)(found)
        torch.testing.assert_close(losses, whole)
        torch.testing.assert_close(*(torch.autograd.grad(loss.sum(), found)[0] for loss in (losses, whole)))


class TestBarriers:
    def test_heights_by_a_plain_loop(self, root):
        part = part_of("barriers", SGD, stage="fitted", ends="plain", objective="sum")
        rows = store.load(part, root).to_pandas()
        solutions = training.stored_weights(part.sources[0], root)["fitted"]["vectors"]
        network = Network.of("digits", MODEL)
        images, labels = network.images[:100], network.labels[:100]

        def loss(vector: torch.Tensor) -> float:
            w = network.named(vector)
            hidden = images
            for layer in network.layers:
                hidden = torch.relu(hidden) if layer != "0" else hidden
                hidden = hidden @ w[f"{layer}.weight"].T + w[f"{layer}.bias"]
            return float(cross_entropy(hidden, labels))

        t = torch.linspace(0, 1, 2001, dtype=torch.float64).float()
        for row in rows.head(2).to_dict("records"):
            start, end = solutions[row["first"]], solutions[row["second"]]
            straight = [loss((1 - x) * start + x * end) for x in t]
            finder = FourierPathFinder(network.loss(100), **part.settings["path"])
            measure = partial(profile, network.loss(100), grids=(500, 2000))
            found = settle(finder, start[None], end[None], measure, **part.settings["settled"])
            bent = found.coefficients[0]
            order = torch.arange(1, 11)
            path = [loss((1 - x) * start + x * end + torch.sin(torch.pi * x * order) @ bent) for x in t]
            assert row["height"] == pytest.approx(max(path), abs=2e-5)
            assert row["straight_height"] == pytest.approx(max(straight), abs=2e-5)
            assert row["rise"] == pytest.approx(max(path) - max(straight[0], straight[-1]), abs=4e-5)
            assert row["profile"] == pytest.approx(path[::20], abs=2e-5)
            assert row["earlier_height"] == pytest.approx(float(found.earlier_height))

    def test_a_path_has_settled_where_the_second_half_of_its_steps_changed_its_height_by_little(self, evidence):
        """As the columns say, so that a reader may ask for more; four steps do not do for every path."""
        rows = evidence.barriers
        change = (rows["height"] - rows["earlier_height"]).abs()
        assert (rows["converged"] == (change <= np.maximum(0.02 * rows["rise"], 1e-4))).all()
        assert 0 < rows["converged"].sum() < len(rows)
        assert (rows["steps"] >= 4).all()
        means = solution_statistics.barrier_means(rows)
        told = (means["converged"] * means["pairs"]).sum()
        assert told == pytest.approx(rows["converged"].sum())

    def test_grids_that_are_filled_in_find_the_top(self):
        """On a path with one narrow and one broad hill, against the finest grid in full."""

        def loss(w: torch.Tensor) -> torch.Tensor:
            return torch.exp(-((w[:, 0] - 0.3) ** 2) / 0.01) + 1.2 * torch.exp(-((w[:, 0] - 0.7) ** 2) / 0.002)

        start, end = torch.zeros(2, 1, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
        nothing = torch.zeros(2, 0, 1, dtype=torch.float64)
        full = profile(loss, start, end, nothing, grids=(2000,))
        for grids in ((500, 2000), (50, 250, 2000)):
            assert torch.equal(profile(loss, start, end, nothing, grids=grids).height, full.height)
        with pytest.raises(UsageError, match="each a multiple of the one before"):
            profile(loss, start, end, nothing, grids=(300, 2000))

    def test_the_same_pairs_for_every_set(self, evidence):
        fitted = evidence.barriers.query("stage == 'fitted'")
        sets = [rows[["first", "second"]].to_numpy() for _, rows in fitted.groupby(["algorithm", "ends", "objective"])]
        assert len(sets) == 12
        assert all((pairs == sets[0]).all() for pairs in sets)

    def test_pairs_without_a_solution_are_left_out_and_counted(self, root):
        part = part_of("barriers", QUASI, stage="equal")
        table = store.load(part, root)
        reached = (training.stored_weights(part.sources[0], root)["equal"]["steps"] >= 0).sum()
        assert reached < 4
        assert store.metadata_of(table.schema)["missing"] == part.settings["count"] - len(table)

    def test_the_soft_maximum_begins_with_the_sum(self, root):
        network = Network.of("digits", MODEL)
        start, end = vectors(set_up("digits", [0, 1], MODEL)).split(1)
        loss, rule, grids = network.loss(50), {"first": 2, "most": 4}, [100]
        measure = partial(profile, loss, grids=grids)
        by_sum, finder = (FourierPathFinder(loss, points=12, objective=name) for name in ("sum", "maximum"))
        given = {"path": {"points": 12}, "objective": "maximum", "settled": rule, "grids": grids}
        found = fitted(loss, start, end, given)
        first = settle(by_sum, start, end, measure, **rule).coefficients
        assert torch.equal(found.coefficients, settle(finder, start, end, measure, first, **rule).coefficients)


class TestProducts:
    def test_against_numpy(self, root):
        frame, inner, parameters = study_results.products("smoke", "digits", "fitted", root)
        sources = [part for part in study.topography_parts("smoke", "digits") if part.kind == "solutions"]
        together = np.concatenate(
            [training.stored_weights(p, root)["fitted"]["vectors"].double().numpy() for p in sources]
        )
        assert np.allclose(inner, together @ together.T, rtol=1e-6, atol=1e-5)
        assert parameters == together.shape[1]
        assert frame["algorithm"].tolist() == [p.algorithm for p in sources for _ in range(4)]
        spread = solution_statistics.spread(frame, inner, parameters).set_index("algorithm")
        norms = np.linalg.norm(together[:4], axis=1)
        assert spread.loc[SGD, "norm"] == pytest.approx(norms.mean(), rel=1e-5)
        assert spread.loc[SGD, "deviation"] == pytest.approx(np.sqrt((together[:4] ** 2).mean()), rel=1e-5)
        apart = [np.linalg.norm(together[i] - together[j]) for i in range(4) for j in range(i)]
        assert spread.loc[SGD, "distance"] == pytest.approx(np.mean(apart), rel=1e-4)


class TestRun:
    @pytest.mark.slow
    def test_an_interrupted_run_is_continued_to_the_same_files(self, root, tmp_path, monkeypatch):
        """Stopped by Ctrl-C at its seventh file, then run again: every table is that of the uninterrupted run."""
        done, save = [], store.save

        def interrupting(part, table, place):
            if len(done) == 6:
                raise KeyboardInterrupt
            done.append(part.digest)
            return save(part, table, place)

        monkeypatch.setattr(store, "save", interrupting)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
        monkeypatch.setattr(store, "save", save)
        wanted = study.topography_parts("smoke", "digits")
        assert run(tmp_path) == (len(wanted), len(wanted) - 6)
        for part in wanted:
            assert store.load(part, tmp_path).equals(store.load(part, root))
        assert run(tmp_path) == (len(wanted), 0)
        left = {file.suffix for file in tmp_path.rglob("*") if file.is_file()}
        assert left == {".parquet", ".safetensors"}

    def test_files_name_their_settings_and_lie_where_git_ignores_weights(self, root):
        for part in study.topography_parts("smoke", "digits"):
            file = store.path(part, root)
            assert file.parent == root / "solutions" / "smoke" / "digits" / part.algorithm
            told = store.metadata(part, root)
            assert told["spec"] == json.loads(part.canonical)
            assert set(told) >= {"digest", "versions", "processor", "seconds"}
        assert study_results.solutions_coverage("smoke", root)["done"].sum() == len(
            study.topography_parts("smoke", "digits")
        )

    def test_laptop_is_as_the_issue_asks(self):
        """Every path on all training images and by one criterion, quasi-Newton to the floor or until it has stalled."""
        pairs = {"digits": 15, "fcp": 15, "lenet": 8}
        assert set(study.networks("laptop")) == set(pairs)
        rule = study.network_settings("laptop", "digits")["settled"]
        for network in study.networks("laptop"):
            table = study.network_settings("laptop", network)
            assert table["solutions"] >= 24
            assert table["pairs"] == pairs[network]
            assert table["images"] == table["model"].get("train", 1000)
            assert table["settled"] == rule
            joined = [p.settings for p in study.topography_parts("laptop", network) if p.kind == "barriers"]
            assert {given["stage"] for given in joined} >= {"fitted", "early"}
            assert all(given["settled"] == rule for given in joined)
            if network != "digits":
                assert table["algorithms"][QUASI]["patience"] < table["algorithms"][QUASI]["checkpoints"]
            assert table["grids"][-1] >= 2000
            assert table["path"]["points"] >= 2 * table["path"].get("terms", 10)  # else paths swing between the points
            digests = [part.digest for part in study.topography_parts("laptop", network)]
            assert len(set(digests)) == len(digests)

    def test_what_ships_took_eight_core_hours_at_most(self):
        assert study_results.solutions_coverage("laptop")["seconds"].sum() <= 8 * 3600

    def test_command_line(self, root, capsys, monkeypatch):
        monkeypatch.setattr("popview.common.folders.RESULTS", root)
        assert cli.main(["topography", "--profile", "smoke", "--workers", "1"]) == 0
        count = len(study.topography_parts("smoke", "digits"))
        assert capsys.readouterr().out == f"smoke/digits: {count} files wanted, 0 new, {count} there before\n"

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["--profile", "latop"], "did you mean 'laptop'?"),
            (["--network", "digit"], "did you mean 'digits'?"),
        ],
    )
    def test_mistakes_are_one_line(self, words, told, capsys):
        assert cli.main(["topography", *words]) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1

    def test_what_is_missing_is_named_with_its_command(self, tmp_path):
        with pytest.raises(UsageError, match="popview topography --profile smoke --network digits"):
            store.load(part_of("solutions", SGD), tmp_path)

    def test_the_progress_bar_says_what_is_computed(self, tmp_path, capsys):
        workers.run([part_of("solutions", SGD)], workers=1, root=tmp_path)
        assert "solutions: " in capsys.readouterr().err

    def test_weights_that_are_missing_are_trained_again(self, root, tmp_path):
        """As after a fresh checkout: barriers need the weights, which are not in git."""
        barriers = part_of("barriers", SGD)
        for source in barriers.sources:
            store.save(source, store.load(source, root), tmp_path)
        assert workers.run([barriers], workers=1, root=tmp_path, quiet=True) == 1
        assert store.load(barriers, tmp_path).equals(store.load(barriers, root))

    def test_what_needs_a_source_that_cannot_be_trained_is_left_out(self, root, tmp_path, monkeypatch, capsys):
        """Others are computed all the same: once the first task without data stopped the whole study."""
        fine, trained = part_of("barriers", SGD), training.trained
        sources = [source | {"network": "other"} for source in fine.settings["sources"]]
        absent = replace(fine, network="other", settings=fine.settings | {"sources": sources})

        def without_data(part, *given):
            if part.network == "other":
                raise Unavailable("no data set here", part.task)
            return trained(part, *given)

        monkeypatch.setattr(training, "trained", without_data)
        with pytest.raises(Unfinished, match=r"^not set up, as told above: other$"):
            workers.run([absent, fine], workers=1, root=tmp_path, quiet=True)
        assert store.missing([absent, fine], tmp_path) == [absent]
        assert capsys.readouterr().err == "popview: no data set here\n"

    def test_a_network_without_data_is_unavailable(self, monkeypatch):
        def no_data(*_):
            raise UsageError("no data set here")

        monkeypatch.setattr(training, "set_up", no_data)
        with pytest.raises(Unavailable, match="no data set here"):
            training.trained(part_of("solutions", SGD))

    def test_weights_that_are_damaged_are_named(self, root, tmp_path):
        (source,) = part_of("barriers", SGD).sources
        file = store.beside(source, "weights", tmp_path)
        file.parent.mkdir(parents=True)
        file.write_bytes(store.beside(source, "weights", root).read_bytes()[:-9])
        with pytest.raises(UsageError, match=r"weights.safetensors is damaged .* run popview topography"):
            training.stored_weights(source, tmp_path)
        assert not file.exists()

    def test_training_goes_on_where_it_was(self, root, tmp_path, monkeypatch):
        """Interrupted between two checkpoints, solutions are those of the uninterrupted run."""
        part, state = part_of("solutions", "NiM-BH"), tmp_path / "state.unfinished"
        checkpoint = training.StageRecorder.checkpoint
        steps = []
        monkeypatch.setattr(loop, "SPARING", 0)  # a state after every step

        def stop(recorder, step, seconds):
            steps.append(step)
            if len(steps) == 4:
                raise KeyboardInterrupt
            checkpoint(recorder, step, seconds)

        with monkeypatch.context() as patch:
            patch.setattr(training.StageRecorder, "checkpoint", stop)
            with pytest.raises(KeyboardInterrupt):
                training.trained(part, state, every=0.0)
        (file,) = tmp_path.iterdir()
        assert file.name == "state.0.unfinished"
        with monkeypatch.context() as patch:
            patch.setattr(
                training.StageRecorder, "checkpoint", lambda *given: (steps.append(given[1]), checkpoint(*given))
            )
            found = training.trained(part, state, every=0.0)
        assert steps[4] == steps[3]  # the checkpoint that it missed, and none before
        assert found.table.equals(store.load(part, root))
        kept = training.stored_weights(part, root)
        assert all(torch.equal(found.weights[s]["vectors"], kept[s]["vectors"]) for s in study.STAGES)


def pairs_of(count: int) -> np.ndarray:
    return np.stack(np.triu_indices(count, 1), axis=1)


def made(
    rise: dict[str, float], *, test: float = 0.0, accuracy: float = 0.0, train: float = -6.0, sharp: float = 0.0,
    scale: float = 1.0, direction: bool = False, last: int = 0, straight: float = 1.0, converged: bool = True,
) -> Study:  # fmt: skip
    """Return a hand-made study of eight seeds.

    Quasi-Newton's log₁₀ losses, accuracies, sharpness differ from SGD's by the given amounts, its norms by a factor,
    its directions where asked for; `rise`: mean rise of each algorithm; `last`: runs whose lowest loss is their last;
    `straight`: rise of the straight lines.
    """
    draws = np.random.default_rng(0)
    rows, barriers = [], []
    for algorithm in (SGD, QUASI):
        ours = algorithm == QUASI
        for stage in study.STAGES:
            for seed in range(8):
                noise = 0.01 * draws.standard_normal()
                row = {"algorithm": algorithm, "stage": stage, "seed": seed, "network": "digits"}
                row |= {"train_loss": 10 ** (-3 + ours * (train if stage == "fitted" else 0) + noise)}
                row |= {"test_loss": 10 ** (-1 + ours * test + noise), "weight_norm": 10.0, "gradient_evaluations": 1}
                row |= {"test_accuracy": 0.9 + ours * accuracy + 0.1 * noise}
                row |= dict.fromkeys(SHARPNESS, 10 ** (ours * sharp + noise))
                row |= {"step": 50, "epoch": 10.0 if seed < last else 5.0, "epochs": 10, "loss_evaluations": 2}
                rows.append(row)
            for ends in ("plain", "aligned"):
                for first, second in pairs_of(8):
                    height = rise[algorithm] + 0.01 * draws.standard_normal()
                    row = {"network": "digits", "algorithm": algorithm, "stage": stage, "ends": ends}
                    row |= {"objective": "sum", "first": first, "second": second, "height": height, "rise": height}
                    row |= {"converged": converged, "within": 0.0}
                    row |= {"straight_height": straight, "straight_rise": straight, "distance": 1.0}
                    barriers.append(row | {"profile": [0.1] * 3, "straight_profile": [0.1] * 3})
    points = draws.standard_normal((16, 40))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    if direction:
        points[8:, 0] += 3
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    points *= 1 + 0.05 * np.tile(draws.standard_normal((8, 1)), (2, 1))
    points[8:] *= scale
    names = pd.DataFrame({"algorithm": [SGD] * 8 + [QUASI] * 8, "seed": [*range(8)] * 2})
    found = (names, points @ points.T, 40)
    return Study("digits", pd.DataFrame(rows), pd.DataFrame(barriers), dict.fromkeys(study.STAGES, found))


EVEN = {SGD: 0.3, QUASI: 0.3}


class TestRules:
    @pytest.mark.parametrize(
        ("rule", "given", "word"),
        [
            ("lower_barriers", {"rise": {SGD: 0.1, QUASI: 0.5}}, "holds"),
            ("lower_barriers", {"rise": {SGD: 0.5, QUASI: 0.1}}, "does not hold"),
            ("lower_barriers", {"rise": EVEN}, "inconclusive"),
            ("deeper_minima", {"rise": EVEN}, "holds"),
            ("deeper_minima", {"rise": EVEN, "train": 2.0}, "does not hold"),
            ("deeper_minima", {"rise": EVEN, "train": 0.0}, "inconclusive"),
            ("less_general", {"rise": EVEN, "test": 1.0, "accuracy": -0.05}, "holds"),
            ("less_general", {"rise": EVEN, "test": 1.0}, "holds in part"),
            ("less_general", {"rise": EVEN, "test": -1.0, "accuracy": 0.05}, "does not hold"),
            ("less_general", {"rise": EVEN}, "inconclusive"),
            ("less_general", {"rise": EVEN, "test": 1.0, "accuracy": -0.05, "train": 0.0}, "holds in part"),
            ("lower_barriers", {"rise": {SGD: 0.1, QUASI: 0.5}, "converged": False}, "holds in part"),
            ("lower_when_early", {"rise": {SGD: 0.5, QUASI: 0.1}, "converged": False}, "does not hold"),
            ("smoother_basins", {"rise": EVEN, "sharp": 1.0}, "holds"),
            ("smoother_basins", {"rise": EVEN, "sharp": -1.0}, "does not hold"),
            ("smoother_basins", {"rise": EVEN}, "inconclusive"),
            ("more_spread_out", {"rise": EVEN, "scale": 3.0}, "holds"),
            ("more_spread_out", {"rise": EVEN, "scale": 0.3}, "does not hold"),
            ("more_spread_out", {"rise": EVEN}, "inconclusive"),
            ("lower_when_early", {"rise": {SGD: 0.1, QUASI: 0.5}}, "holds"),
            ("deeper_minima", {"rise": EVEN, "last": 4}, "holds"),
            ("deeper_minima", {"rise": EVEN, "last": 5}, "holds in part"),
            ("less_general", {"rise": EVEN, "test": 1.0, "accuracy": 0.05}, "inconclusive"),
            ("rbf_alone", {"rise": EVEN, "scale": 8.0}, "inconclusive"),  # the sigmoid kernel has no components
            ("rbf_alone", {"rise": EVEN, "scale": 2.0, "direction": True}, "holds in part"),
            ("rbf_alone", {"rise": EVEN}, "does not hold"),
            ("apart_by_norm", {"rise": EVEN, "scale": 8.0}, "holds"),
            ("apart_by_norm", {"rise": EVEN, "scale": 8.0, "direction": True}, "holds in part"),
            ("apart_by_norm", {"rise": EVEN, "direction": True}, "does not hold"),
            ("apart_by_norm", {"rise": EVEN}, "does not hold"),
            ("low_paths", {"rise": EVEN}, "holds"),
            ("low_paths", {"rise": EVEN, "straight": 0.5}, "does not hold"),
            ("low_paths", {"rise": {SGD: 0.3, QUASI: 2.0}}, "holds in part"),
            ("low_paths", {"rise": {SGD: 2.0, QUASI: 2.0}}, "does not hold"),
        ],
    )
    def test_verdicts_on_hand_made_numbers(self, rule, given, word):
        finding = STUDY[rule](made(**given))
        assert finding.word == word
        assert finding.detail

    def test_barriers_that_contradict_each_other_are_inconclusive(self):
        mixed = made({SGD: 0.1, QUASI: 0.5})
        early = (mixed.barriers["stage"] == "early") & (mixed.barriers["algorithm"] == QUASI)
        mixed.barriers.loc[early, ["height", "rise"]] -= 0.49
        assert STUDY["lower_barriers"](mixed).word == "inconclusive"
        assert STUDY["lower_when_early"](mixed).word == "does not hold"

    def test_measures_that_contradict_each_other_are_inconclusive(self):
        mixed = made(EVEN, sharp=1.0)
        mixed.solutions.loc[mixed.solutions["algorithm"] == SGD, "top_eigenvalue"] *= 100
        assert STUDY["smoother_basins"](mixed).word == "inconclusive"

    def test_a_measure_that_is_added_leaves_the_table_and_the_rule_of_older_results_as_they_are(self, monkeypatch):
        """Once chapter 11 failed for want of a column, and the rule's Holm family would have grown."""
        evidence = made(EVEN, sharp=1.0)
        titles = {"digits": "digits"}
        table, finding = (
            topography_tables.sharpness_table(evidence.solutions, titles),
            STUDY["smoother_basins"](evidence),
        )
        monkeypatch.setattr(topography_tables, "SHARPNESS", (*SHARPNESS, "extra"))
        pd.testing.assert_frame_equal(topography_tables.sharpness_table(evidence.solutions, titles), table)
        evidence.solutions["extra"] = 1.0
        assert "extra" in topography_tables.sharpness_table(evidence.solutions, titles)
        assert STUDY["smoother_basins"](evidence) == finding
        assert STUDY["smoother_basins"].settings["measures"] == [*SHARPNESS]

    @pytest.mark.parametrize("rule", ["lower_barriers", "more_spread_out"])
    def test_half_of_the_test_is_no_more_than_part(self, rule):
        """Where early-stopped solutions were not joined or kept, the claim cannot hold in full, and that is said."""
        whole = made({SGD: 0.1, QUASI: 0.5}, scale=3.0)
        later = {stage: found for stage, found in whole.products.items() if stage != "early"}
        half = Study("lenet", whole.solutions, whole.barriers.query("stage == 'fitted'"), later)
        assert STUDY[rule](whole).word == "holds"
        assert STUDY[rule](half).word == "holds in part"
        assert "early-stopped not run" in STUDY[rule](half).detail
        assert STUDY["lower_when_early"](half).word == "not run here"

    def test_an_rbf_kernel_alone(self, monkeypatch):
        real = solution_statistics.separation
        monkeypatch.setattr(
            solution_statistics, "separation", lambda *given: real(*given).assign(a12=[0.9, 0.6, 0.6, 0.7, 0.9, 1])
        )
        assert STUDY["rbf_alone"](made(EVEN)).word == "holds"

    def test_every_rule_says_where_nothing_was_run(self, tmp_path):
        nothing = Study("digits", pd.DataFrame(), pd.DataFrame(), {})
        for name, rule in STUDY.items():
            assert rule(nothing).word == "not run here", name

    def test_every_rule_answers_on_a_real_study(self, evidence):
        for name, rule in STUDY.items():
            finding = rule(evidence)
            assert finding.word in rules.WORDS, name
            assert finding.detail, name

    def test_the_ledger_asks_the_study(self):
        listed = claims.read_claims().query("study != ''").assign(computed="")
        assert set(listed["document"]) == {"yu2026"}
        studies = {"perceptron on digits": made(EVEN), "LeNet on MNIST": None}
        found = claims.judge_claims(listed, {}, rules.Computed(), set(), studies)
        assert set(found.query("scale == 'LeNet on MNIST'")["verdict"]) == {"not run here"}
        assert (found.query("scale == 'perceptron on digits'")["verdict"] != "not run here").all()
        assert len(found) == 2 * len(listed)

    def test_paths_on_himmelblau(self):
        finding = rules.load_rules("computed")["paths_reach_passes"](rules.Computed())
        assert finding.word == "holds"
        assert "pass 67.72" in finding.detail


class TestReadings:
    def test_separation_by_norm_and_by_direction(self):
        table = solution_statistics.separation(*made(EVEN, direction=True).products["fitted"])
        apart = table.set_index("by")["a12"]
        assert apart["linear"] == apart["cosine"] == 1
        assert apart["norm"] < 0.71
        assert ((table["a12"] >= 0.5) & (table["a12"] <= 1)).all()

    @pytest.mark.parametrize("direction", [False, True])
    def test_directions_by_a_plain_loop(self, direction):
        frame, inner, _ = made(EVEN, direction=direction).products["fitted"]
        points = topography.coordinates(inner)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        right = 0
        for seed in range(8):
            means = [points[[i for i in range(k, k + 8) if i != k + seed]].mean(0) for k in (0, 8)]
            for own, k in enumerate((0, 8)):
                right += int(np.argmin([np.linalg.norm(points[k + seed] - mean) for mean in means])) == own
        found, of, p = solution_statistics.directions(frame, inner)
        assert (found, of) == (right, 16)
        assert (p < 0.05) == direction
        assert solution_statistics.directions(frame.iloc[:10], inner[:10, :10]) is None

    def test_too_few_solutions_are_told_by_nan(self):
        frame, inner, parameters = made(EVEN).products["fitted"]
        for chosen in ([0], [0, 1], [0, 8], []):
            table = solution_statistics.separation(frame.iloc[chosen], inner[np.ix_(chosen, chosen)], parameters)
            assert table.set_index("by").loc["rbf"].isna().all()

    def test_pairs_that_are_not_finite_are_dropped_and_counted(self):
        barriers = made({SGD: 0.1, QUASI: 0.5}).barriers.query("stage == 'fitted' and ends == 'plain'").copy()
        barriers.iloc[0, barriers.columns.get_loc("rise")] = np.inf
        means = solution_statistics.barrier_means(barriers).set_index("algorithm")
        assert means["dropped"].to_dict() == {SGD: 1, QUASI: 0}
        assert means["pairs"].to_dict() == {SGD: 27, QUASI: 28}
        assert np.isfinite(means["rise"]).all()
        change = solution_statistics.barrier_differences(barriers).iloc[0]
        assert (change["pairs"], change["dropped"]) == (27, 1)
        assert change["difference"] == pytest.approx(0.4, abs=0.02)

    def test_differences_are_over_the_same_pairs(self):
        """What the pairs of two sets have in common does not widen the interval of their difference."""
        barriers = made({SGD: 0.1, QUASI: 0.5}).barriers
        common = barriers["first"] * 10.0 + barriers["second"]
        shifted = solution_statistics.barrier_differences(barriers.assign(rise=barriers["rise"] + common))
        for name in ("difference", "low", "high"):
            assert shifted[name].to_numpy() == pytest.approx(
                solution_statistics.barrier_differences(barriers)[name].to_numpy()
            )

    def test_robust_intervals_are_those_of_a_slow_loop_over_shipped_pairs(self):
        """Fafchamps and Gubert's sum over all pairs of pairs with a common solution, written as two loops."""
        found = {}
        for network, stage in (("digits", "fitted"), ("fcp", "equal")):
            barriers = study_results.barriers("laptop", network)
            for value in ("height", "rise"):
                table = solution_statistics.barrier_differences(barriers, value)
                found |= {(network, value, row.stage, row.ends, row.objective): row for row in table.itertuples()}
            sets = {
                name: rows.set_index(["first", "second"])["height"]
                for name, rows in barriers.query("stage == @stage and ends == 'plain'").groupby("algorithm")
            }
            gap = (sets[QUASI] - sets[SGD]).dropna()
            error, solutions = self.robust_error(gap)
            row = found[network, "height", stage, "plain", "sum"]
            assert row.dyadic_error == pytest.approx(error)
            half = scipy.stats.t.isf(0.025, solutions - 1) * error
            assert (row.dyadic_low, row.dyadic_high) == pytest.approx((gap.mean() - half, gap.mean() + half))
            assert row.dyadic_p == pytest.approx(2 * scipy.stats.t.sf(abs(gap.mean()) / error, solutions - 1))

    @staticmethod
    def robust_error(gap: pd.Series) -> tuple[float, int]:
        """Return the standard error of the mean over pairs, and the number of solutions."""
        off, variance = gap - gap.mean(), 0.0
        for one, a in off.items():
            for other, b in off.items():
                variance += a * b * bool(set(one) & set(other))
        alone = float((off**2).sum())
        return np.sqrt(max(variance, alone)) / len(gap), len(set(np.array(gap.index.to_list()).ravel()))

    @pytest.mark.parametrize(
        ("name", "wanted"),
        [("reviewed-pairs", [0.0087, 0.0028, 0.0146]), ("reviewed-pairs-fcp", [-0.0053, -0.0092, -0.0014])],
    )
    def test_robust_intervals_of_former_results(self, name, wanted):
        """Two cases that the bootstrap leaves open, as a reviewer computed them, after 80 steps of Adam."""
        file = Path(__file__).parent / "golden" / f"{name}.csv"
        gap = pd.read_csv(file).set_index(["first", "second"])["difference"]
        pairs = np.array(gap.index.to_list())
        robust = dyadic_mean(gap, pairs)
        assert [round(v, 4) for v in (robust.estimate, *robust.interval)] == wanted
        error, solutions = self.robust_error(gap)
        half = scipy.stats.t.isf(0.025, solutions - 1) * error
        assert robust.interval == pytest.approx((gap.mean() - half, gap.mean() + half))
        low, high = topography.mean(gap, pairs).interval
        assert low < 0 < high

    def test_alignment_is_paired(self):
        barriers = made({SGD: 0.1, QUASI: 0.5}).barriers
        barriers.loc[barriers["ends"] == "aligned", "rise"] -= 0.05
        gains = solution_statistics.aligned_gains(barriers)
        assert len(gains) == 6
        assert gains["difference"].to_numpy() == pytest.approx(-0.05, abs=0.01)
        assert (gains["low"] <= gains["difference"]).all()

    def test_means_are_plain_means(self, evidence):
        means = solution_statistics.barrier_means(evidence.barriers)
        wanted = evidence.barriers.groupby(["algorithm", "stage", "ends", "objective"])["rise"].mean()
        for row in means.to_dict("records"):
            key = tuple(row[name] for name in ("algorithm", "stage", "ends", "objective"))
            assert row["rise"] == pytest.approx(wanted[key])
            assert not row["rise_low"] > row["rise_high"]

    def test_printed_losses(self):
        printed = printed_losses()
        assert len(printed) == 16
        fcp = printed.query("network == 'FCP' and algorithm == 'SGD'").set_index("split")["printed"]
        assert fcp.to_dict() == {"train": 6.21e-4, "test": 8.25e-2}


class TestLayouts:
    def test_tables_hold_every_set(self, evidence):
        means = solution_statistics.barrier_means(evidence.barriers)
        assert len(barrier_tables.barriers_table(means, TITLES)) == len(means)
        rises = solution_statistics.barrier_differences(evidence.barriers)
        sums = (rises["objective"] == "sum").sum()
        assert len(barrier_tables.barrier_differences_table(rises, TITLES)) == sums
        shown = topography_tables.solutions_table(evidence.solutions, printed_losses(), TITLES)
        assert shown.columns.is_unique
        assert shown["algorithm"].tolist() == [SGD, QUASI, "SAM", "NiM-BH"]
        assert 2 <= len(topography_tables.sharpness_table(evidence.solutions, TITLES)) <= 4
        settings = topography_tables.settings_table(
            {"digits": study.network_settings("smoke", "digits")}, evidence.solutions
        )
        cells = settings.set_index("")["perceptron on digits"]
        assert cells["training images"] == "1,000"
        assert cells["images, paths"] == "100"
        spread = solution_statistics.spread(*evidence.products["fitted"]).assign(network="digits", stage="fitted")
        assert len(topography_tables.spreads(spread, printed_deviations(), TITLES)) == 4

    def test_a_rise_that_is_not_0_does_not_read_as_0(self):
        """Else "higher" would stand beside an interval from 0.0000 to 0.0000."""
        row = {"stage": "fitted", "ends": "plain", "objective": "sum", "value": "rise", "network": "digits", "b": 0.0}
        row |= {"a": 1.2e-5, "converged": 1.0, "difference": 1.2e-5, "low": 1e-5, "high": 1.4e-5}
        row |= {"dyadic_low": 1.1e-5, "dyadic_high": 1.3e-5, "within": 0.0}
        shown = barrier_tables.barrier_differences_table(pd.DataFrame([row]), TITLES).iloc[0]
        assert (shown["SGD's"], shown["settled, %"]) == ("0", 100)
        assert shown["difference [dyadic-robust]"] == "1.2 × 10⁻⁵ [1.1 × 10⁻⁵,\u00a01.3 × 10⁻⁵]"
        assert shown["bootstrap"] == "[1.0 × 10⁻⁵,\u00a01.4 × 10⁻⁵]"
        assert shown["by dyadic-robust"] == "higher"
        resolved = barrier_tables.barrier_differences_table(pd.DataFrame([row | {"within": 1e-4}]), TITLES).iloc[0]
        assert resolved["by dyadic-robust"] == resolved["by bootstrap"] == "not told apart"

    def test_what_is_there_is_summed(self, root):
        coverage = study_results.solutions_coverage("smoke", root)
        shown = run_tables.sets_table(coverage, TITLES)
        assert shown["network"].tolist()[-1] == "in all"
        assert shown["core-minutes"].tolist()[-1] == pytest.approx(shown["core-minutes"][:-1].sum())
        assert shown["sets"].tolist()[-1] == f"{len(coverage)} of {len(coverage)}"

    def test_printed_deviations_stand_beside_ours(self, evidence):
        spread = solution_statistics.spread(*evidence.products["fitted"]).assign(network="fcp", stage="fitted")
        shown = topography_tables.spreads(spread, printed_deviations(), {"fcp": "FCP on MNIST"}).set_index("algorithm")
        assert shown.loc[[QUASI, SGD, "SAM"], "printed"].tolist() == ["0.234", "0.139", "–"]
        inner, parameters = evidence.products["fitted"][1:]
        own = np.diag(inner)[evidence.products["fitted"][0]["algorithm"] == SGD]
        assert shown.loc[SGD, "size of a weight"] == f"{np.sqrt(own.mean() / parameters):.3f}"
        apart = solution_statistics.separation(*evidence.products["fitted"]).assign(network="digits", stage="fitted")
        told = pd.DataFrame([("digits", "fitted", 5, 8, 0.3)], columns=["network", "stage", "right", "of", "p"])
        assert len(topography_tables.separations(apart, told, TITLES)) == 7
        last = topography_tables.separations(apart, told.assign(p=1e-4), TITLES).iloc[-1, 1]
        assert last == "5 of 8 (p\u00a0< 0.001)"

    def test_passes_count_gradients_and_losses(self):
        """A full-batch run, one step an epoch: its line search is on the bill."""
        table = made(EVEN).solutions
        table.loc[table["algorithm"] == QUASI, ["step", "gradient_evaluations", "loss_evaluations"]] = [5, 98, 581]
        cells = (
            topography_tables.settings_table({"digits": study.network_settings("smoke", "digits")}, table)
            .set_index("")
            .iloc[:, 0]
        )
        assert cells["passes, L-BFGS-GSS"] == "679"

    def test_verdicts_stand_in_a_grid(self):
        studies = {"perceptron on digits": made(EVEN), "FCP on MNIST": made({SGD: 0.1, QUASI: 0.5})}
        listed = claims.read_claims().query("study != ''").assign(computed="")
        verdicts = claims.judge_claims(listed, {}, rules.Computed(), set(), studies)
        grid = topography_tables.verdict_grid(verdicts, [*studies, "LeNet on MNIST"])
        assert list(grid) == ["claim", *studies]
        assert list(grid["claim"]) == list(listed["claim"])
        for row in verdicts.to_dict("records"):
            assert grid.set_index("claim").loc[row["claim"], row["scale"]] == row["verdict"]

    def test_ratios_are_geometric_means_over_seeds(self, evidence):
        ratios = against_sgd.ratios_to_sgd({"digits": evidence}).set_index(["algorithm", "measure"])["ratio"]
        wide = evidence.values("equal", "top_eigenvalue").dropna()
        for name in {QUASI, "SAM"} & set(ratios.index.get_level_values(0)):
            both = evidence.values("equal", "top_eigenvalue")[[name, SGD]].dropna()
            wanted = np.prod(both[name] / both[SGD]) ** (1 / len(both))
            assert ratios[name, "top_eigenvalue"] == pytest.approx(wanted)
        assert len(wide) > 0
        assert SGD not in ratios.index.get_level_values(0)

    def test_accuracies_less_sgds(self):
        higher = against_sgd.accuracies_less_sgds({"digits": made(EVEN, accuracy=0.05)})
        assert higher["difference"].to_numpy() == pytest.approx(0.05, abs=0.001)
        assert (higher["adjusted_p"] < 1).all()
        shown = topography_tables.accuracy_differences(higher, TITLES)
        assert shown["points"].astype(float).to_numpy() == pytest.approx(5, abs=0.1)
        assert (against_sgd.accuracies_less_sgds({"digits": made(EVEN)})["adjusted_p"] > 0.05).all()

    def test_small_losses_are_powers_of_ten(self):
        shown = topography_tables.printed_losses_table(printed_losses()).set_index("network")
        assert shown.loc["FCP", "L-BFGS-GSS, training"] == "1.26 × 10⁻⁸"
        assert shown.loc["FCP", "SGD, test"] == "0.0825"

    @pytest.mark.parametrize("width", [style.DESKTOP, style.PHONE])
    def test_figures_with_and_without_results(self, evidence, width):
        nothing, both = pd.DataFrame(), (SGD, QUASI)
        for some in (evidence.solutions, nothing):
            assert solution_figures.sharper_and_worse(some, TITLES, both, width).axes
        for some in (against_sgd.ratios_to_sgd({"digits": evidence}), nothing):
            assert solution_figures.times_sgd(some, TITLES, width).axes
        for some in (evidence.barriers, nothing):
            assert solution_figures.profiles(some, TITLES, both, width).axes
        for some in (solution_statistics.barrier_differences(evidence.fits), nothing):
            assert solution_figures.differences(some, TITLES, width).axes
        for some in ({"digits": evidence.products["fitted"]}, {}):
            assert solution_figures.components(some, TITLES, both, width).axes
        plt.close("all")

    def test_medians_of_straight_lines_and_of_paths_are_drawn(self, evidence):
        drawn = solution_figures.profiles(evidence.barriers, TITLES, (SGD,), style.DESKTOP).axes[0].get_lines()
        chosen = "algorithm == 'SGD' and stage == 'fitted' and ends == 'plain' and objective == 'sum'"
        for line, name in zip(drawn, ("straight_profile", "profile"), strict=True):
            profiles = np.array(evidence.barriers.query(chosen)[name].to_list())
            np.testing.assert_allclose(line.get_ydata(), np.sort(profiles, axis=0)[len(profiles) // 2])
        plt.close("all")

    def test_filled_where_the_robust_interval_leaves_out_zero(self):
        ends = {"low": -1.0, "high": 2.0, "dyadic_high": 1.5, "difference": 1.0, "network": "digits", "ends": "plain"}
        stages = {"fitted": 0.5, "equal": 0.05, "early": -0.5}
        table = pd.DataFrame([ends | {"stage": name, "dyadic_low": low} for name, low in stages.items()])
        for within, filled in ((0.0, 2), (0.1, 1)):
            axes = solution_figures.differences(table.assign(within=within), TITLES, style.PHONE).axes[0]
            points = [line for line in axes.lines if line.get_marker() == "o"]
            assert [p.get_markerfacecolor() for p in points] == ["#333333"] * filled + ["white"] * (3 - filled)

    def test_a_map_shows_each_path(self):
        landscape = get("himmelblau")
        found = landscape_paths.paths(landscape, landscape_paths.NEIGHBOURS, steps=3)["sum of losses"]
        axes = solution_figures.path_map([(landscape, landscape_paths.NEIGHBOURS, found)], np.sqrt, style.DESKTOP).axes[
            0
        ]
        assert len(axes.lines) == 2 * len(landscape_paths.NEIGHBOURS) + 1
        curve = axes.lines[1].get_xydata()
        minima = [landscape.minima[i].location for i in landscape_paths.NEIGHBOURS[0]]
        assert np.allclose(curve[[0, -1]], minima)
