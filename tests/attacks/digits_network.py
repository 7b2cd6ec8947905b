"""A small network trained on scikit-learn's digits within a second, for comparisons with other implementations."""

import torch
from sklearn.datasets import load_digits
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

TRAINED_ON = 1000


def digits() -> tuple[Tensor, Tensor]:
    """All digits: (1797, 1, 8, 8) float32 in [0, 1], (1797,) int64."""
    pixels, labels = load_digits(return_X_y=True)
    return torch.tensor(pixels / 16, dtype=torch.float32).view(-1, 1, 8, 8), torch.tensor(labels)


def digits_network() -> nn.Sequential:
    """Two linear layers with a ReLU between, trained on the first 1,000 digits."""
    images, labels = digits()
    generator = Generator().manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.1, generator=generator)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(20):
        for batch in torch.randperm(TRAINED_ON, generator=generator).split(50):
            optimizer.zero_grad()
            cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
    return network.eval()


def recognized(network: nn.Sequential, count: int) -> tuple[Tensor, Tensor]:
    """The first digits that were not trained on and that the network recognizes, and their labels."""
    images, labels = (part[TRAINED_ON:] for part in digits())
    with torch.no_grad():
        right = network(images).argmax(dim=1) == labels
    return images[right][:count], labels[right][:count]
