"""The regularizers, against the formulas of their sources worked out with other code."""

import copy

import pytest
import torch
from scipy import integrate
from scipy.stats import norm
from torch import Generator, Tensor, nn
from torch.distributions import Normal, kl_divergence

from attacks.errors import RequestError
from defenses.networks.discriminator import Discriminator
from defenses.networks.registry import build_discriminator
from defenses.priors import sample_prior
from defenses.training.regularizers import AdversarialRegularizer, KlRegularizer, Regularizer, make_regularizer

DIM, COUNT = 3, 40


@pytest.fixture
def embedding() -> Tensor:
    return 2 + 0.5 * torch.randn(COUNT, DIM, generator=Generator().manual_seed(0))


def _make(name: str, prior: str = "gaussian", learning_rate: float = 1e-3) -> tuple[Regularizer | None, Discriminator]:
    discriminator = build_discriminator(DIM, seed=0)
    generator = Generator().manual_seed(5)
    regularizer = make_regularizer(
        name, discriminator=discriminator, prior=prior, learning_rate=learning_rate, generator=generator
    )
    return regularizer, discriminator


@pytest.mark.parametrize("prior", ["gaussian", "uniform", "cauchy"])
def test_the_discriminators_loss_is_mean_of_prior_minus_mean_of_embedding(prior: str, embedding: Tensor) -> None:
    regularizer, discriminator = _make("adversarial", prior)
    before = copy.deepcopy(discriminator)
    loss = regularizer.learn(embedding)
    sample = sample_prior(prior, (COUNT, DIM), Generator().manual_seed(5))
    with torch.no_grad():
        expected = before(sample).mean() - before(embedding).mean()
    assert float(loss) == pytest.approx(float(expected), abs=1e-6)
    assert not loss.requires_grad


def _largest(network: nn.Module) -> float:
    return max(float(parameter.detach().abs().max()) for parameter in network.parameters())


def test_every_weight_is_clipped_after_every_step(embedding: Tensor) -> None:
    regularizer, discriminator = _make("adversarial", learning_rate=0.05)  # larger steps than the clip
    assert _largest(discriminator) > 0.03
    for _ in range(2):
        regularizer.learn(embedding)
        assert _largest(discriminator) == pytest.approx(0.01)


def test_learning_descends_the_loss_and_leaves_the_embedding_without_gradient(embedding: Tensor) -> None:
    regularizer, _ = _make("adversarial")
    embedding.requires_grad_()
    regularizer.learn(embedding)
    losses = [float(regularizer.learn(embedding)) for _ in range(25)]
    assert losses[-1] < losses[0] - 1e-8  # clipped weights keep it small
    assert embedding.grad is None


def test_the_penalty_is_mean_score_and_its_gradient_the_encoders_alone(embedding: Tensor) -> None:
    regularizer, discriminator = _make("adversarial")
    regularizer.learn(embedding)
    for parameter in discriminator.parameters():
        parameter.grad = None
    own = embedding.clone().requires_grad_()
    penalty = regularizer.penalty(own)
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(float(discriminator(embedding).detach().mean()), abs=1e-7)
    assert float(own.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    regularizer.learn(embedding)  # and it learns on afterwards
    assert all(parameter.grad is not None for parameter in discriminator.parameters())


def test_kl_equals_the_closed_form_of_torch_distributions(embedding: Tensor) -> None:
    mean, spread = embedding.mean(dim=0), embedding.std(dim=0, unbiased=False)
    expected = kl_divergence(Normal(mean, spread), Normal(0.0, 1.0)).sum()
    assert float(KlRegularizer().penalty(embedding)) == pytest.approx(float(expected), rel=1e-5)
    assert float(KlRegularizer().learn(embedding)) == 0


def test_kl_equals_numeric_integration() -> None:
    # mean 1 and standard deviation 2, by two points
    density, prior = norm(1, 2), norm(0, 1)
    value, _ = integrate.quad(lambda z: density.pdf(z) * (density.logpdf(z) - prior.logpdf(z)), -30, 30)
    assert float(KlRegularizer().penalty(torch.tensor([[-1.0], [3.0]]))) == pytest.approx(value, rel=1e-5)


def test_kl_is_zero_at_the_prior_and_finite_for_a_collapsed_embedding() -> None:
    assert float(KlRegularizer().penalty(torch.tensor([[-1.0], [1.0]]))) == pytest.approx(0, abs=1e-6)
    collapsed = torch.ones(5, 2, requires_grad=True)
    penalty = KlRegularizer().penalty(collapsed)
    penalty.backward()
    assert bool(torch.isfinite(penalty))
    assert bool(torch.isfinite(collapsed.grad).all())


@pytest.mark.parametrize("prior", ["uniform", "cauchy"])
def test_kl_knows_the_gaussian_only(prior: str) -> None:
    with pytest.raises(RequestError, match="gaussian only"):
        _make("kl", prior)


def test_names() -> None:
    assert isinstance(_make("adversarial")[0], AdversarialRegularizer)
    assert isinstance(_make("kl")[0], KlRegularizer)
    assert _make("none")[0] is None
    with pytest.raises(RequestError, match="did you mean 'adversarial'"):
        _make("adversarail")
