"""The colour of every algorithm, and the marks of kinds of minima: the same in every figure."""

import seaborn as sns

from popview.runs.own import is_own

_PALETTE = sns.color_palette("colorblind", 10).as_hex()

#: Algorithm → colour, the same in every chapter; the landscape names of SGD and its variants share theirs. An algorithm
#: without an entry gets one of `FURTHER`.
COLOURS = {
    "GD": _PALETTE[0],
    "SGD": _PALETTE[0],
    "NiG-GD": _PALETTE[2],
    "NiG-SGD": _PALETTE[2],
    "NiM-GD": _PALETTE[1],
    "NiM-SGD": _PALETTE[1],
    "SAM": _PALETTE[3],
    "NiG-BH": _PALETTE[9],
    "NiM-BH": _PALETTE[4],
    "NiG-MBH": _PALETTE[5],
    "NiM-MBH": _PALETTE[6],
    "AdamW": "#4c004c",  # the palette's yellow is not seen on white
    "SWA": "#333333",
    "SGLD": _PALETTE[7],
    "L-BFGS-GSS": "#b25947",
}

#: Colours for further algorithms. To an eye with all cones, and to one without the red, green or blue ones, each is at
#: least as far from every other colour here as the two closest of `COLOURS` are from each other.
FURTHER = ("#6929c4", "#7f3b08", "#332288", "#a56eff", "#570408", "#9f1853", "#004488", "#bbcc33")

MARKERS = {"global": "*", "local": "o"}


def colour(algorithm: str) -> str:
    """Return the colour of an algorithm; a reader's own has the first of `FURTHER`, and any other name is grey.

    Algorithms without an entry in `COLOURS` get those of `FURTHER` in the order of `ALGORITHMS`, which repeat only when
    all are taken.
    """
    if is_own(algorithm):
        return FURTHER[0]
    if algorithm in COLOURS:
        return COLOURS[algorithm]
    from popview.optimizers import ALGORITHMS  # which imports torch

    further = [name for name in ALGORITHMS if name not in COLOURS]
    return FURTHER[further.index(algorithm) % len(FURTHER)] if algorithm in further else "#777777"
