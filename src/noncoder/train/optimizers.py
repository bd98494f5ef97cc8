"""Optimisers that torch does not provide."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.adamw import adamw

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class _ByGroup(torch.optim.Optimizer):
    """Optimiser that updates all parameters of a group at once: one kernel on a GPU instead of hundreds."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Updates the parameters that have a gradient.

        Args:
            closure: Computes the gradients and returns the loss.

        Returns:
            The loss that the closure returns; None without a closure.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Updates parameters, all of which have a gradient, with the settings of their group."""
        raise NotImplementedError

    def _state_of(self, parameter: Tensor, name: str) -> Tensor:
        """Returns a parameter's state of a given name, initially zeros."""
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        return cast(Tensor, state[name])


class KerasRMSprop(_ByGroup):
    """RMSprop as in Keras up to version 1.0.0, with epsilon inside the square root.

    p -= lr * g / sqrt(mean + eps), where mean is the running mean of g**2 (keras/optimizers.py at the tag 0.2.0).
    torch.optim.RMSprop divides by sqrt(mean) + eps. The two differ if gradients are small against sqrt(eps), 0.001 for
    DanQ, as gradients of a cross-entropy averaged over 919 tasks are: torch's optimiser moves every weight by about lr,
    this one by lr * g / sqrt(eps).

    Args:
        params: The parameters, or groups of them.
        lr: The learning rate.
        rho: Decay rate per step of the running mean.
        eps: Added to the running mean.
        weight_decay: Factor for each parameter when it is added to its gradient.
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

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        grads = [cast(Tensor, p.grad) for p in params]
        if group["weight_decay"]:
            grads = list(torch._foreach_add(grads, params, alpha=group["weight_decay"]))
        means = [self._state_of(p, "mean") for p in params]
        torch._foreach_mul_(means, group["rho"])
        torch._foreach_addcmul_(means, grads, grads, value=1 - group["rho"])
        roots = torch._foreach_add(means, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(params, grads, roots, value=-group["lr"])


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Returns approximately the nearest orthogonal matrices: singular vectors stay, singular values become 0.7 to 1.2.

    Five steps of a Newton-Schulz iteration of degree five (Jordan 2024, kellerjordan.github.io/posts/muon), whose
    coefficients trade accuracy for speed; singular values below a thousandth of the matrix's norm stay smaller. Runs
    in bfloat16 on a GPU, for which it was designed, and in float32 elsewhere.

    Args:
        matrices: (n, rows, columns); fastest with no more rows than columns.
        steps: Number of iterations.
    """
    x = matrices.to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    # For wide matrices, the iteration runs on the small products x @ x.mT and multiplies x once at the end. This takes
    # a fifth of the work, but more digits than bfloat16 has.
    wide = not x.is_cuda and x.shape[-1] > 2 * x.shape[-2]
    done = _multiplier(x @ x.mT, steps) @ x if wide else _iterated(x, steps)
    return done.to(matrices.dtype)


def _iterated(x: Tensor, steps: int) -> Tensor:
    a, b, c = _NEWTON_SCHULZ
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _multiplier(gram: Tensor, steps: int) -> Tensor:
    """Returns the matrices by which the iteration multiplies x, from the products x @ x.mT, (n, rows, rows)."""
    a, b, c = _NEWTON_SCHULZ
    unit = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device).expand_as(gram)
    product = unit
    for _ in range(steps):
        one = a * unit + torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        product, gram = one @ product, one @ gram @ one  # polynomials of the same matrix commute
    return product


class Muon(_ByGroup):
    """Muon for the hidden matrices and kernels, AdamW for all other parameters.

    A matrix is updated by its orthogonalised momentum, so that all its directions learn at the same rate (Jordan 2024).
    The update is scaled to the size of AdamW's updates, 0.2 * sqrt(max(rows, columns)) times the learning rate, so that
    one learning rate and one decay suit both (Liu et al. 2025, arXiv:2502.16982). A kernel (out, in, ...) is treated as
    the matrix (out, in * ...).

    Args:
        params: Groups of parameters; Muon updates the groups with `orthogonal=True`, whose parameters have two or more
            dimensions.
        lr: The learning rate.
        momentum: Decay rate per step of the running mean of a hidden matrix's gradients.
        betas: Decay rates per step of AdamW's running means of the gradient and of its square.
        eps: Added to the root of AdamW's mean square.
        weight_decay: Fraction, times the learning rate, by which weights shrink per step, decoupled from the gradient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"orthogonal": False})
        for group in self.param_groups:
            # torch reads this key too: it then restores the step counts on the device where a fused step needs them.
            group["fused"] = all(p.device.type in ("cpu", "cuda") for p in group["params"])

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        if group["orthogonal"]:
            self._update_orthogonally(params, group)
        else:
            self._update_as_adamw(params, group)

    def _update_orthogonally(self, params: list[Tensor], group: dict[str, Any]) -> None:
        grads = [cast(Tensor, p.grad) for p in params]
        running = [self._state_of(p, "momentum") for p in params]
        torch._foreach_lerp_(running, grads, 1 - group["momentum"])
        ahead = torch._foreach_lerp(grads, running, group["momentum"])  # Nesterov momentum
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        # Matrices of the same shape, as in repeated blocks, are orthogonalised together.
        shapes: dict[tuple[int, ...], list[int]] = {}
        for i, moved in enumerate(ahead):
            shapes.setdefault(tuple(sorted(moved.flatten(1).shape)), []).append(i)
        for (_, longest), chosen in shapes.items():
            flat = [ahead[i].flatten(1) for i in chosen]
            upright = [matrix.shape[0] > matrix.shape[1] for matrix in flat]
            done = orthogonalise(torch.stack([m.mT if tall else m for m, tall in zip(flat, upright, strict=True)]))
            steps = [m.mT if tall else m for m, tall in zip(done.unbind(), upright, strict=True)]
            scale = -group["lr"] * 0.2 * longest**0.5
            moving = [params[i] for i in chosen]
            shaped = [step.reshape(p.shape) for step, p in zip(steps, moving, strict=True)]
            torch._foreach_add_(moving, shaped, alpha=scale)

    def _update_as_adamw(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            self.state[p].setdefault("step", torch.zeros((), dtype=torch.float32, device=p.device))
        adamw(
            params,
            [cast(Tensor, p.grad) for p in params],
            [self._state_of(p, "mean") for p in params],
            [self._state_of(p, "mean_square") for p in params],
            [],
            [self.state[p]["step"] for p in params],
            fused=group["fused"],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )
