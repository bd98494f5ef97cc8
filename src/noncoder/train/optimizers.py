"""Optimisers that torch does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.adamw import adamw

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class _ByGroup(torch.optim.Optimizer):
    """An optimiser that moves the parameters of a group at once: on a GPU one kernel in place of hundreds."""

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
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._move(params, group)
        return loss

    def _move(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Moves parameters, each of which has a gradient, by the settings of their group."""
        raise NotImplementedError

    def _kept(self, parameter: Tensor, name: str) -> Tensor:
        """What is kept of a parameter under a name, from zeros on."""
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        return cast(Tensor, state[name])


class KerasRMSprop(_ByGroup):
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

    def _move(self, params: list[Tensor], group: dict[str, Any]) -> None:
        grads = [cast(Tensor, p.grad) for p in params]
        if group["weight_decay"]:
            grads = list(torch._foreach_add(grads, params, alpha=group["weight_decay"]))
        means = [self._kept(p, "mean") for p in params]
        torch._foreach_mul_(means, group["rho"])
        torch._foreach_addcmul_(means, grads, grads, value=1 - group["rho"])
        roots = torch._foreach_add(means, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(params, grads, roots, value=-group["lr"])


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """The nearest orthogonal matrices, roughly: the singular vectors stay, each singular value comes to 0.7 to 1.2.

    Five steps of a Newton-Schulz iteration of degree five (Jordan 2024, kellerjordan.github.io/posts/muon), whose
    coefficients trade exactness for speed; singular values below a thousandth of the matrix's norm stay smaller. On a
    GPU in bfloat16, for which it was made.

    Args:
        matrices: (n, rows, columns), with no more rows than columns for the least work.
        steps: Steps of the iteration.
    """
    x = matrices.to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    # Wide matrices in float32: what the iteration multiplies them with is found from their products, and they are
    # multiplied once. It takes a fifth of the work, and more digits than bfloat16 has.
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
    """What the iteration multiplies matrices with, of their products with their transposes (n, rows, rows)."""
    a, b, c = _NEWTON_SCHULZ
    unit = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device).expand_as(gram)
    whole = unit
    for _ in range(steps):
        one = a * unit + torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        whole, gram = one @ whole, one @ gram @ one  # polynomials of one matrix: their order does not matter
    return whole


class Muon(_ByGroup):
    """Muon for the hidden matrices and kernels, AdamW for all else.

    A matrix moves along its orthogonalised momentum, so that every direction of it learns at the same pace (Jordan
    2024). The step is scaled to the size that AdamW's have, 0.2 * sqrt(max(rows, columns)) times the learning rate, so
    that one rate and one decay serve both (Liu et al. 2025, arXiv:2502.16982). A kernel (out, in, ...) is taken as the
    matrix (out, in * ...).

    Args:
        params: Groups of parameters; those of a group with `orthogonal=True` have two or more dimensions.
        lr: The learning rate.
        momentum: What the running mean of a hidden matrix's gradients keeps a step.
        betas: What AdamW's running means of the gradient and of its square keep a step.
        eps: Added to the root of AdamW's mean square.
        weight_decay: Share, times the learning rate, by which weights shrink a step, apart from the gradient.
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
            # Torch reads this name too: the number of steps then comes back to where a fused step needs it.
            group["fused"] = all(p.device.type in ("cpu", "cuda") for p in group["params"])

    def _move(self, params: list[Tensor], group: dict[str, Any]) -> None:
        if group["orthogonal"]:
            self._move_orthogonally(params, group)
        else:
            self._move_as_adamw(params, group)

    def _move_orthogonally(self, params: list[Tensor], group: dict[str, Any]) -> None:
        grads = [cast(Tensor, p.grad) for p in params]
        running = [self._kept(p, "momentum") for p in params]
        torch._foreach_lerp_(running, grads, 1 - group["momentum"])
        ahead = torch._foreach_lerp(grads, running, group["momentum"])  # Nesterov's: one step further on
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        # Matrices of one shape are orthogonalised at once, as those of repeated blocks are.
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

    def _move_as_adamw(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            self.state[p].setdefault("step", torch.zeros((), dtype=torch.float32, device=p.device))
        adamw(
            params,
            [cast(Tensor, p.grad) for p in params],
            [self._kept(p, "mean") for p in params],
            [self._kept(p, "mean_square") for p in params],
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
