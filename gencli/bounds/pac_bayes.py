"""The PAC-Bayes certificate: a prior, a posterior fitted to the bound, and the count of its errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from gencli.bounds import certificates
from gencli.bounds.certificates import Certificate
from gencli.bounds.gaussian import GRID, Descent, Gaussian, bound_cost, descend
from gencli.bounds.settings import PacBayesSettings
from gencli.errors import GencliError
from gencli.evaluation.predictions import batch_size
from gencli.models import Model
from gencli.models.base import functional_call
from gencli.models.inputs import Rows
from gencli.randomness import derive


def certify(
    model: Model,
    before: nn.Module,
    rows: Rows,
    test: Rows | None,
    asked: PacBayesSettings,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[Certificate, dict[str, torch.Tensor]]:
    """A certificate of normal weights around a network's, and the tensors that it rests on.

    Dziugaite, Roy 2017, arXiv:1703.11008, with the derivatives of the bound itself, a variance of the prior for each
    parameter, and each row's weights drawn by themselves.

    Args:
        model: the network; without a trained prior the posterior starts at its weights.
        before: the network before training, on the same device: the prior's mean, or where its training starts.
        rows, test: on the same device.

    Raises:
        GencliError: too few rows, numbers that overflow, or see `certificates.require_alone`.
    """
    assert rows.ids is not None
    part = torch.from_numpy(certificates.prior_part(rows.ids.cpu().numpy(), asked.prior_fraction, asked.seed))
    counted = rows if not part.any() or asked.broken == "prior-rows" else rows.select((~part).nonzero().squeeze(1))
    n = len(counted)
    if n < 2 or (asked.prior_fraction and not part.any()):
        share = f"--prior-fraction: {asked.prior_fraction:g} of " if asked.prior_fraction else ""
        raise GencliError(f"{share}{len(rows)} rows", "change it, or give more")
    with torch.random.fork_rng([]):
        torch.manual_seed(derive(asked.seed, "pac-bayes"))
        inputs = model.preprocessing(rows.images[:2])
        network = before if asked.prior_fraction else model.network
        prior = {name: each.detach().clone() for name, each in before.named_parameters() if each.requires_grad}
        done = 0
        if asked.prior_fraction:
            trained = Gaussian(network, inputs, asked.deviation, prior)
            left = rows.select(part.nonzero().squeeze(1))
            how = Descent(asked.prior_epochs, asked.prior_lr, 0, asked.batch_size)
            descend(trained, model, left, how, lambda error: (1.0, None), progress)
            prior, done = trained.means, how.steps(len(left))
        own = {name: each.detach() for name, each in model.network.named_parameters() if name in prior}
        fitted = Gaussian(network, inputs, asked.deviation, prior if asked.prior_fraction else own)
        choices = 0.0 if asked.broken == "union-bound" else len(prior) * math.log(GRID)
        extra = choices + math.log(2 * math.sqrt(n)) - math.log(asked.delta)
        how = Descent(asked.epochs, asked.lr, asked.lr_deviation, asked.batch_size)
        descend(fitted, model, rows, how, bound_cost(fitted, prior, n, extra), lambda step: progress(done + step))
        if not fitted.finite():
            raise GencliError(f"{model.title}: the posterior's numbers overflow", "lower --lr and --lr-deviation")
        kl, grid = fitted.divergence(prior)
        errors, draws, blocks = count(fitted, model, counted, asked.draws)
        tested = count(fitted, model, test, 1)[:2] if test else (0, 1)
        _require_alone(fitted, model, [counted] if test is None else [counted, test])
    bound, _ = certificates.pac_bayes_bound(
        errors / draws * (blocks or draws), blocks or draws, kl, n, asked.delta, choices
    )
    made = Certificate(
        "pac-bayes", bound, errors / draws, n, asked.delta, errors, draws, certificates.digest(counted), blocks, kl,
        grid, 1 if asked.broken == "union-bound" else GRID, asked.prior_fraction, asked.seed, model.parameters,
    )  # fmt: skip
    kinds = {"mean": fitted.means, "log": fitted.logs} | ({"prior": prior} if asked.prior_fraction else {})
    parts = {f"{kind}/{name}": each for kind, tensors in kinds.items() for name, each in tensors.items()}
    return certificates.with_test(made, test, *tested, fitted.by_row), parts


@torch.no_grad()
def count(fitted: Gaussian, model: Model, rows: Rows, least: int) -> tuple[int, int, int | None]:
    """Errors of drawn weights, of at least so many draws, and how many of these are independent where not all are.

    Where each row has weights of its own, the rows are visited as often as needed, so that the draws are independent
    with the empirical error as the mean of their chances. Otherwise a draw of weights answers for a block of random
    rows; the blocks' error rates are independent.
    """
    size, errors, draws, blocks = batch_size(fitted.network), 0, 0, 0
    with fitted.drawing() as outputs:
        while draws < least:
            if fitted.by_row:
                parts = torch.arange(len(rows), device=rows.labels.device).split(size)
            else:
                parts = [torch.randint(len(rows), (size,)).to(rows.labels.device)]
            for part in parts:
                logits = outputs(model.preprocessing(rows.images[part]))
                right = (logits.argmax(1) == rows.labels[part]) & logits.isfinite().all(1)
                errors += int((~right).sum())
                draws += len(part)
                blocks += 1
    return errors, draws, None if fitted.by_row else blocks


@torch.no_grad()
def _require_alone(fitted: Gaussian, model: Model, tables: Sequence[Rows]) -> None:
    """`certificates.require_alone` of weights drawn once for all rows."""
    if model.ours:
        return
    weights = {name: torch.normal(mean, fitted.logs[name].exp()) for name, mean in fitted.means.items()}
    network = lambda images: functional_call(fitted.network, weights, (images,))  # noqa: E731
    for images in (each for rows in tables for each in rows.images.split(batch_size(fitted.network))):
        inputs = model.preprocessing(images)
        certificates.require_alone(model, network, inputs, network(inputs.clone()))


def work(asked: PacBayesSettings, rows: int) -> int:
    """The number of steps of descent."""
    own = certificates.share(asked.prior_fraction, rows)
    steps = math.ceil(rows / asked.batch_size) * asked.epochs
    return steps + (math.ceil(own / asked.batch_size) * asked.prior_epochs if own else 0)
