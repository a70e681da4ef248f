"""The networks of the image tasks: He et al.'s CIFAR ResNets, ResNet-50 with a CIFAR stem, LeNet and a perceptron."""

import re
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad, relu

from popview.common.errors import UsageError


def make_network(
    name: str,
    shape: tuple[int, int, int],
    classes: int,
    width: int = 16,
    *,
    batch_norm: bool = True,
    dropout: float = 0.0,
) -> nn.Module:
    """Return a freshly initialised network, its random numbers from torch's global generator.

    Parameters
    ----------
    name : str
        "resnet-50" (torchvision's, the stem a 3×3 convolution of stride 1 without pooling, as usual on 32×32 images),
        "resnet-<6n+2>" for any other depth (He et al. 2016, section 4.2), "lenet" or "perceptron" (seed 002's nets for
        MNIST).
    shape : tuple
        Channels, height and width of an image.
    classes : int
    width : int
        Channels of the first stage of a 6n+2 ResNet.
    batch_norm : bool
        Whether a 6n+2 ResNet has BatchNorm. Without it its convolutions have biases instead, and nothing is normalised.
    dropout : float
        Share of the features before a 6n+2 ResNet's dense layer that is switched off in training.

    Raises
    ------
    UsageError
        If the name is unknown, or another network is to have dropout or no BatchNorm.
    """
    channels, height, breadth = shape
    depth = re.fullmatch(r"resnet-(\d+)", name)
    if depth and name != "resnet-50" and int(depth[1]) >= 8 and (int(depth[1]) - 2) % 6 == 0:
        return CifarResNet((int(depth[1]) - 2) // 6, channels, classes, width, batch_norm, dropout)
    if not batch_norm or dropout:
        raise UsageError(
            f"batch_norm = false and dropout are settings of a resnet-<6n+2> (8, 14, 20, …), not of {name!r}"
        )
    if name == "resnet-50":
        return _resnet_50(channels, classes)
    if name == "lenet":
        return _lenet(shape, classes)
    if name == "perceptron":
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * height * breadth, 50, bias=False),
            nn.ReLU(),
            nn.Linear(50, 50, bias=False),
            nn.ReLU(),
            nn.Linear(50, classes, bias=False),
        )
    raise UsageError(f"unknown network {name!r}: known: resnet-50, resnet-<6n+2> (8, 14, 20, …), lenet, perceptron")


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut without parameters (option A: strided, padded by zeros).

    Examples
    --------
    >>> import torch
    >>> from popview.tasks.networks import Block
    >>> Block(16, 32, stride=2)(torch.zeros(1, 16, 8, 8)).shape
    torch.Size([1, 32, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int, stride: int, batch_norm: bool = True) -> None:
        super().__init__()
        self.first, self.first_norm = _convolution(inputs, outputs, stride, batch_norm)
        self.second, self.second_norm = _convolution(outputs, outputs, 1, batch_norm)
        self.stride, self.added = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output for images ``(n, inputs, height, width)``."""
        shortcut = x
        if self.stride > 1 or self.added:
            before = self.added // 2
            strided = avg_pool2d(x, 1, self.stride)  # as x[:, :, ::stride, ::stride]; gradients stay channels last
            shortcut = pad(strided, (0, 0, 0, 0, before, self.added - before))
        x = relu(self.first_norm(self.first(x)), inplace=True)
        return relu(self.second_norm(self.second(x)).add_(shortcut), inplace=True)


class CifarResNet(nn.Module):
    """The 6n+2 layers of He et al. 2016, section 4.2: three stages of n blocks, `width`, 2 and 4 times `width` wide.

    Examples
    --------
    ResNet-8: a convolution, three stages of one block of two, and a dense layer.

    >>> import torch
    >>> from popview.tasks.networks import CifarResNet
    >>> network = CifarResNet(blocks=1, channels=3, classes=10, width=16)
    >>> sum(isinstance(m, (torch.nn.Conv2d, torch.nn.Linear)) for m in network.modules())
    8
    >>> network(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self, blocks: int, channels: int, classes: int, width: int, batch_norm: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.stem, self.stem_norm = _convolution(channels, width, 1, batch_norm)
        widths = [width] + [width * 2**stage for stage in range(3) for _ in range(blocks)]
        strides = [2 if block == 0 and stage else 1 for stage in range(3) for block in range(blocks)]
        self.blocks = nn.Sequential(*map(partial(Block, batch_norm=batch_norm), widths[:-1], widths[1:], strides))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(n, classes)`` for images ``(n, channels, height, width)``."""
        x = self.blocks(relu(self.stem_norm(self.stem(x)), inplace=True))
        return self.head(self.dropout(avg_pool2d(x, x.shape[2:]).flatten(1)))  # mean whose gradients stay channels last


def _convolution(inputs: int, outputs: int, stride: int, batch_norm: bool) -> tuple[nn.Conv2d, nn.Module]:
    """Return a 3×3 convolution and what follows: BatchNorm, or nothing where it has a bias, which starts at zero."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=not batch_norm)
    if convolution.bias is None:
        return convolution, nn.BatchNorm2d(outputs)
    nn.init.zeros_(convolution.bias)
    return convolution, nn.Identity()


def _resnet_50(channels: int, classes: int) -> nn.Module:
    from torchvision.models import resnet50  # takes seconds to import

    network = resnet50(num_classes=classes)
    network.conv1 = nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network


def _lenet(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """LeNet-5 with ReLU and maximum pooling: 61,706 parameters on 28×28 images."""
    channels, height, breadth = shape
    convolutions = nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
    )
    with torch.no_grad():
        features = convolutions(torch.zeros(1, channels, height, breadth)).shape[1]
    dense = [nn.Linear(features, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes)]
    return nn.Sequential(*convolutions, *dense)
