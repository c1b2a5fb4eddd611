"""A certificate checked again, by other means than made it: its own draws, divergence and inversions.

Weights are drawn themselves, not layers' outputs; divergences are summed entry by entry in float64; limits are roots of
scipy's functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from gencli.bounds import certificates, compression, independence
from gencli.bounds.certificates import SAMPLING, Certificate
from gencli.bounds.gaussian import GRID, RATIO, Gaussian
from gencli.bounds.settings import LEAST_DELTA
from gencli.errors import GencliError
from gencli.evaluation.runs import initial, initial_seed
from gencli.files.provenance import Step
from gencli.models import Model, Options, named_in
from gencli.models.base import functional_call
from gencli.models.inputs import Preprocessing, Rows
from gencli.randomness import derive

_DRAWS, _BLOCK = 200, 500  # of weights, and rows that each answers for
_DEVIATIONS = 5.0  # of the mean over draws from what is claimed: by chance once in millions
_EXACT = 1e-9


class Finding(NamedTuple):
    """One part of a certificate: what it claims, what was found, and whether that is as claimed."""

    part: str
    claimed: float | None
    found: float | None
    holds: bool
    note: str = ""


def table(findings: list[Finding]) -> pa.Table:
    """One row per finding: part, claimed, found, holds, note."""
    return pa.table({
        "part": [each.part for each in findings],
        "claimed": pa.array([each.claimed for each in findings], pa.float64()),
        "found": pa.array([each.found for each in findings], pa.float64()),
        "holds": [each.holds for each in findings],
        "note": [each.note or None for each in findings],
    })  # fmt: skip


def verify(
    made: Certificate,
    facts: dict[str, Any],
    parts: dict[str, torch.Tensor],
    rows: Rows,
    test: Rows | None,
    device: torch.device,
    seed: int,
    title: str,
    arch: str | None = None,
) -> list[Finding]:
    """Whether a certificate follows from what it rests on and these rows.

    Args:
        rows: those that it was made for, a prior's among them.
        test: the test rows; None where there are none.
        seed: of the draws.
        arch: as of `models.read`.

    Raises:
        GencliError: a network that `arch` does not allow, or tensors that are not those of its network.
    """
    model = _model(facts, device, title, arch)
    assert rows.ids is not None
    known = LEAST_DELTA <= made.delta < 1 and 0 <= made.prior_fraction < 1
    known &= made.n > 0 and made.draws > 0 and 0 <= made.errors <= made.draws
    found = [
        Finding("delta", made.delta, made.delta, known, "" if known else "no probability, or counts that cannot be")
    ]
    if not known:
        return found
    counted, trained = rows, True
    if made.prior_fraction:
        part = certificates.prior_part(rows.ids.cpu().numpy(), made.prior_fraction, made.seed)
        trained = bool(part.any())  # a prior without a row of its own was trained on others
        counted = rows.select(torch.from_numpy(~part).nonzero().squeeze(1))
    same = trained and len(counted) > 0 and certificates.digest(counted) == made.rows
    whole = made.prior_fraction and certificates.digest(rows) == made.rows
    why = "rows that the prior was trained on are counted" if whole else "other rows, or others of them"
    found.append(Finding("rows", made.n, len(counted), same and len(counted) == made.n, "" if same else why))
    if not len(counted):
        return found
    found += [_once("rows", rows), *_settings(made, facts, model)]
    if made.test_rows is None:
        test = None
    if test is not None:
        right = certificates.digest(test) == made.test_rows and len(test) == made.test_n
        found.append(Finding("test_rows", made.test_n, len(test), right, "" if right else "other rows"))
        found += [_once("test_rows", test), _once("test_rows", test, rows)]
    check = {"pac-bayes": _pac_bayes, "compression": _compression, "holdout": _holdout}.get(made.kind)
    if check is None:
        raise GencliError(f"{title}: no bound is called {made.kind!r}", "use the gencli that wrote it")
    with torch.random.fork_rng([]):
        torch.manual_seed(derive(seed, "verification"))
        found += check(made, model, parts, counted.to(device), test and test.to(device), title)
    return found


def _pac_bayes(
    made: Certificate, model: Model, parts: dict[str, torch.Tensor], rows: Rows, test: Rows | None, title: str
) -> Iterator[Finding]:
    network = model.network
    names = [name for name, each in network.named_parameters() if each.requires_grad]
    grouped = {part: _named(parts, part, network, names, title) for part in ("mean", "log")}
    prior = {name: each.detach() for name, each in network.named_parameters()}
    if made.prior_fraction:
        prior = _named(parts, "prior", network, names, title)
    grid = made.grid or {}
    fits = grid.keys() == set(names) and all(type(j) is int and 0 <= j < GRID for j in grid.values())
    yield Finding(
        "prior_grid", len(grid), len(names), fits, "" if fits else "standard deviations that are not on the grid"
    )
    if not fits:
        return
    kl = math.fsum(_divergence(grouped["mean"][name], grouped["log"][name], prior[name], grid[name]) for name in names)
    yield _same("kl", made.kl, kl)
    by_row = Gaussian(network, model.preprocessing(rows.images[:2]), 1.0, grouped["mean"]).by_row
    own = (
        made.blocks is None if by_row else made.blocks is not None and made.blocks > 0 and made.draws % made.blocks == 0
    )
    yield Finding("draws", made.draws, made.blocks, own, "" if own else "rows that share weights are counted each")
    chances, spread = _drawn(model, grouped, rows)
    m = (made.blocks if own else 1) or made.draws
    claimed = min(made.empirical_error, made.errors / made.draws)
    limit = _inverse(claimed, (math.log(2 / SAMPLING) - math.log(made.delta)) / m)
    near = abs(chances - claimed) <= _DEVIATIONS * spread + limit - claimed
    yield Finding("empirical_error", made.empirical_error, chances, near, f"of {_DRAWS * _BLOCK:,} other draws")
    c = kl + len(names) * math.log(GRID) + math.log(2 * math.sqrt(len(rows)) / (1 - SAMPLING)) - math.log(made.delta)
    bound = _inverse(limit, c / len(rows))
    yield _same("bound", made.bound, bound, "by brentq")
    if test is not None:
        chances, spread = _drawn(model, grouped, test)
        yield _test(made, chances, _DEVIATIONS * (spread + math.sqrt(max(chances, 1 / len(test)) / len(test))))
    if by_row:
        yield from _tested(made)


def _compression(
    made: Certificate, model: Model, parts: dict[str, torch.Tensor], rows: Rows, test: Rows | None, title: str
) -> Iterator[Finding]:
    code = parts.get("code")
    if code is None or made.bits is None or not 8 * len(code) - 8 < made.bits <= 8 * len(code):
        raise GencliError(f"{title}: a code of another length than it says", "make the certificate again")
    bits = [byte >> place & 1 for byte in code.tolist() for place in range(7, -1, -1)][: made.bits]
    space = compression.Subspace(model.network, made.subspace or 0, model.arguments["seed"])
    yield _same("coded", made.coded, space.size)
    yield _same("levels", made.levels, compression.levels(bits))
    yield from _counted(made, model, compression.decoded(bits, space, model.network), rows, test, made.bits)


def _holdout(
    made: Certificate, model: Model, parts: dict[str, torch.Tensor], rows: Rows, test: Rows | None, title: str
) -> Iterator[Finding]:
    state = _named(parts, "state", model.network, list(model.network.state_dict()), title)
    model.network.load_state_dict(state)
    yield from _counted(made, model, model.network, rows, test, None)


def _counted(
    made: Certificate, model: Model, network: nn.Module, rows: Rows, test: Rows | None, bits: int | None
) -> Iterator[Finding]:
    """One network's errors, and the bound: of a code of so many bits, or exact."""
    errors, n = certificates.count_errors(model, network, rows), len(rows)
    yield _same("draws", made.draws, n)
    yield _same("empirical_error", made.empirical_error, errors / n)
    if bits is None:
        bound = _exact(errors, n, made.delta)
    else:
        length = bits * math.log(2) + math.log(bits * (bits + 1))
        yield _same("kl", made.kl, length)
        bound = _inverse(errors / n, (length - math.log(made.delta)) / n)
    yield _same("bound", made.bound, bound)
    if test is not None:
        found = certificates.count_errors(model, network, test) / len(test)
        yield _test(made, found, _EXACT)
    yield from _tested(made)


