"""Which points lie within a circle? A task of my own, on fresh points."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from popview.common.seeds import generator
from popview.tasks.problem import SPLITS, Problem


def points(number, draws):
    inputs = 2 * torch.rand(number, 2, generator=draws) - 1
    return inputs, (inputs.norm(dim=1) < 0.8).long()


class Ring(Problem):
    population = False
    steps_per_epoch = 20

    def __init__(self, seed):
        self.seed = seed
        layers = nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2)
        self.network = nn.Sequential(*layers)
        self.parameters = list(self.network.parameters())
        self.splits = {n: points(500, generator(0, n)) for n in SPLITS}

    def minibatches(self, epoch):
        draws = generator(self.seed, f"order/{epoch}")
        yield from (points(50, draws) for _ in range(self.steps_per_epoch))

    def loss(self, minibatch):
        return cross_entropy(self.network(minibatch[0]), minibatch[1])

    def logits(self, split):
        return self.network(self.splits[split][0])[None]

    def score(self, split, logits):
        loss = cross_entropy(logits[0], self.splits[split][1])
        return loss[None], self.metric(split, logits)

    def probabilities(self, logits):
        return logits.softmax(-1)

    def metric(self, split, probabilities):
        right = probabilities.argmax(-1) == self.splits[split][1]
        return right.double().mean(-1)

    def sample_loss(self):
        return self.loss(self.splits["train"])

    def input_losses(self):
        inputs, y = self.splits["test"]
        net, each = self.network, {"reduction": "none"}
        return lambda x: cross_entropy(net(x), y, **each), inputs.clone()
