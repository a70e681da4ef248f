"""The bill: FLOPs against sums by hand and published figures, evaluations against the optimizers, each spec once."""

import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins import stand_in
from torch.nn import Parameter
from torch.utils.flop_counter import FlopCounterMode

from popview.common.errors import UsageError
from popview.optimizers import make
from popview.runs import costs, expansion, flops, profiles, specs, store, to_come, training, workers
from popview.tasks import images, networks
from popview.topography import flatness

PAPER = {task: profiles.settings("paper", task)["model"] for task in profiles.tasks("paper")}


def smoke(task: str, **changes) -> dict:
    return profiles.settings("smoke", task)["model"] | changes


def expanded(profile: str, **options) -> list[specs.RunSpec]:
    return [spec for task in profiles.tasks(profile) for spec in expansion.expand(profile, task, **options)]


# ---------------------------------------------------------------- operations of one example


def convolution(kernel: int, inputs: int, outputs: int, side: int) -> int:
    """Two operations for each multiplication with its addition; `side` is the output's."""
    return 2 * kernel**2 * inputs * outputs * side**2


def test_linear_layers_by_hand():
    layers = [2 * 784 * 50, 2 * 50 * 50, 2 * 50 * 10]
    counted = flops.example("mnist", smoke("mnist", network="perceptron"))
    assert counted.forward == sum(layers)
    assert counted.gradient == 3 * sum(layers) - layers[0]  # nobody asks for the gradient of the images
    assert counted.bytes == 4 * (784 * 50 + 50 * 50 + 50 * 10)
    assert not counted.normalized


def test_digits_by_hand():
    counted = flops.example("digits", {"hidden": 32, "batch_size": 50})
    assert counted.forward == 2 * 64 * 32 + 2 * 32 * 10
    assert counted.gradient == 3 * counted.forward - 2 * 64 * 32
    assert counted.bytes == 4 * (64 * 32 + 32 + 32 * 10 + 10)


def test_convolutions_by_hand():
    layers = [convolution(5, 1, 6, 28), convolution(5, 6, 16, 10), 2 * 400 * 120, 2 * 120 * 84, 2 * 84 * 10]
    counted = flops.example("mnist", smoke("mnist", network="lenet"))
    assert counted.forward == sum(layers)
    assert counted.gradient == 3 * sum(layers) - layers[0]
    assert counted.bytes == 4 * 61_706


@pytest.mark.parametrize(("depth", "width"), [(8, 16), (14, 4)])
def test_resnet_of_cifar_by_hand(depth, width):
    blocks = (depth - 2) // 6
    stem = convolution(3, 3, width, 32)
    layers = [stem, 2 * 4 * width * 10]
    for stage, side in enumerate((32, 16, 8)):
        outputs = width * 2**stage
        for block in range(blocks):
            inputs = outputs // 2 if stage and not block else outputs
            layers += [convolution(3, inputs, outputs, side), convolution(3, outputs, outputs, side)]
    counted = flops.example("cifar10", smoke("cifar10", network=f"resnet-{depth}", width=width))
    assert counted.forward == sum(layers)
    assert counted.gradient == 3 * sum(layers) - stem
    assert counted.normalized


def test_resnet_50_with_the_cifar_stem_by_hand():
    stem = convolution(3, 3, 64, 32)
    layers, inputs = [stem, 2 * 2048 * 10], 64
    for stage, (blocks, side) in enumerate(((3, 32), (4, 16), (6, 8), (3, 4))):
        width = 64 * 2**stage
        for block in range(blocks):
            before = 2 * side if stage and not block else side  # v1.5: the stride is in the 3 × 3 convolution
            layers += [convolution(1, inputs, width, before), convolution(3, width, width, side)]
            layers.append(convolution(1, width, 4 * width, side))
            if not block:
                layers.append(convolution(1, inputs, 4 * width, side))
            inputs = 4 * width
    counted = flops.example("cifar10", PAPER["cifar10"])
    assert counted.forward == sum(layers)
    assert counted.gradient == 3 * sum(layers) - stem
    assert counted.forward / 2 == pytest.approx(1.3e9, rel=0.01)  # the usual figure: 1.3 GMAC


