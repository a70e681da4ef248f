"""An optimizer of my own: the sign of an average of gradients, in plain torch."""

import torch


class MyOptimizer(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, beta=0.9, decay=0.0):
        super().__init__(params, {"lr": lr, "beta": beta, "decay": decay})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                zero = torch.zeros_like(p)
                average = self.state[p].setdefault("average", zero)
                average.lerp_(p.grad, 1 - group["beta"])
                p.mul_(1 - group["lr"] * group["decay"])
                p.add_(average.sign(), alpha=-group["lr"])
        return loss
