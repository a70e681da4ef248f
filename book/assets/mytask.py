"""Two interleaved half-moons: data sets and a network of my own."""

import torch
from sklearn.datasets import make_moons
from torch import nn
from torch.utils.data import TensorDataset

from popview.tasks.named import DatasetProblem


def half_moons(number):
    points, labels = make_moons(500, noise=0.2, random_state=number)
    return TensorDataset(torch.tensor(points), torch.tensor(labels))


def moons(seed):
    network = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    return DatasetProblem(network, half_moons(0), half_moons(1), seed)
