"""The discriminator that tells samples of the prior from embeddings; one architecture for every dataset.

Sources: the paper's supplement, G ("four fully connected layers"); the training code of the paper's first
author, which has four hidden layers, then one output and a log-sigmoid.
"""

from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from defenses.networks.heads import fully_connected_head

_HIDDEN = 512


class Discriminator(nn.Module):
    """Four hidden linear layers of width 512 with ReLU, then one output.

    Args:
        embedding_dim: size of the embedding and of a sample of the prior.
    """

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.layers = fully_connected_head([embedding_dim, _HIDDEN, _HIDDEN, _HIDDEN, _HIDDEN, 1])

    def forward(self, points: Tensor) -> Tensor:
        """Embeddings or prior samples (n, embedding_dim) float32 -> log-probabilities (n,) float32, <= 0."""
        scores: Tensor = self.layers(points)  # (n, 1)
        return logsigmoid(scores.squeeze(1))
