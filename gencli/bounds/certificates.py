"""A certificate: which network, which rows, what was counted, what follows; its file, and the row of its table."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gencli.bounds import inversion
from gencli.counts import share
from gencli.errors import GencliError
from gencli.evaluation.predictions import batch_size
from gencli.evaluation.runs import initial, initial_seed
from gencli.files import tensors
from gencli.files.provenance import Step
from gencli.files.stream import Input, Output
from gencli.models import Model
from gencli.models.alone import HINT, first_apart, spaced
from gencli.models.inputs import Rows
from gencli.randomness import Draws

SAMPLING = 0.2  # the part of δ that the estimate by draws gets


@dataclass(frozen=True)
class Certificate:
    """That with probability 1 − δ over the rows, and over draws, the error rate is at most `bound`.

    Attributes:
        kind: `pac-bayes`, `compression` or `holdout`.
        n, rows: how many rows the bound uses, and their digest.
        errors, draws: how many of so many draws were wrong: of weights and rows (pac-bayes), or rows themselves.
        empirical_error: their ratio; with `blocks` draws that share weights, the mean over these.
        blocks: independent draws of weights, where they are fewer than `draws`.
        kl: of posterior and prior in nats, or the code's length ln 2 · bits + ln(bits (bits + 1)).
        grid: by parameter, which of `choices` standard deviations the prior has.
        choices: the prior's for each parameter, for which the union bound is paid.
        prior_fraction, seed: which rows the prior was trained on, see `prior_part`; 0 for none.
        bits: of the code.
        test_error, test_n, test_rows: of test rows; and what these alone say at the same δ, `test_bound`.
    """

    kind: str
    bound: float
    empirical_error: float
    n: int
    delta: float
    errors: int
    draws: int
    rows: str
    blocks: int | None = None
    kl: float | None = None
    grid: dict[str, int] | None = None
    choices: int = 1
    prior_fraction: float = 0.0
    seed: int = 0
    parameters: int = 0
    bits: int | None = None
    coded: int | None = None
    levels: int | None = None
    subspace: int | None = None
    test_error: float | None = None
    test_n: int | None = None
    test_rows: str | None = None
    test_bound: float | None = None

    def table(self) -> pa.Table:
        """One row, of the same columns for all kinds."""
        columns: dict[str, tuple[Any, pa.DataType]] = {
            "kind": (self.kind, pa.string()),
            "bound": (self.bound, pa.float64()),
            "empirical_error": (self.empirical_error, pa.float64()),
            "kl": (self.kl, pa.float64()),
            "n": (self.n, pa.int64()),
            "delta": (self.delta, pa.float64()),
            "test_error": (self.test_error, pa.float64()),
            "test_n": (self.test_n, pa.int64()),
            "test_bound": (self.test_bound, pa.float64()),
            "parameters": (self.parameters, pa.int64()),
            "bits": (self.bits, pa.int64()),
            "bits_per_weight": (None if self.bits is None else self.bits / self.parameters, pa.float64()),
        }
        return pa.table({name: pa.array([value], kind) for name, (value, kind) in columns.items()})


def pac_bayes_bound(
    errors: float, draws: float, kl: float, n: int, delta: float, choices: float = 0.0
) -> tuple[float, float]:
    """The PAC-Bayes-kl bound, and the limit of the empirical error that it is made from.

    With probability 1 − δ': kl(ê_m ‖ ê) ≤ ln(2/δ')/m of the mean of m independent draws in [0, 1] (Langford, Caruana
    2001; Hoeffding 1963), and with 1 − δ'': kl(ê ‖ e) ≤ (KL + ln(2√n/δ''))/n (Maurer 2004, arXiv:cs/0411099), where
    δ' = δ/5 and δ'' the rest, shared by all priors that are tried.

    Args:
        errors: the sum of the draws.
        choices: ln of the number of priors tried.
    """
    limit = inversion.upper(errors / draws, (math.log(2 / SAMPLING) - math.log(delta)) / draws)
    c = (kl + choices + math.log(2 * math.sqrt(n) / (1 - SAMPLING)) - math.log(delta)) / n
    return inversion.upper(limit, c), limit


def code_length(bits: int) -> float:
    """ln 1/P in nats of a text of b bits, for P = 2^−b / (b (b + 1)), which sums to one over all texts."""
    return bits * math.log(2) + math.log(bits) + math.log1p(bits)


def finite_bound(errors: int, n: int, length: float, delta: float) -> float:
    """kl(ê ‖ e) ≤ (ln 1/P(h) + ln 1/δ)/n for all h of a countable class at once: Chernoff's bound and the union bound.

    McAllester 1999, "Some PAC-Bayesian theorems"; as used by Lotfi et al. 2022, arXiv:2211.13609.
    """
    return inversion.upper(errors / n, (length - math.log(delta)) / n)


def prior_part(ids: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """The mask [rows] of the rows that a prior is trained on: round(fraction · n), by seed and id alone."""
    mask = np.zeros(len(ids), bool)
    lots = Draws(seed, "prior").uniforms(ids)
    mask[np.argsort(lots, kind="stable")[: share(fraction, len(ids))]] = True
    return mask


def digest(rows: Rows) -> str:
    """SHA-256 of rows' ids, labels and images, in the order of ids."""
    assert rows.ids is not None
    order = rows.ids.argsort()
    found = hashlib.sha256()
    for part in order.split(1000):
        for each in (rows.ids[part], rows.labels[part], rows.images[part]):
            found.update(np.ascontiguousarray(each.cpu().numpy()).tobytes())
    return found.hexdigest()