def test_counter_agrees_with_the_published_count_of_resnet_50():
    from torchvision.models import ResNet50_Weights, resnet50

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        resnet50()(torch.empty(1, 3, 224, 224))
    assert counter.get_total_flops() / 2e9 == pytest.approx(ResNet50_Weights.IMAGENET1K_V1.meta["_ops"], rel=0.001)


@pytest.mark.parametrize(("task", "tokens", "classes"), [("goemotions", 50, 28), ("tweeteval", 64, 4)])
def test_bert_base_by_hand(task, tokens, classes):
    hidden, inner, layers = 768, 3072, 12
    weights = layers * (4 * hidden**2 + 2 * hidden * inner)
    assert weights == pytest.approx(85e6, rel=0.002)
    attention = layers * 2 * (2 * tokens**2 * hidden)  # scores, and what they weight
    head = 2 * hidden**2 + 2 * hidden * classes
    counted = flops.example(task, PAPER[task])
    assert counted.forward == 2 * weights * tokens + attention + head
    assert counted.gradient == 3 * counted.forward  # the embeddings below are trained
    assert counted.below == 0


@pytest.mark.parametrize(("model", "parameters"), [("bert-base-cased", 108.3e6), ("bert-base-uncased", 109.5e6)])
def test_bert_base_has_its_published_size(model, parameters):
    counted = flops.example("tweeteval", PAPER["tweeteval"] | {"model": model})
    assert counted.bytes / 4 == pytest.approx(parameters, rel=0.001)


def test_frozen_layers_are_passed_forward_once():
    whole = flops.example("tweeteval", smoke("tweeteval", frozen=0))
    upper = flops.example("tweeteval", smoke("tweeteval", frozen=4))
    assert upper.below + upper.forward == whole.forward
    assert upper.below == pytest.approx(2 * upper.forward, rel=0.02)  # four layers of six; the head is small
    first = 2 * 64 * 3 * 384**2  # queries, keys and values: what enters them needs no gradient
    assert upper.gradient == 3 * upper.forward - first
    assert upper.bytes < whole.bytes / 3


def test_usual_length_is_no_longer_than_the_cut():
    for length, charged in ((64, 26), (10, 10)):
        assert flops.usual("tweeteval", smoke("tweeteval", length=length))["length"] == charged
    assert flops.usual("cifar10", PAPER["cifar10"]) == PAPER["cifar10"]


def test_mistakes_in_a_model():
    with pytest.raises(UsageError, match="model of cifar10: got an unexpected keyword argument 'widht'"):
        flops.example("cifar10", smoke("cifar10", widht=4))
    with pytest.raises(UsageError, match="unknown network 'resnet-9'"):
        flops.example("cifar10", smoke("cifar10", network="resnet-9"))
    with pytest.raises(UsageError, match="no configuration of model bert-tiny"):
        flops.example("tweeteval", PAPER["tweeteval"] | {"model": "bert-tiny"})


# ---------------------------------------------------------------- evaluations

#: A hop of 7 steps; 30 steps are the first search, three whole hops and two steps.
STEPS = 30
TAU = {"tau": 7}


