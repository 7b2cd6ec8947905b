"""The stack of fully connected layers that ends every network.

Source: the paper's supplement, G, Tables 7 and 8 ("FC" layers); dropout as in VGG, arXiv:1409.1556.
"""

from collections.abc import Sequence

from torch import nn


def fully_connected_head(widths: Sequence[int], *, batch_norm: bool = False, dropout_layers: int = 0) -> nn.Sequential:
    """Linear layers with a ReLU after each but the last.

    The last hidden ReLU stands directly before the last linear layer: its output is what detectors take as
    features, so neither dropout nor normalization may come between.

    Args:
        widths: size of the input, of each hidden layer, and of the output; `len(widths) - 1` linear layers.
        batch_norm: normalize each hidden layer before its ReLU.
        dropout_layers: how many of the first linear layers have half of their inputs dropped in training.

    Returns:
        (n, widths[0]) -> (n, widths[-1]); the last module is the last linear layer.
    """
    layers: list[nn.Module] = []
    for index in range(len(widths) - 2):
        if index < dropout_layers:
            layers.append(nn.Dropout(0.5))
        layers.append(nn.Linear(widths[index], widths[index + 1]))
        if batch_norm:
            layers.append(nn.BatchNorm1d(widths[index + 1]))
        layers.append(nn.ReLU())
    layers.append(nn.Linear(widths[-2], widths[-1]))
    return nn.Sequential(*layers)
