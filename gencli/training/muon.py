"""Muon, an optimizer for the hidden weights of a network."""

from __future__ import annotations

from typing import Any

import torch


class Muon(torch.optim.Optimizer):
    """Muon: momentum, orthogonalized, for weights of two or more dimensions.

    A kernel [out, in, height, width] counts as the matrix [out, in·height·width], as in airbench94_muon. With gradient
    g: b ← μ b + (1 − μ) g, u = (1 − μ) g + μ b (Nesterov), p ← (1 − lr·decay) p − lr · 0.2 √max(rows, columns) · NS(u).
    The factor gives updates the root mean square of AdamW's, so that one learning rate and one decay serve both (Liu et
    al. 2025, arXiv:2502.16982). torch's Muon does the same, but only for matrices.
    """

    def __init__(self, params: list[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
                matrix = gradient.lerp(buffer, momentum).flatten(1)
                update = orthogonalized(matrix).view_as(gradient)
                parameter.mul_(1 - lr * group["weight_decay"])
                parameter.add_(update, alpha=-lr * 0.2 * max(matrix.shape) ** 0.5)


def orthogonalized(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix [m, n] with its singular values mapped to about 1, except for tiny ones; in bfloat16.

    Five steps X ← a X + (b A + c A²) X, A = X Xᵀ, of the Newton-Schulz iteration with the coefficients of Jordan et al.
    2024, from X = matrix / its Frobenius norm. A matrix of zeros stays one.
    """
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x.T if tall else x