@pytest.mark.parametrize(
    ("algorithm", "hyperparameters", "slope"),
    [
        ("SGD", {}, 1.0),
        ("NiG-SGD", {}, 1.0),
        ("NiM-SGD", {**TAU, "epsilon": 0.5}, 1.0),
        ("NiM-SGD", {**TAU, "epsilon": float("inf")}, 1.0),
        ("SAM", {}, 1.0),
        ("NiG-BH", TAU, 1.0),
        ("NiM-BH", TAU, 1.0),
        ("NiG-MBH", TAU, 1.0),
        ("NiM-MBH", TAU, 1.0),
        ("NiM-MBH", {**TAU, "accept": "always"}, 1.0),
        ("NiM-BH", {**TAU, "accept": "printed"}, 1.0),
        ("AdamW", {}, 1.0),
        ("SGLD", {}, 1.0),
    ],
)
def test_evaluations_are_the_optimizers_own(algorithm, hyperparameters, slope):
    (spec,) = expansion.expand("smoke", "mnist", algorithms=("SGD",))
    spec = specs.replace(spec, algorithm=algorithm, hyperparameters=hyperparameters)
    w = Parameter(torch.zeros(3))
    optimizer = make(algorithm, [w], **hyperparameters)

    def closure():
        w.grad = torch.full_like(w, slope)  # a slope of constant norm: no hop ends early
        return slope * w.detach().sum()

    for _ in range(STEPS):
        optimizer.step(closure, lambda: slope * w.detach().sum())
    least, most, losses = costs._evaluations(spec, STEPS)
    assert optimizer.gradient_evaluations == (most if hyperparameters.get("epsilon") == float("inf") else least)
    assert optimizer.loss_evaluations == losses
    assert (least < most) == (algorithm == "NiM-SGD" and hyperparameters["epsilon"] < float("inf"))


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The specs of smoke's digits, run, and their store."""
    root = tmp_path_factory.mktemp("store")
    wanted = expansion.expand("smoke", "digits", algorithms=("SGD", "SWA", "NiM-SGD", "SAM", "NiM-MBH"))
    workers.run(wanted, workers=1, root=root, quiet=True)
    return wanted, root


def test_a_run_counts_what_the_bill_says(ran):
    wanted, root = ran
    for spec in wanted:
        found, charged = store.metadata(spec, root), costs.cost(spec)
        assert sum(found["gradient_evaluations"]) == charged.gradients
        assert sum(found["loss_evaluations"]) == pytest.approx(charged.loss_evaluations, abs=2 * spec.restarts)
        rows = store.load(spec, root)
        assert rows["step"].to_numpy().max() * spec.restarts == charged.steps
        assert store.path(spec, root).stat().st_size == pytest.approx(charged.storage, rel=0.25)


@pytest.mark.parametrize("algorithm", ["SGD", "SAM"])
def test_a_run_takes_the_operations_of_the_bill(algorithm):
    (spec,) = expansion.expand("smoke", "digits", algorithms=(algorithm,))
    with FlopCounterMode(display=False) as counter:
        training.train_table(spec)
    charged = costs.cost(spec)
    ending = counter.get_total_flops() - charged.training - charged.evaluation
    assert ending < charged.measures < 1.6 * ending  # here the first layer dominates, whose inputs need no gradient


def test_hessian_vector_product_costs_two_gradients():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = networks.make_network("resnet-8", (3, 32, 32), 10).eval()
        inputs = torch.randn(2, 3, 32, 32)
        vectors = [torch.randn_like(p) for p in net.parameters()]
    with FlopCounterMode(display=False) as counter:
        flatness.hessian_vector_product(lambda: net(inputs).square().mean(), net.parameters(), vectors)
    gradient = flops.example("cifar10", smoke("cifar10", width=16)).gradient
    assert counter.get_total_flops() == pytest.approx(
        2 * (1 + 2) * gradient, rel=0.02
    )  # two images; the gradient first


def test_checkpoints_by_hand():
    (spec,) = expansion.expand("paper", "cifar10", algorithms=("NiM-MBH",), restarts=1)
    charged, one = costs.cost(spec), flops.example("cifar10", PAPER["cifar10"])
    steps, hops = 300 * 351, 300 * 351 // 1755 - 1
    assert charged.steps == charged.gradients == charged.gradients_least == steps
    assert charged.loss_evaluations == 2 * hops
    assert charged.training == steps * 128 * one.gradient
    assert charged.evaluation == (301 * (500 + 500 + 2000) + 2 * hops * 500) * one.forward


def test_end_of_a_run_by_hand():
    (spec,) = expansion.expand("paper", "tweeteval", algorithms=("SGD",), restarts=1)
    one = flops.example("tweeteval", PAPER["tweeteval"] | {"length": 26})  # charged as long as they usually are
    whole_test, corrupted, averaged, flatness = 1421, 200 + 2 * 5 * 200, 700, 64 * 25
    by_hand = (whole_test + corrupted + averaged + flatness) * one.forward + 3 * 64 * one.gradient
    assert costs.cost(spec).measures == by_hand
    asked = replace(spec, model=spec.model | {"curvature": True})
    products = 12 + 8 + 4  # Lanczos steps of the eigenvalue, of the trace's deflation; its draws
    assert costs.cost(asked).measures == by_hand + 64 * (2 + 2 * products) * one.gradient


