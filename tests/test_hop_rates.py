"""How often hops are accepted, and go uphill, under each accept rule (the rates behind chapter 2)."""

import pytest

from popview.landscapes.restarts import hop_rates


class TestHopRates:
    def test_classical_never_goes_uphill(self):
        rates = hop_rates("six-hump-camel", "classical", 1.0, restarts=100, hops=10)
        assert rates["uphill"] == 0
        assert 0 < rates["accepted"] < 0.5
        assert rates["hops"] == 1000

    def test_printed_accepts_all_and_goes_uphill(self):
        rates = hop_rates("six-hump-camel", "printed", 1.0, restarts=100, hops=10)
        assert rates["accepted"] > 0.99
        assert rates["uphill"] > 0.1

    def test_always_and_printed_are_the_same_walk_where_every_hop_is_accepted(self):
        printed, always = (hop_rates("six-hump-camel", a, 0.5, restarts=50, hops=5) for a in ("printed", "always"))
        assert printed["accepted"] == always["accepted"] == 1
        assert printed["uphill"] == pytest.approx(always["uphill"])
