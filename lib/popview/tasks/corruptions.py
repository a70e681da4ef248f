"""C-lite: seeded corruptions of test images and texts, for a model's accuracy when its data shift.

Images: six of the 15 corruptions of CIFAR-10-C (Hendrycks & Dietterich 2019, arXiv 1903.12261), at the five severities
that its maker uses for CIFAR (hendrycks/robustness, make_cifar_c.py). Nine corruptions are missing, the noise is drawn
anew, and grey levels are rounded where the maker cuts them off: this is not CIFAR-10-C, must never be called so, and
its figures can't stand beside that benchmark's. Texts: two corruptions of our own, at probabilities of our own choice.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
import scipy
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from PIL import __version__ as pillow
from scipy.ndimage import correlate, gaussian_filter

from popview.common.errors import UsageError, check_name
from popview.common.seeds import stream

__all__ = [
    "IMAGE_CORRUPTIONS",
    "SEVERITIES",
    "STRENGTHS",
    "TEXT_CORRUPTIONS",
    "WHOLE_SEVERITIES",
    "corrupt_images",
    "corrupt_texts",
    "version",
]

Images = NDArray[np.uint8]

SEVERITIES = (1, 2, 3, 4, 5)

#: Those on a whole test split, where all five would take as long as a third of the training.
WHOLE_SEVERITIES = (1, 3, 5)

#: What each corruption is given at the five severities; its function says what it means. White is 1.
STRENGTHS: dict[str, tuple[Any, ...]] = {
    "noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1)),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "jpeg": (80, 65, 58, 50, 40),
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
    "characters": (0.02, 0.05, 0.10, 0.15, 0.20),
    "words": (0.05, 0.10, 0.20, 0.30, 0.40),
}

#: Raised when a corruption's arithmetic changes, so that what was kept of it is made anew.
REVISION = 1

#: What GoEmotions ([NAME], [RELIGION]) and TweetEval (@user) put in place of names.
PLACEHOLDER = re.compile(r"\[[A-Z]+\]|@user\b")


def noise(images: Images, deviation: float, generator: Generator) -> Images:
    """Add normal noise of this standard deviation, independent for every pixel and channel."""
    return _grey_levels(images + 255 * deviation * generator.standard_normal(images.shape, dtype=np.float32))


def blur(images: Images, disk: tuple[float, float], generator: Generator) -> Images:
    """Average over a disk (radius; below 1 pixel its centre) smoothed by a 3 × 3 Gaussian; borders are mirrored."""
    radius, deviation = disk
    reach = int(radius) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = (x**2 + y**2 <= radius**2).astype(float)
    kernel = gaussian_filter(inside / inside.sum(), deviation, radius=1, mode="constant")
    return _grey_levels(correlate(images.astype(np.float32), kernel[None, :, :, None], mode="mirror"))


def contrast(images: Images, factor: float, generator: Generator) -> Images:
    """Shrink the distance from the image's mean, taken for each channel, by this factor."""
    mean = images.mean(axis=(1, 2), keepdims=True).astype(np.float32)
    return _grey_levels(mean + factor * (images - mean))


def brightness(images: Images, increase: float, generator: Generator) -> Images:
    """Raise V of HSV, the largest channel, by this much, up to white; hue and saturation stay."""
    value = images.max(axis=3, keepdims=True).astype(np.float32)
    raised = np.minimum(value + 255 * increase, 255)
    return _grey_levels(np.where(value > 0, images * (raised / np.maximum(value, 1)), raised))


def jpeg(images: Images, quality: int, generator: Generator) -> Images:
    """Save and load as JPEG of this quality; to the last bit, a matter of the JPEG library in the installed Pillow."""

    def round_trip(image: Image.Image) -> Image.Image:
        file = BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _by_pillow(images, round_trip)


def pixelate(images: Images, factor: float, generator: Generator) -> Images:
    """Shrink both sides by this factor, down to whole pixels, and enlarge again, both by Pillow's box filter."""

    def shrink(image: Image.Image) -> Image.Image:
        small = max(1, int(image.width * factor)), max(1, int(image.height * factor))
        return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX)

    return _by_pillow(images, shrink)


#: Images, the strength, and a generator (only noise draws from it) in; images out.
IMAGE_CORRUPTIONS: dict[str, Callable[[Images, Any, Generator], Images]] = {
    function.__name__: function for function in (noise, blur, contrast, brightness, jpeg, pixelate)
}
TEXT_CORRUPTIONS = ("characters", "words")


def version() -> str:
    """Return a name for what corruptions do: a digest of `REVISION`, `STRENGTHS`, Pillow's and SciPy's version.

    Examples
    --------
    >>> from popview.tasks.corruptions import version
    >>> len(version())
    12
    """
    known = [REVISION, STRENGTHS, pillow, scipy.__version__]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]