def test_statistics_come_from_so_many_images():
    class Stand:
        _train = (torch.zeros(3000, 1), None)
        normalized = staticmethod(lambda part: part)

    assert sum(map(len, images.Images.statistics_batches(Stand()))) == images.STATISTICS


# ---------------------------------------------------------------- the whole bill


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["smoke", "laptop", "paper"])
def test_every_spec_is_charged_once(profile):
    wanted = expanded(profile)
    rows = costs.cost_table([*wanted, *wanted])
    assert rows["files"].sum() == len(wanted)
    assert rows["trajectories"].sum() == sum(spec.restarts for spec in wanted)
    algorithms = rows[rows["trajectories"] > 0]
    assert set(zip(algorithms["task"], algorithms["algorithm"], strict=True)) == {(s.task, s.algorithm) for s in wanted}
    assert not algorithms[["task", "algorithm"]].duplicated().any()
    frozen = {task for task in profiles.tasks(profile) if profiles.settings(profile, task)["model"].get("frozen")}
    assert set(rows.loc[rows["trajectories"] == 0, "task"]) == frozen


def test_twice_the_restarts_cost_twice_as_much():
    once, twice = (costs.cost_table(expanded("paper", restarts=n)).select_dtypes("number") for n in (5, 10))
    np.testing.assert_allclose(twice, 2 * once)


def test_swa_shares_the_training_of_sgd():
    both, sgd, swa = (
        costs.cost_table(expansion.expand("paper", "cifar10", algorithms=names)).set_index("algorithm")
        for names in (("SWA", "SGD"), ("SGD",), ("SWA",))
    )
    assert both["training"].sum() == sgd["training"].sum() == swa["training"].sum()
    assert both.loc["SWA", "gradients"] == 0
    assert both["flops"].sum() == pytest.approx(swa["flops"].sum())  # alone, it runs SGD all the same
    assert both.loc["SWA", "evaluation"] > sgd.loc["SGD", "evaluation"]  # with the statistics of the average


def test_frozen_layers_are_charged_once_per_task():
    few, many = (costs.cost_table(expansion.expand("laptop", "tweeteval", restarts=n)) for n in (1, 5))
    once = few.loc[few["trajectories"] == 0, "flops"].item()
    assert once == many.loc[many["trajectories"] == 0, "flops"].item()
    model = profiles.settings("laptop", "tweeteval")["model"] | {"length": 26}
    assert once == flops.example("tweeteval", model).below * (3257 + 374 + 1421 + 2 * 5 * 200)


def test_hours():
    wanted = expansion.expand("paper", "tweeteval")
    rows = costs.cost_table(wanted, throughput=1e12)
    np.testing.assert_allclose(rows["gpu_hours"], rows["flops"] / 3.6e15)
    assert rows["core_hours"].isna().all()
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="throughput must be above 0"):
            costs.cost_table(wanted, throughput=wrong)
    with pytest.raises(UsageError, match="no specs"):
        costs.text([])


def test_core_hours_are_those_of_the_files(ran):
    wanted, root = ran
    rows = costs.cost_table(wanted, root=root).set_index("algorithm")
    clocks = {spec.algorithm: store.metadata(spec, root)["seconds"] for spec in wanted}
    taken = {name: clock["measures"] + clock["training_and_checkpoints"] for name, clock in clocks.items()}
    assert rows.loc["SAM", "core_hours"] == pytest.approx(taken["SAM"] / 3600)
    assert rows.loc["SWA", "core_hours"] == pytest.approx(clocks["SWA"]["measures"] / 3600)


