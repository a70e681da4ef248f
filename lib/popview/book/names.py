"""The names under which readers know tasks, and how a setting is named in a sentence."""

from collections.abc import Sequence

from popview.tasks.catalogue import RECORDS


def task_title(task: str) -> str:
    """Return the name under which readers know a task: "CIFAR-10" for "cifar10"; another name as it is."""
    return RECORDS[task].title if task in RECORDS else task


def landscape_title(name: str) -> str:
    """Return a landscape's name as a reader writes it: "Six-hump camel" for "six-hump-camel"."""
    return name.replace("-camel", " camel").capitalize()


def with_variant(task: str, variant: str) -> str:
    """Name a task and variant in a sentence, "Digits (base)"; or what has no variants, such as a network."""
    return f"{task_title(task)} ({variant})" if variant else task_title(task)


def short_names(algorithms: Sequence[str]) -> list[str]:
    """Return algorithms' names for a figure: of a reader's own the class alone, unless two would be called the same.

    Examples
    --------
    >>> from popview.book.names import short_names
    >>> short_names(["SAM", "mymodule:MyOptimizer lr=0.001", "torch.optim:NAdam lr=0.1", "torch.optim:NAdam lr=0.2"])
    ['SAM', 'MyOptimizer', 'NAdam lr=0.1', 'NAdam lr=0.2']
    """
    settings = [name.rpartition(":")[2] for name in algorithms]
    classes = [name.partition(" ")[0] if ":" in full else name for full, name in zip(algorithms, settings, strict=True)]
    return [name if classes.count(name) == 1 else full for name, full in zip(classes, settings, strict=True)]
