"""What each task is, in one record a task, which all read that set it up, price, judge or show it. No torch here.

A new task on images or texts is one more record here and a table in a profile.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

ACCURACY, MACRO_F1 = "accuracy", "macro-F1"


@dataclass(frozen=True)
class Task:
    """A task, apart from the settings that a profile gives its model.

    Attributes
    ----------
    name, title : str
        As profiles and results name it, and as readers know it.
    kind : {"digits", "images", "texts"}
        The module of `popview.tasks` that sets it up.
    metric : str
        `ACCURACY`, or the macro-averaged F1.
    classes : int
    rest, test : int
        Examples that are not for testing, and those that are.
    data, config : str
        Hub name and configuration of the data set.
    label : tuple of str
        Names that the column of labels may have.
    multilabel : bool
        Whether an example may have several labels.
    augmented : bool
        Whether images are padded, cropped at random and flipped.
    shape : tuple of int
        Channels, height and width of an image.
    tokens : int
        Of a text: the mean in batches of like length, padding included, counted with the uncased vocabulary of BERT.
    train : int
        Training examples where a profile does not say.
    shown : bool
        Whether the book compares algorithms on it.
    checksums : mapping
        Decoded array → SHA-256, of those that the results of this project come from.

    Examples
    --------
    >>> from popview.tasks.catalogue import RECORDS
    >>> digits = RECORDS["digits"]
    >>> digits.title, digits.metric, digits.rest + digits.test
    ('Digits', 'accuracy', 1797)
    """

    name: str
    title: str
    kind: str
    metric: str
    classes: int
    rest: int
    test: int
    data: str = ""
    config: str = ""
    label: tuple[str, ...] = ("label",)
    multilabel: bool = False
    augmented: bool = True
    shape: tuple[int, int, int] = (3, 32, 32)
    tokens: int = 0
    train: int = 0
    shown: bool = True
    checksums: Mapping[str, str] = field(default_factory=dict)


_TASKS = (
    Task(  # scikit-learn's own
        "digits",
        "Digits",
        "digits",
        ACCURACY,
        classes=10,
        rest=1_200,
        test=597,
        augmented=False,
        shape=(1, 8, 8),
        train=1_000,
    ),
    Task(  # Krizhevsky 2009
        "cifar10",
        "CIFAR-10",
        "images",
        ACCURACY,
        classes=10,
        rest=50_000,
        test=10_000,
        data="uoft-cs/cifar10",
        config="plain_text",
        checksums={
            "train_images": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
            "train_labels": "f5cfe00b0f00968c0cc5ff3b1d2de51b10e33efa277c2986f4e0fa63e58c9f4f",
            "test_images": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
            "test_labels": "cbb7365de8ed11f05cc4c3a1e7f78144127c5e851efd83762fb18202461230bb",
        },
    ),
    Task(  # Krizhevsky 2009
        "cifar100",
        "CIFAR-100",
        "images",
        ACCURACY,
        classes=100,
        rest=50_000,
        test=10_000,
        data="uoft-cs/cifar100",
        config="cifar100",
        label=("fine_label",),
    ),
    Task(  # LeCun et al. 1998
        "mnist",
        "MNIST",
        "images",
        ACCURACY,
        classes=10,
        rest=60_000,
        test=10_000,
        data="ylecun/mnist",
        config="mnist",
        augmented=False,
        shape=(1, 28, 28),
        shown=False,
        checksums={
            "train_images": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            "train_labels": "e474323ac02fc156161b0bbb1f8c9cfeb327a74bcd9f9680a8385269a24f566c",
            "test_images": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            "test_labels": "2fd8de6bdb8d11780b4b96dc57847bcfe6953f7c32aa48bfcd8237c3b7847243",
        },
    ),
    Task(  # Demszky et al. 2020
        "goemotions",
        "GoEmotions",
        "texts",
        MACRO_F1,
        classes=28,
        rest=43_410 + 5_426,
        test=5_427,
        data="google-research-datasets/go_emotions",
        config="simplified",
        label=("label", "labels"),
        multilabel=True,
        tokens=20,
        checksums={
            "train_labels": "77155d4ceb4a6c63531a579ad3b854512112bfb1d7d31d078028d4ae318b7baa",
            "test_labels": "0bbcd5e64fae5e21a45d46d2635d762c6b043edd5b04df677f0e7bef94294352",
            "test_texts": "6bee3fbddc3634b15fe515589a1c16cbb4e68f40fa7be05285afb2ff4bc94a91",
        },
    ),
    Task(  # Barbieri et al. 2020; one of its tasks
        "tweeteval",
        "TweetEval",
        "texts",
        MACRO_F1,
        classes=4,
        rest=3_257 + 374,
        test=1_421,
        data="cardiffnlp/tweet_eval",
        config="emotion",
        label=("label", "labels"),
        tokens=26,
        checksums={
            "train_labels": "da5660cfc666a0227bc4674fa3624bfd8e355a82e66441d417df63c36e6d6856",
            "test_labels": "f61d0d642f2ce56be759dd886bc5a138963d26bc860648d7e069ec3b7ace8f37",
            "test_texts": "e3df20d162ce90e4a2d36947ac0b9716d46a59b5026b264f1afbeeae85e075ce",
        },
    ),
)

RECORDS = {task.name: task for task in _TASKS}

#: Those that the book compares algorithms on: the embedded task, then the paper's four.
SHOWN = tuple(task.name for task in _TASKS if task.shown)


def checksums(data: str, config: str) -> Mapping[str, str]:
    """Return what is known of the decoded arrays of a data set: array → SHA-256; nothing of an unknown one."""
    known = (task.checksums for task in RECORDS.values() if (task.data, task.config) == (data, config))
    return next(known, {})
