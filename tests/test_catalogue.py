"""The catalogue of tasks: what it says is what is set up, and a new task is one record."""

from dataclasses import replace
from typing import Any

import pytest
import tiny
from interpreter import printed_by

from popview.populations import tables
from popview.runs import costs, flops, profiles
from popview.runs.specs import RunSpec
from popview.tasks import catalogue
from popview.tasks.catalogue import MACRO_F1, RECORDS
from popview.tasks.setup import TASKS, maker_of, set_up

DIGITS: dict[str, Any] = {"hidden": 8, "batch_size": 50}
MODELS: dict[str, dict[str, Any]] = {
    "digits": DIGITS,
    "cifar10": tiny.IMAGE_MODEL,
    "tweeteval": tiny.TEXT_MODEL,
    "goemotions": tiny.TEXT_MODEL | {"data": tiny.MANY},
}


def test_needs_no_torch():
    code = "import sys\nfrom popview.tasks.catalogue import RECORDS\nprint(len(RECORDS), 'torch' in sys.modules)"
    assert printed_by(code).split() == [str(len(RECORDS)), "False"]


def test_each_task_is_told_by_its_names_and_its_data():
    for name in ("name", "title"):
        assert len({getattr(task, name) for task in RECORDS.values()}) == len(RECORDS)
    for task in RECORDS.values():
        assert catalogue.checksums(task.data, task.config) == task.checksums
    assert catalogue.checksums("uoft-cs/cifar10", "another") == {}


@pytest.mark.usefixtures("tiny_hub")
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("task", MODELS)
def test_sizes_are_those_of_what_is_set_up(task, fixed):
    """Of the data set's own only digits are at hand: the others have their samples here."""
    model = MODELS[task] | {"fixed_validation": fixed} | ({} if task == "digits" else {"validation": 25})
    if task in ("tweeteval", "goemotions"):
        model |= {"curvature": True}
    problem: Any = set_up(task, [3], model)
    sizes = flops.run_sizes(task, model)
    assert [len(problem.logits(split)[0]) for split in ("train", "validation", "test")] == [*sizes[1:4]]
    assert problem.steps_per_epoch == sizes.trained // model["batch_size"]
    labels = problem.measured()[1]
    assert (labels.shape[1] if problem.population else len(labels)) == sizes.measured
    losses, inputs = problem.input_losses()
    assert losses(inputs).numel() == sizes.inputs
    assert {len(levels) for name, levels in problem.corrupted().items() if name != "clean"} <= {5}
    assert len(problem.corrupted()) == (sizes.corruptions + 1 if sizes.corruptions else 0)
    assert problem.multilabel == RECORDS[task].multilabel
    assert getattr(problem, "macro", False) == (RECORDS[task].metric == MACRO_F1)
    if task == "digits":
        assert problem.logits("test").shape == (1, RECORDS[task].test, RECORDS[task].classes)
        assert RECORDS[task].rest == RECORDS[task].train + sizes.validation


def test_a_new_task_on_images_is_a_record(monkeypatch, tiny_hub):
    svhn = replace(RECORDS["cifar10"], name="svhn", title="SVHN", data=tiny.IMAGES, classes=tiny.CLASSES, checksums={})
    monkeypatch.setitem(RECORDS, "svhn", svhn)
    monkeypatch.setitem(TASKS, "svhn", maker_of(svhn))
    model = {name: value for name, value in tiny.IMAGE_MODEL.items() if name not in ("data", "config", "classes")}
    assert set_up("svhn", [0], model).logits("test").shape == (1, 40, tiny.CLASSES)
    spec = RunSpec("svhn", "tiny", "SGD", "base", 0, 1, 2, 3, {"lr": 0.1}, model)
    assert costs.cost(spec).flops > 0


def test_a_task_that_is_not_shown_is_not_compared():
    assert "mnist" in profiles.tasks("smoke")
    with pytest.raises(Exception, match="unknown task 'mnist'"):
        tables.wanted("smoke", "mnist")
