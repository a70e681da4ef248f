"""Two processes that train one model: whatever an algorithm decides, their weights stay the same, bit for bit."""

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, multiprocessing, nn

from popview.common.errors import UsageError
from popview.optimizers import make
from popview.optimizers.process_groups import Ranks

pytestmark = pytest.mark.slow

STEPS, RANKS = 100, 2

#: Label → algorithm and options, so that each decides often.
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {}),
    "NiG-SGD": ("NiG-SGD", {}),
    "NiM-SGD": ("NiM-SGD", {"tau": 5, "epsilon": 0.4}),
    "SAM": ("SAM", {}),
    "NiG-BH": ("NiG-BH", {"tau": 5, "epsilon": 0.4}),
    "NiM-BH": ("NiM-BH", {"tau": 5, "epsilon": 0.4}),
    "NiG-MBH": ("NiG-MBH", {"tau": 4}),
    "NiM-MBH": ("NiM-MBH", {"tau": 4}),
    "NiM-MBH, metropolis": ("NiM-MBH", {"tau": 4, "accept": "metropolis", "temperature": 0.002}),
    "NiM-MBH, printed": ("NiM-MBH", {"tau": 4, "accept": "printed"}),
    "AdamW": ("AdamW", {}),
    "SWA": ("SWA", {}),
    "SGLD": ("SGLD", {"temperature": 1e-3}),
    "L-BFGS-GSS": ("L-BFGS-GSS", {}),
}


def trained(label: str, rank: int, group: Any) -> tuple[torch.Tensor, list[int]]:
    """Return a rank's weights after so many steps on its own data, under its own seed, and its counters."""
    name, options = RUNS[label]
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)))
    if name != "L-BFGS-GSS":
        options = {**options, "lr": 0.05}
    if "Ni" in name:
        options = {**options, "rho": 0.5}
    seed = {} if name == "L-BFGS-GSS" else {"seed": 7 + rank}
    optimizer = make(name, model.parameters(), process_group=group, **options, **seed)
    data = torch.Generator().manual_seed(100 + rank)
    x, y = torch.randn(16, 4, generator=data), torch.randint(2, (16,), generator=data)

    def loss_on(rows: slice) -> torch.Tensor:
        return nn.functional.cross_entropy(model(x[rows]), y[rows])

    for t in range(STEPS):
        rows = slice(None) if name == "L-BFGS-GSS" else slice(t % 2, None, 2)

        def closure(rows: slice = rows) -> torch.Tensor:
            optimizer.zero_grad()
            loss = loss_on(rows)
            loss.backward()
            return loss

        optimizer.step(closure, None if t % 3 else lambda: loss_on(slice(None)))
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    counters = ("gradient_evaluations", "loss_evaluations", "noise_triggers", "hops_tried", "hops_accepted")
    return weights, [getattr(optimizer, counter) for counter in counters]


def refusals() -> dict[str, str]:
    found = {}
    for name, options in (("NiM-MBH", {}), ("L-BFGS-GSS", {}), ("NiM-BH", {"accept": "metropolis"}), ("NiG-BH", {})):
        try:
            make(name, [nn.Parameter(torch.ones(2))], **options)
        except UsageError as error:
            found[name] = str(error)
    make("NiM-MBH", [nn.Parameter(torch.ones(2))], process_group=False)
    optimizer = make("NiM-MBH", [nn.Parameter(torch.ones(2))], process_group=distributed.group.WORLD)
    assert copy.deepcopy(optimizer).ranks is optimizer.ranks
    try:
        pickle.dumps(optimizer)
    except TypeError as error:
        found["pickle"] = str(error)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    mesh = init_device_mesh("cpu", (RANKS,))
    sharded = nn.Parameter(distribute_tensor(torch.ones(4), mesh, [Shard(0)]))
    try:
        make("SGD", [nn.Parameter(torch.ones(2)), sharded])
    except TypeError as error:
        found["DTensor"] = str(error)
    return found


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    late = make("NiM-MBH", [nn.Parameter(torch.ones(2))])  # before there is a group
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    results: dict[str, Any] = {label: trained(label, rank, distributed.group.WORLD) for label in RUNS}
    results["refusals"] = refusals()
    try:
        late.ranks.mean(torch.ones(1))
    except UsageError as error:
        results["late"] = str(error)
    results["apart"] = trained("NiM-MBH", rank, False)[0]
    torch.save(results, f"{folder}/{rank}")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    sys.modules["__main__"].__spec__ = None  # the processes import this module alone
    multiprocessing.spawn(work, (str(folder),), nprocs=RANKS)
    return [torch.load(Path(folder, str(rank)), weights_only=True) for rank in range(RANKS)]


@pytest.mark.parametrize("label", RUNS)
def test_weights_and_counters_agree(label, ranks):
    (weights, counters), (others, other_counters) = (results[label] for results in ranks)
    assert torch.isfinite(weights).all()
    assert (weights - others).abs().max() == 0
    assert counters == other_counters
    if "MBH" in label:
        assert 0 < counters[4] <= counters[3]
        assert counters[4] < counters[3] or "printed" in label
    if label == "NiM-SGD":
        assert 0 < counters[2] < STEPS - 5, "the condition on the norm decides both ways"


def test_the_case_is_one_in_which_ranks_part(ranks):
    """Without the group the same run parts: the test above can fail."""
    assert (ranks[0]["apart"] - ranks[1]["apart"]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["NiM-MBH", "L-BFGS-GSS", "NiM-BH"])
def test_several_ranks_and_no_group_are_refused(name, ranks):
    for results in ranks:
        message = results["refusals"][name]
        assert "process_group=False" in message
        assert "\n" not in message
    assert "NiG-BH" not in ranks[0]["refusals"]


def test_a_group_that_is_made_late_is_noticed(ranks):
    assert "process_group=" in ranks[0]["late"]


def test_plain_refusals(ranks):
    refusals = ranks[0]["refusals"]
    assert "cannot be pickled" in refusals["pickle"]
    assert "params[1] is sharded" in refusals["DTensor"]


@pytest.mark.parametrize("given", ["gloo", True, 0, -100])
def test_something_else_is_no_process_group(given):
    with pytest.raises(TypeError, match="process_group must be"):
        make("SGD", [nn.Parameter(torch.ones(2))], process_group=given)


def test_one_process_needs_no_group():
    assert Ranks(None, "L-BFGS-GSS").mean(torch.tensor([3.0])).item() == 3
