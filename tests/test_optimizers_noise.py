"""The noise vectors ζ at radius 1: their distributions, per model and per layer."""

import helpers
import pytest
import torch
from scipy import stats

from popview.optimizers import make
from popview.optimizers.noise import NOISES, make_noise
from popview.optimizers.tensors import norm

MEMBERS = 4000
SHAPES = {"one tensor": [(5,)], "three tensors": [(2,), (2, 3), ()], "one dimension": [()]}
ALPHA = 1e-4


def draw(name: str, shapes: list[tuple[int, ...]], scope: str = "model", seed: int = 0) -> list[torch.Tensor]:
    models = [torch.zeros(MEMBERS, *s, dtype=torch.float64) for s in shapes]
    zeta = make_noise(name, scope)(models, torch.Generator().manual_seed(seed))
    assert [z.shape for z in zeta] == [t.shape for t in models]
    return zeta


def rows(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([t.reshape(MEMBERS, -1) for t in tensors], dim=1)


def is_uniform_in_the_ball(points: torch.Tensor) -> bool:
    """Radius^d uniform on [0, 1]: no more points near the centre than its volume has."""
    radius = points.norm(dim=1)
    return radius.max() <= 1 and stats.kstest((radius ** points.shape[1]).numpy(), "uniform").pvalue > ALPHA


def has_no_preferred_direction(points: torch.Tensor) -> bool:
    """Squared cosine with each of several fixed directions: Beta(1/2, (d − 1)/2); signs even."""
    d = points.shape[1]
    directions = torch.cat([torch.eye(d), torch.randn(6, d, generator=torch.Generator().manual_seed(7))]).double()
    directions /= directions.norm(dim=1, keepdim=True)
    cosine = (points / points.norm(dim=1, keepdim=True)) @ directions.T
    even = all(stats.binomtest(int(n), len(points)).pvalue > ALPHA for n in (cosine > 0).sum(0))
    if d == 1:
        return even
    return even and all(
        stats.kstest(c.square().numpy(), stats.beta(0.5, (d - 1) / 2).cdf).pvalue > ALPHA for c in cosine.T
    )


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
class Test_PerModel:
    def test_ball(self, shapes):
        points = rows(draw("ball", shapes))
        assert is_uniform_in_the_ball(points)
        assert has_no_preferred_direction(points)

    def test_sphere(self, shapes):
        points = rows(draw("sphere", shapes))
        torch.testing.assert_close(points.norm(dim=1), torch.ones(MEMBERS).double())
        assert has_no_preferred_direction(points)

    def test_gaussian_has_unit_mean_square_norm(self, shapes):
        points = rows(draw("gaussian", shapes))
        d = points.shape[1]
        assert stats.kstest((points * d**0.5).flatten().numpy(), "norm").pvalue > ALPHA
        low, high = stats.chi2.ppf([ALPHA, 1 - ALPHA], MEMBERS * d) / d
        assert low < points.square().sum() < high

    @pytest.mark.parametrize("name", NOISES)
    def test_members_differ_and_so_do_successive_draws(self, name, shapes):
        points = rows(draw(name, shapes))
        assert len(points.unique(dim=0)) == MEMBERS or (points.shape[1] == 1 and name == "sphere")
        assert torch.equal(points, rows(draw(name, shapes)))
        assert not torch.equal(points, rows(draw(name, shapes, seed=1)))


class Test_PerLayer:
    SHAPES = ((2,), (2, 3), (4,))

    @pytest.mark.parametrize("name", NOISES)
    def test_each_tensor_has_a_draw_of_its_own(self, name):
        for t in draw(name, self.SHAPES, scope="layer"):
            points = rows([t])
            if name == "ball":
                assert is_uniform_in_the_ball(points)
            elif name == "sphere":
                torch.testing.assert_close(points.norm(dim=1), torch.ones(MEMBERS).double())
            else:
                assert stats.kstest((points * points.shape[1] ** 0.5).flatten().numpy(), "norm").pvalue > ALPHA
            assert has_no_preferred_direction(points)

    def test_radii_are_independent(self):
        radii = [rows([t]).norm(dim=1) for t in draw("ball", self.SHAPES, scope="layer")]
        assert abs(torch.corrcoef(torch.stack(radii))[0, 1]) < 4 / MEMBERS**0.5

    def test_reaches_the_optimizers(self):
        params = [helpers.point(torch.zeros(3)), helpers.point(torch.zeros(2, 2))]
        optimizer = make("NiG-SGD", params, lr=1.0, rho=0.5, noise="sphere", scope="layer")

        closure = helpers.closure_on(optimizer, lambda: sum((0 * p).sum() for p in params))

        optimizer.step(closure)
        assert [p.detach().norm().item() for p in params] == pytest.approx([0.5, 0.5])


class Test_Norm:
    """`tensors.norm`, on which thresholds, ascents and noise rest."""

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    @pytest.mark.parametrize("shapes", [[(2,)], [(2,)] * 7, [(5,)] * 64, [(3, 4), (), (300,)] * 9], ids=len)
    def test_is_every_members_own_bit_for_bit(self, shapes, dtype):
        generator = torch.Generator().manual_seed(1)
        models = [torch.randn(37, *s, generator=generator, dtype=dtype) for s in shapes]
        together = norm(models)
        alone = torch.cat([norm([t[i : i + 1].clone() for t in models]) for i in range(37)])
        assert torch.equal(together, alone)
        flat = torch.cat([t.reshape(37, -1) for t in models], dim=1)
        torch.testing.assert_close(together, flat.square().sum(1).sqrt())


class Test_ManyDimensions:
    def test_three_readings_hardly_differ(self):
        """In a million dimensions the norm of each is 1 to three digits (paper-facts, 1.3 b)."""
        models = [torch.zeros(1, 1000, 500), torch.zeros(1, 500_000)]
        for name in NOISES:
            zeta = make_noise(name, "model")(models, torch.Generator().manual_seed(0))
            assert norm(zeta).item() == pytest.approx(1, abs=4e-3)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
    def test_dtype_is_the_models(self, dtype):
        models = [torch.zeros(3, 4, dtype=dtype)]
        for name in NOISES:
            (zeta,) = make_noise(name, "model")(models, torch.Generator())
            assert zeta.dtype is dtype
            assert torch.isfinite(zeta).all()
