"""The names under which readers know tasks, and how a setting is named in a sentence."""

from popview.tasks.catalogue import RECORDS

__all__ = ["task_title", "with_variant"]


def task_title(task: str) -> str:
    """Return the name under which readers know a task: "CIFAR-10" for "cifar10"; another name as it is."""
    return RECORDS[task].title if task in RECORDS else task


def with_variant(task: str, variant: str) -> str:
    """Name a task and variant in a sentence, "Digits (base)"; or what has no variants, such as a network."""
    return f"{task_title(task)} ({variant})" if variant else task_title(task)