def require_plain(model: Model) -> nn.Module:
    """The network before training, where nothing of the trained one but its parameters depends on data.

    Raises:
        GencliError: batch norm, other state that training changes, whitening by the data set, or no known beginning.
    """
    title = model.title
    if not model.logits or model.task == "images":
        raise GencliError(f"{title}: no classifier with trained weights", "give one that gencli train made")
    before = initial(model, title)
    if before is None:
        raise GencliError(f"{title}: its weights before training are unknown", "give a model that gencli train made")
    norms = [name for name, each in model.network.named_modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    if norms:
        raise GencliError(
            f"{title}: batch norm ({norms[0]}): its running statistics depend on the rows, "
            "and no distribution over weights says how",
            "train the network without: --no-batch-norm",
        )
    if model.preprocessing.whiten == "dataset":
        raise GencliError(
            f"{title}: its images are whitened by the training set's statistics, which depend on the rows",
            "train it with --whiten image or none",
        )
    trained = {id(each) for each in model.trained.values()}  # which may have several names
    start = before.state_dict()
    for name, each in model.network.state_dict(keep_vars=True).items():
        if id(each) not in trained and not torch.equal(each, start[name]):
            raise GencliError(
                f"{title}: {name} depends on the rows and is no trained weight", "use a network without such state"
            )
    for network in (model.network, before):
        hold(network, model)
    return before.eval()


def hold(network: nn.Module, model: Model) -> None:
    """Leaves the parameters that the model's training kept as they were out of what is trained of a network."""
    trained = model.trained
    for name, each in network.named_parameters():
        each.requires_grad_(name in trained)


def require_alone(model: Model, network: Callable[[Tensor], Tensor], inputs: Tensor, together: Tensor) -> None:
    """Refuses a network, not gencli's own, that says of an image what depends on others of its batch, or on chance.

    Args:
        inputs, together: of a batch of rows, and the network's outputs for them.

    Raises:
        GencliError: it does, so that errors are no independent draws.
    """
    if not model.ours and first_apart(model.title, network, inputs, together) is not None:
        raise GencliError(
            f"{model.title}: its output for an image depends on other images of its batch, or on chance, "
            "and a bound counts independent rows",
            HINT,
        )


@torch.no_grad()
def require_sample_alone(model: Model, rows: Rows) -> None:
    """`require_alone` before the work, of as many rows as are counted at a time, from all of the table."""
    if not model.ours:
        inputs = model.preprocessing(rows.images[spaced(len(rows), batch_size(model.network)).to(rows.images.device)])
        require_alone(model, model.network, inputs, model.network(inputs.clone()))


@torch.no_grad()
def count_errors(model: Model, network: nn.Module, rows: Rows) -> int:
    """How many rows are not predicted as labelled; outputs that are not finite are errors.

    Raises:
        GencliError: see `require_alone`, of each batch.
    """
    wrong, size = 0, batch_size(network)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        inputs = model.preprocessing(rows.images[part])
        logits = network(inputs.clone())
        require_alone(model, network, inputs, logits)
        right = (logits.argmax(1) == rows.labels[part]) & logits.isfinite().all(1)
        wrong += int((~right).sum())
    return wrong


def with_test(made: Certificate, rows: Rows | None, errors: int, tries: int, independent: bool = True) -> Certificate:
    """The certificate with what test rows say: `errors` of `tries`."""
    if rows is None:
        return made
    bound = inversion.binomial_upper(errors, tries, made.delta) if independent and tries == len(rows) else None
    return replace(made, test_error=errors / tries, test_n=len(rows), test_rows=digest(rows), test_bound=bound)


def write(output: Output, made: Certificate, model: Model, parts: dict[str, torch.Tensor], step: Step) -> None:
    """Writes a certificate, with the network that it is about and the tensors that it rests on."""
    network = {
        "architecture": model.arch,
        "options": model.options.to_json(),
        "shape": model.shape,
        "classes": model.classes,
        "preprocessing": model.preprocessing.to_json(),
        "initialization": initial_seed(model) or 0,
        **({} if model.frozen is None else {"frozen": model.frozen}),
    }
    tensors.write(output, parts, {"certificate": asdict(made), "network": network, "step": step})


def read(source: Input) -> tuple[Certificate, dict[str, Any], dict[str, torch.Tensor]]:
    """A certificate, what it says of the network, and its tensors.

    Raises:
        GencliError: another file.
    """
    hint = "give one that gencli bound --certificate wrote"
    facts = tensors.read_metadata(source, hint)
    said, network = facts.get("certificate"), facts.get("network")
    if not (isinstance(said, dict) and isinstance(network, dict)):
        raise GencliError(f"{source.name}: not a certificate", hint)
    kinds = get_type_hints(Certificate) | {"grid": dict | None}
    for each in fields(Certificate):
        value = said.get(each.name)
        if not isinstance(value, kinds[each.name]) or type(value) is bool:
            raise GencliError(f"{source.name}: corrupt certificate: {each.name}", hint)
    if said.keys() - {each.name for each in fields(Certificate)}:
        raise GencliError(f"{source.name}: a certificate of another version", hint)
    return Certificate(**said), network | {"step": facts["step"]}, tensors.read(source)
