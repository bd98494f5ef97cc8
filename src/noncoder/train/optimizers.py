"""An optimiser that torch does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor


class KerasRMSprop(torch.optim.Optimizer):
    """RMSprop as Keras had it up to version 1.0.0, with epsilon inside the square root.

    p -= lr * g / sqrt(mean + eps), where mean is the running mean of g**2 (keras/optimizers.py at the tag 0.2.0).
    torch.optim.RMSprop divides by sqrt(mean) + eps. That is another method where gradients are small against sqrt(eps),
    0.001 for DanQ, as those of a cross-entropy averaged over 919 tasks are: torch's moves every weight by about lr,
    this one by lr times g over sqrt(eps).

    Args:
        params: The parameters, or groups of them.
        lr: The learning rate.
        rho: What the running mean keeps a step.
        eps: Added to the running mean.
        weight_decay: This times each parameter is added to its gradient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Moves the parameters that have a gradient.

        Args:
            closure: Computes the gradients and returns the loss.

        Returns:
            What the closure returns.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._move(group)
        return loss

    def _move(self, group: dict[str, Any]) -> None:
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return
        # All tensors of a group at once: on a GPU one kernel in place of hundreds.
        grads = [cast(Tensor, p.grad) for p in params]
        if group["weight_decay"]:
            grads = list(torch._foreach_add(grads, params, alpha=group["weight_decay"]))
        means = [self._mean(p) for p in params]
        torch._foreach_mul_(means, group["rho"])
        torch._foreach_addcmul_(means, grads, grads, value=1 - group["rho"])
        roots = torch._foreach_add(means, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(params, grads, roots, value=-group["lr"])

    def _mean(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "mean" not in state:
            state["mean"] = torch.zeros_like(parameter)
        return cast(Tensor, state["mean"])
