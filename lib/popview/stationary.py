"""Where an optimizer's restarts end on a landscape: `popview.landscapes.restarts` by its promised name."""

from popview.landscapes.restarts import Sample, hop_rates, sample, sample_each

__all__ = ["Sample", "hop_rates", "sample", "sample_each"]