def test_hours_of_an_arm_are_expected_at_the_pace_of_the_annealed_runs():
    """All images: 48,000 instead of 10,000 a pass; the seconds of what is there, by its FLOPs."""
    wanted = expansion.expand("laptop", "cifar10", variant="all-images")
    assert {(spec.algorithm, spec.model["train"]) for spec in wanted} == {("SGD", 48_000), ("SAM", 48_000)}
    assert [spec.seed for spec in wanted] == [*range(100, 110)] * 2
    rows = costs.cost_table(wanted).set_index("algorithm")
    if rows["present"].any():
        pytest.skip("the arm has been run, so that its own hours are known")
    assert rows["core_hours"].isna().all()
    for name, row in rows.iterrows():
        there = [
            spec
            for variant in ("annealed", "finalist")
            for spec in expansion.expand("laptop", "cifar10", variant=variant, algorithms=(name,))
            if store.path(spec).is_file()
        ]
        clocks = [store.metadata(spec)["seconds"] for spec in there]
        seconds = sum(clock["measures"] + clock["training_and_checkpoints"] for clock in clocks)
        expected = seconds / sum(costs.cost(spec).flops for spec in there) * row["flops"] / 3600
        assert row["expected_hours"] == pytest.approx(expected)
        assert 1 < expected < 50
    assert "≈" in costs.text(wanted)


def test_what_is_to_come_goes_at_the_pace_of_what_is_there(tmp_path):
    """Nine of ten SGD runs are there, each a second per 10¹² operations; of the other algorithms, nothing."""
    assert to_come.hours_to_come("laptop", "tweeteval", tmp_path)["core_hours"].isna().all()
    assert to_come.hours_to_come("smoke", "digits", tmp_path).empty
    specs = expansion.expand("laptop", "tweeteval", variant="annealed", algorithms=("SGD",))
    for spec in specs[:9]:
        seconds = costs.cost(spec).flops / 1e12
        clock = {"measures": 0.25 * seconds, "training_and_checkpoints": 0.75 * seconds}
        store.save(spec, stand_in(spec, seconds=clock), tmp_path)
    found = to_come.hours_to_come("laptop", "tweeteval", tmp_path).set_index(["variant", "algorithm"])
    one = costs.cost(specs[0]).flops / 1e12 / 3600
    assert found.loc[("annealed", "SGD"), ["restarts", "core_hours"]].tolist() == pytest.approx([1, one])
    assert found.loc[("cell", "SAM"), "restarts"] == 28
    assert found.loc[("finalist", "SAM"), "restarts"] == 9
    assert found.loc[("later-looks", "SGD"), ["restarts", "core_hours"]].tolist() == pytest.approx([20, 20 * one])
    assert found.loc[("annealed", "SAM"), "core_hours"] == pytest.approx(10 * one, rel=0.05)  # half the epochs, twice
    assert (found["least_hours"] == found["core_hours"]).all()  # there is one pace
    riding = found.loc[("annealed", "SWA"), "core_hours"] / (10 * one)
    assert 1 < riding < 1.6  # SGD is trained once, and both are measured
    assert not found["command"].str.contains("constant").any()
    assert set(found["command"].str.split().str[1]) == {"run", "tune"}


def test_hours_of_anything_else_are_known_or_not(ran):
    wanted, root = ran
    rows = costs.cost_table(wanted, root=root)
    assert rows["expected_hours"].equals(rows["core_hours"])
    assert costs.cost_table(expansion.expand("paper", "tweeteval"))["expected_hours"].isna().all()


def test_text_needs_no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the bill asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    wanted = expanded("paper")
    table, empty, *rest = costs.text(wanted).partition("\n\n")
    lines = table.splitlines()[2:]
    assert [line.split()[:2] for line in lines[:-1]] == list(
        map(list, dict.fromkeys((spec.task, spec.algorithm) for spec in wanted))
    )
    assert lines[-1].split()[:3] == ["in", "all", str(len(wanted))]
    assert empty
    assert len("".join(rest).splitlines()) == 3


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.7, "1.00 kB"),
        (1234, "1.23 kB"),
        (12_345, "12.3 kB"),
        (999_600, "1.00 MB"),
        (1.05e17, "105 PB"),
    ],
)
def test_amount(value, written):
    assert costs.amount(value, "B") == written