def _settings(made: Certificate, facts: dict[str, Any], model: Model) -> Iterator[Finding]:
    """Numbers that the file says twice, or that its network has."""
    step, own = facts["step"], asdict(made)
    none = {} if made.kind == "pac-bayes" else {"prior_fraction": 0, "seed": 0}
    said = none | dict(step.arguments)
    for name in ("delta", "prior_fraction", "seed", "subspace", "levels"):
        if (claimed := own[name]) is not None and name in said:
            yield _same(name, claimed, said[name], "of its provenance")
    choices = GRID if made.kind == "pac-bayes" else 1
    unpaid = "" if made.choices == choices else "another number of the prior's standard deviations is paid for"
    yield Finding("choices", made.choices, choices, not unpaid, unpaid)
    for source in step.given("model"):
        trained = replace(model, made=source.step, run=step.arguments.get("run"))
        yield _same("initialization", facts["initialization"], initial_seed(trained) or 0, "of its provenance")
    yield _same("parameters", made.parameters, model.parameters)
    yield _same("errors", made.empirical_error, made.errors / made.draws, "errors among the draws")


def _once(part: str, rows: Rows, others: Rows | None = None) -> Finding:
    found = independence.copies(rows, others)
    few = found <= independence.FEW * len(rows)
    return Finding(part, 0, found, few, f"copies of {'other rows' if others is None else 'rows that are counted'}")