def corrupt_images(images: Images, name: str, severity: int, seed: int) -> Images:
    """Return the images, uint8 of shape ``(n, height, width, 1 or 3)``, under one corruption of `IMAGE_CORRUPTIONS`.

    Noise alone is random: what image i gets depends on the seed, the severity, i, and the images' height, width and
    channels; not on n, nor on what is in the images. Severities are meant for CIFAR's 32 × 32 pixels.

    Raises
    ------
    UsageError
        If the name or severity is unknown, or `images` is of another type or shape.

    Examples
    --------
    Contrast at severity 2 halves the distance from each image's mean, here 100:

    >>> import numpy as np
    >>> from popview.tasks.corruptions import corrupt_images
    >>> images = np.array([0, 200], dtype=np.uint8).reshape(1, 1, 2, 1)
    >>> corrupt_images(images, "contrast", severity=2, seed=0).ravel()
    array([ 50, 150], dtype=uint8)

    The accuracy of a reader's own model when contrast falls. This one says whether an image has a pixel above 150:

    >>> images, labels = np.array([[0, 200], [100, 0]], dtype=np.uint8).reshape(2, 1, 2, 1), np.array([True, False])
    >>> for severity in (1, 5):
    ...     corrupted = corrupt_images(images, "contrast", severity, seed=0)
    ...     print(severity, ((corrupted.max(axis=(1, 2, 3)) > 150) == labels).mean())
    1 1.0
    5 0.5
    """
    strength = _strength("image corruption", name, IMAGE_CORRUPTIONS, severity)
    shape = images.shape if isinstance(images, np.ndarray) and images.dtype == np.uint8 else ()
    if len(shape) != 4 or shape[3] not in (1, 3) or 0 in shape[1:]:
        got = f"{images.dtype} of shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise UsageError(f"images must be a uint8 array of shape (n, height, width, 1 or 3), got {got}")
    return IMAGE_CORRUPTIONS[name](images, strength, np.random.default_rng(stream(seed, f"{name}/{int(severity)}")))


def corrupt_texts(texts: Sequence[str], name: str, severity: int, seed: int) -> list[str]:
    """Return the texts with letters mistyped ("characters") or words dropped ("words"), placeholders left alone.

    What text i gets depends on the seed, the corruption, the severity, i and text i; on no other text. Placeholders are
    ``@user`` and capitals in brackets such as ``[NAME]``; a word that holds one is never dropped.

    "characters": each letter of any script is hit with the probability in `STRENGTHS`; with equal chances it is
    replaced (by one of its case within its 32 code points: a–z for a–z), deleted, doubled, or swapped with the next
    letter, at a word's end the previous one (doubled if it has neither), from left to right. Digits, signs, emoji and
    combining marks are never hit. A text of few letters may lose them all.

    "words": each stretch without white space is dropped with the probability in `STRENGTHS`; if all would go, one
    stays. So one word, or Chinese without spaces, is unchanged. Where any is dropped, single spaces join the rest.

    Raises
    ------
    UsageError
        If the name or severity is unknown, `texts` is a single string, or an entry is none.

    Examples
    --------
    The same seed corrupts a text in the same way, whatever texts come after it:

    >>> from popview.tasks.corruptions import corrupt_texts
    >>> alone = corrupt_texts(["thanks for the reply @user"], "words", severity=5, seed=0)
    >>> corrupt_texts(["thanks for the reply @user", "another"], "words", severity=5, seed=0)[0] == alone[0]
    True
    >>> "@user" in alone[0]
    True
    """
    probability = _strength("text corruption", name, TEXT_CORRUPTIONS, severity)
    others = [f"{type(t).__name__} at position {i}" for i, t in enumerate(texts) if not isinstance(t, str)]
    if isinstance(texts, str) or others:
        raise UsageError(f"texts must be a sequence of str, got {others[0] if others else 'a single str'}")
    edit = _mistype if name == "characters" else _drop_words
    streams = (stream(seed, f"{name}/{int(severity)}/{i}") for i in range(len(texts)))
    return [edit(text, probability, np.random.default_rng(s)) for text, s in zip(texts, streams, strict=True)]


def _grey_levels(images: NDArray[Any]) -> Images:
    """Round, in the array that is given."""
    return np.clip(np.rint(images, out=images), 0, 255, out=images).astype(np.uint8)


def _by_pillow(images: Images, edit: Callable[[Image.Image], Image.Image]) -> Images:
    pictures = [Image.fromarray(image if image.shape[2] == 3 else image[:, :, 0]) for image in images]
    return np.array([np.asarray(edit(picture)) for picture in pictures], np.uint8).reshape(images.shape)


def _mistype(text: str, probability: float, generator: Generator) -> str:
    kept = {i for match in PLACEHOLDER.finditer(text) for i in range(*match.span())}
    letters = [i for i, character in enumerate(text) if character.isalpha() and i not in kept]
    hits = generator.random(len(letters)) < probability
    edits = generator.integers(4, size=len(letters))
    pieces, editable = list(text), set(letters)
    for i, edit in ((letters[k], edits[k]) for k in np.flatnonzero(hits)):
        neighbour = i + 1 if i + 1 in editable else i - 1
        if edit == 0:
            others = _others(pieces[i])
            pieces[i] = others[generator.integers(len(others))]
        elif edit == 1:
            pieces[i] = ""
        elif edit == 2 or neighbour not in editable:
            pieces[i] *= 2
        else:
            pieces[i], pieces[neighbour] = pieces[neighbour], pieces[i]
    return "".join(pieces)


@lru_cache(maxsize=4096)
def _others(letter: str) -> list[str]:
    """Return the letters that may replace this one: itself where it is alone among its 32 code points."""
    stretch = map(chr, range(ord(letter) & ~31, (ord(letter) | 31) + 1))
    return [c for c in stretch if c != letter and c.isalpha() and c.isupper() == letter.isupper()] or [letter]


def _drop_words(text: str, probability: float, generator: Generator) -> str:
    words = text.split()
    droppable = np.array([i for i, word in enumerate(words) if not PLACEHOLDER.search(word)], dtype=int)
    drawn = generator.random(len(droppable))
    hits = drawn < probability
    if hits.size and hits.all():
        hits[drawn.argmax()] = False
    dropped = set(droppable[hits])
    return " ".join(word for i, word in enumerate(words) if i not in dropped) if dropped else text


def _strength(kind: str, name: str, known: Collection[str], severity: int) -> Any:
    check_name(kind, name, known)
    if severity not in SEVERITIES:
        raise UsageError(f"severity must be one of {', '.join(map(str, SEVERITIES))}; got {severity!r}")
    return STRENGTHS[name][SEVERITIES.index(severity)]
