"""Two interleaved half-moons, from data sets and a network of my own."""

import torch
from sklearn.datasets import make_moons
from torch import nn
from torch.utils.data import TensorDataset

from popview.tasks.named import DatasetProblem


def moons(seed):
    train, test = (
        TensorDataset(torch.tensor(points), torch.tensor(labels))
        for points, labels in (make_moons(500, noise=0.2, random_state=number) for number in (0, 1))
    )
    network = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    return DatasetProblem(network, train, test, seed, batch_size=50)