def _same(part: str, claimed: float | None, found: float, note: str = "") -> Finding:
    """Two numbers that may differ by rounding."""
    return Finding(
        part, claimed, found, claimed is not None and abs(claimed - found) <= _EXACT * max(1, abs(found)), note
    )


def _exact(errors: int, n: int, delta: float) -> float:
    from scipy.stats import beta

    return 1.0 if errors >= n else max(errors / n, float(beta.isf(delta, errors + 1, n - errors)))


def _tested(made: Certificate) -> Iterator[Finding]:
    """What rows that each were tried once say alone."""
    if made.test_error is not None and made.test_n:
        errors = round(made.test_error * made.test_n)
        yield _same("test_error", made.test_error, errors / made.test_n, "errors among test_n rows")
        yield _same("test_bound", made.test_bound, _exact(errors, made.test_n, made.delta))


def _test(made: Certificate, found: float, tolerance: float) -> Finding:
    claimed = made.test_error
    return Finding("test_error", claimed, found, claimed is not None and abs(claimed - found) <= tolerance)


@torch.no_grad()
def _drawn(model: Model, grouped: dict[str, dict[str, torch.Tensor]], rows: Rows) -> tuple[float, float]:
    """The mean error rate of blocks of random rows, each with weights of its own, and its standard deviation."""
    rates = np.empty(_DRAWS)
    for number in range(_DRAWS):
        weights = {
            name: torch.normal(mean, grouped["log"][name].exp()).to(rows.images.device)
            for name, mean in grouped["mean"].items()
        }
        part = torch.randint(len(rows), (_BLOCK,)).to(rows.labels.device)
        inputs = model.preprocessing(rows.images[part])
        network = lambda images, drawn=weights: functional_call(model.network, drawn, (images,))  # noqa: E731
        logits = network(inputs.clone())
        if not number:
            certificates.require_alone(model, network, inputs, logits)
        right = (logits.argmax(1) == rows.labels[part]) & logits.isfinite().all(1)
        rates[number] = 1 - right.double().mean().item()
    return float(rates.mean()), float(rates.std(ddof=1) / math.sqrt(_DRAWS))


def _divergence(mean: torch.Tensor, log: torch.Tensor, start: torch.Tensor, j: int) -> float:
    """Σ ln(σ_P/σ_Q) + (σ_Q² + (m − m₀)²)/(2 σ_P²) − ½, over entries, in float64."""
    m, r, m0 = (each.cpu().numpy().astype(np.float64) for each in (mean, log, start))
    deviation = RATIO**j
    return float((math.log(deviation) - r + (np.exp(r) ** 2 + (m - m0) ** 2) / (2 * deviation**2) - 0.5).sum())


def _inverse(q: float, c: float) -> float:
    """The p ≥ q with kl(q ‖ p) = c, as Brent's root of it."""
    from scipy.optimize import brentq
    from scipy.special import rel_entr

    def excess(p: float) -> float:
        return float(rel_entr(q, p) + rel_entr(1 - q, 1 - p)) - c

    top = 1 - 1e-15
    if q >= top or not excess(top) > 0:
        return 1.0
    return cast(float, brentq(excess, q, top, xtol=1e-15))


def _named(
    parts: dict[str, torch.Tensor], part: str, network: nn.Module, names: list[str], title: str
) -> dict[str, torch.Tensor]:
    """The tensors PART/NAME, which must be of the network's forms, and finite."""
    state = network.state_dict()
    found = {name: parts.get(f"{part}/{name}") for name in names}
    for name, each in found.items():
        if (
            each is None
            or each.shape != state[name].shape
            or each.dtype != state[name].dtype
            or not each.isfinite().all()
        ):
            raise GencliError(f"{title}: {part}/{name} is not that of its network", "make the certificate again")
    return {name: each for name, each in found.items() if each is not None}


def _model(facts: dict[str, Any], device: torch.device, title: str, allowed: str | None) -> Model:
    """The network that a certificate is about, as it is before training."""
    try:
        arch, shape = facts["architecture"], tuple(facts["shape"])
        named_in(title, arch, allowed)
        options, seed = Options.from_json(facts["options"]), facts["initialization"]
        preprocessing = Preprocessing.from_json(facts["preprocessing"], shape[2])
        step = Step("train", {"seed": seed}, {})
        model = Model(arch, shape, tuple(facts["classes"]), nn.Identity(), options, preprocessing, step, file=title)
        network = initial(model, title)
        frozen = facts.get("frozen")
    except (KeyError, TypeError, IndexError) as error:
        raise GencliError(f"{title}: corrupt certificate: its network: {error}", "make the certificate again") from None
    assert network is not None
    made = replace(model, network=network.eval().to(device), frozen=None if frozen is None else str(frozen))
    certificates.hold(made.network, made)
    return made
