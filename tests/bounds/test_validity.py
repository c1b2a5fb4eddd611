"""Bounds hold on data of known law in as many of 100 redraws as they promise, and broken ones do not.

Labels are fair coins that no image tells, so that every classifier's error rate is exactly one half.
"""

from __future__ import annotations

import math
import os
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import nn

from gencli.bounds import certificates, compression, gaussian, holdout, independence, pac_bayes, verification
from gencli.bounds.certificates import Certificate
from gencli.bounds.gaussian import GRID
from gencli.bounds.settings import CompressionSettings, HoldoutSettings, PacBayesSettings
from gencli.errors import GencliError
from gencli.evaluation.runs import initial
from gencli.files import provenance
from gencli.files.provenance import Step
from gencli.models import Model
from gencli.models.inputs import Preprocessing, Rows

DELTA = 0.3
REDRAWS = 100 if os.environ.get("GENCLI_TEST_ALL") else 40  # in all, a violation more often than δ is seen more surely
ALLOWED = int(binom.ppf(0.999, REDRAWS, DELTA))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Networks of a hundred weights have no work for more: threads that wait for each other wait busily."""
    torch.set_num_threads(1)


def coins(seed: int, n: int) -> Rows:
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (n, 4, 4, 1), generator=random, dtype=torch.uint8)
    return Rows(images, torch.randint(2, (n,), generator=random), ids=torch.arange(n) + 1000 * seed)


def model(arch: str = "mlp-1x8") -> Model:
    made = Model(arch, (4, 4, 1), ("heads", "tails"), nn.Identity(), made=Step("train", {"seed": 3}, {}))
    return replace(made, network=before(made))


def before(made: Model) -> nn.Module:
    network = initial(made, "")
    assert network is not None
    return network.eval()


def violations(asked: PacBayesSettings, n: int, redraws: int = REDRAWS, arch: str = "mlp-1x8") -> int:
    made = model(arch)
    bounds = [
        pac_bayes.certify(made, before(made), coins(seed, n), None, replace(asked, seed=seed))[0].bound
        for seed in range(redraws)
    ]
    return sum(bound < 0.5 for bound in bounds)


LEARNED = PacBayesSettings(
    delta=DELTA, prior_fraction=0.2, prior_epochs=15, prior_lr=0.1, epochs=1, deviation=0.01, draws=200, batch_size=128
)


def test_pac_bayes_holds_as_often_as_promised_with_a_prior_that_memorizes() -> None:
    assert violations(LEARNED, 90) <= ALLOWED


def test_rows_of_the_prior_that_are_counted_again_are_found_out_by_the_law() -> None:
    redraws, learned = 12, replace(LEARNED, prior_fraction=0.95, prior_epochs=90, batch_size=256)
    assert violations(learned, 160, redraws, "mlp-1x32") == 0
    assert violations(replace(learned, broken="prior-rows"), 160, redraws, "mlp-1x32") > binom.ppf(
        0.999, redraws, DELTA
    )


@pytest.mark.parametrize("paid", [True, False])
def test_the_choice_among_priors_is_paid_for(paid: bool) -> None:
    """Each prior is one classifier, and the posterior the best of them on the rows: its own prior, at no divergence."""
    n, delta = 60, 0.5
    errors = np.random.default_rng(0).binomial(n, 0.5, (REDRAWS, GRID)).min(1)
    choices = math.log(GRID) if paid else 0.0
    bounds = [certificates.pac_bayes_bound(k / n * 1e9, 1e9, 0.0, n, delta, choices)[0] for k in errors]
    assert (np.mean([bound < 0.5 for bound in bounds]) <= delta) == paid


def test_compression_holds_as_often_as_promised() -> None:
    made = model("linear")
    asked = CompressionSettings(delta=DELTA, subspace=1, levels=2, epochs=3, batch_size=64, lr=0.3)
    bounds = [
        compression.certify(made, before(made), coins(seed, 60), None, replace(asked, seed=seed))[0].bound
        for seed in range(30)
    ]
    assert sum(bound < 0.5 for bound in bounds) <= binom.ppf(0.999, 30, DELTA)


def test_the_best_of_all_codes_of_a_length_is_paid_for() -> None:
    """2^12 classifiers of twelve bits each: the best on the rows, with its length forgotten, is not what it seems."""
    n, delta, bits = 200, 0.3, 12
    errors = np.random.default_rng(0).binomial(n, 0.5, (REDRAWS, 2**bits)).min(1)
    for length, holds in ((certificates.code_length(bits), True), (0.0, False)):
        wrong = np.mean([certificates.finite_bound(int(k), n, length, delta) < 0.5 for k in errors])
        assert (wrong <= delta) == holds


def test_estimates_of_the_empirical_error_hold() -> None:
    random = np.random.default_rng(0)
    limits = [certificates.pac_bayes_bound(random.binomial(200, 0.1), 200, 0, 100, 0.5)[1] for _ in range(1000)]
    assert np.mean(np.array(limits) < 0.1) <= certificates.SAMPLING * 0.5


def small() -> tuple[Certificate, dict[str, torch.Tensor], Rows]:
    made, rows = model(), coins(1, 80)
    asked = PacBayesSettings(epochs=2, draws=2000, prior_fraction=0.25, prior_epochs=2)
    return *pac_bayes.certify(made, before(made), rows, None, asked), rows


FACTS = {
    "architecture": "mlp-1x8", "options": model().options.to_json(), "shape": [4, 4, 1], "classes": ["heads", "tails"],
    "preprocessing": Preprocessing().to_json(), "initialization": 3, "step": Step("bound", {}, {}),
}  # fmt: skip


def wrong(
    made: Certificate, parts: dict[str, torch.Tensor], rows: Rows, test: Rows | None = None, step: Step | None = None
) -> set[str]:
    facts = FACTS | ({"step": step} if step else {})
    found = verification.verify(made, facts, parts, rows, test, torch.device("cpu"), 0, "c")
    return {each.part for each in found if not each.holds}


def test_verification_finds_what_was_changed() -> None:
    made, parts, rows = small()
    assert wrong(made, parts, rows) == set()
    assert wrong(replace(made, errors=made.draws), parts, rows) == {"errors"}
    assert made.kl is not None
    assert made.grid
    for change, part in (
        ({"bound": made.bound - 1e-4}, "bound"),
        ({"kl": made.kl - 0.01}, "kl"),
        ({"errors": made.errors // 2}, "empirical_error"),
        ({"errors": 0}, "empirical_error"),
        ({"errors": made.draws + 1}, "delta"),
        ({"empirical_error": made.empirical_error / 2}, "empirical_error"),
        ({"n": made.n + 20}, "rows"),
        ({"delta": 1.0}, "delta"),
        ({"seed": 1}, "rows"),
        ({"prior_fraction": 0.0}, "rows"),
        ({"prior_fraction": 1e-9}, "rows"),
        ({"prior_fraction": math.nan}, "delta"),
        ({"grid": made.grid | {next(iter(made.grid)): GRID}}, "prior_grid"),
        ({"grid": {name: j + 100 for name, j in made.grid.items()}}, "kl"),
    ):
        assert part in wrong(replace(made, **change), parts, rows), change  # type: ignore[arg-type]
    labels = rows.labels.clone()
    labels[0] = 1 - labels[0]
    images = rows.images.clone()
    images[-1, 0, 0, 0] ^= 1
    changed = [replace(rows, labels=labels), replace(rows, images=images)]
    assert any("rows" in wrong(made, parts, each) for each in changed)
    moved = {name: each + 1 if name.startswith("mean") else each for name, each in parts.items()}
    assert "kl" in wrong(made, moved, rows)


@pytest.mark.parametrize("kind", ["pac-bayes", "pac-bayes of blocks", "compression", "holdout"])
def test_every_number_of_a_certificate_that_is_changed_is_found(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_DRAWS", 8)
    used, rows, test = model(), coins(1, 80), coins(2, 50)
    asked: PacBayesSettings | CompressionSettings | HoldoutSettings
    if kind == "compression":
        asked = CompressionSettings(epochs=1, subspace=9, levels=5)
        made, parts = compression.certify(used, before(used), rows, test, asked)
    elif kind == "holdout":
        asked = HoldoutSettings()
        made, parts = holdout.certify(used, rows, test, asked)
    else:
        if kind == "pac-bayes of blocks":
            monkeypatch.setattr(gaussian, "_once", lambda network, inputs: {})
        asked = PacBayesSettings(epochs=1, draws=3000, prior_fraction=0.25, prior_epochs=1)
        made, parts = pac_bayes.certify(used, before(used), rows, test, asked)
    trained = provenance.Source("model", "", Step("train", {"seed": 3}, {}))
    step = Step("bound", asdict(asked), {}, (trained,))

    def found(changed: Certificate, tensors: dict[str, torch.Tensor]) -> set[str]:
        try:
            return wrong(changed, tensors, rows, test, step)
        except GencliError:
            return {"refused"}

    assert found(made, parts) == set()
    free = {"test_error"} if kind == "pac-bayes of blocks" else set()  # of so few rows it may be any
    for field in fields(made):
        value = getattr(made, field.name)
        if value is None or field.name in {"kind", "grid", *free}:
            continue
        others = [f"{value}0"] if isinstance(value, str) else [2 * value + 1]
        others = [value * 1.001 + 1e-6, value * 0.999 - 1e-6] if isinstance(value, float) else others
        for other in others:
            changed = replace(made, **{field.name: other})
            assert found(changed, parts), (field.name, value, other)
    for bits in (made.bits - 8, made.bits + 8) if made.bits else ():
        with pytest.raises(GencliError, match="of another length"):
            wrong(replace(made, bits=bits), parts, rows, test, step)
    for name in made.grid or {}:
        moved = replace(made, grid=(made.grid or {}) | {name: (made.grid or {})[name] + 1})
        assert "kl" in found(moved, parts), name
    for name in parts if kind != "holdout" else ():
        assert found(made, parts | {name: parts[name] + 1}), name


def test_copies_under_other_ids_are_no_independent_rows() -> None:
    rows = coins(1, 80)
    twice = rows.select(torch.arange(80).repeat(2))
    twice.ids = torch.arange(160)
    assert independence.copies(rows) == 0
    assert independence.copies(twice) == 80
    assert independence.copies(twice, rows) == 160
    assert independence.copies(coins(2, 80), rows) == 0
    with pytest.raises(GencliError, match="copies of other rows: 80 of 160 images, under other ids"):
        independence.require_few(80, twice, "t: copies of other rows")
    assert independence.require_few(0, twice, "") is None
    assert "independent draws" in (independence.require_few(1, twice, "t") or "")
    used = model()
    counted, parts = pac_bayes.certify(used, before(used), twice, None, PacBayesSettings(epochs=1, draws=1000))
    assert wrong(counted, parts, twice) == {"rows"}


def test_rows_that_share_weights_are_no_independent_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    used, rows = model(), coins(1, 80)
    made, parts = pac_bayes.certify(used, before(used), rows, None, PacBayesSettings(epochs=1, draws=1000))
    monkeypatch.setattr(gaussian, "_once", lambda network, inputs: {})
    assert "draws" in wrong(made, parts, rows)


def test_errors_of_networks_that_look_at_other_images_are_no_independent_draws() -> None:
    made, rows = replace(model(), arch="their:own"), coins(0, 60)
    certificates.require_sample_alone(made, rows)
    network = made.network

    class Centered(nn.Module):
        """Alike on few rows, where one shows that it looks at others only if they are tried in the batch used."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x - x.mean(0) if len(x) > 8 else x) * 10

    centered = replace(made, network=Centered())
    certificates.require_sample_alone(centered, rows.select(torch.arange(8)))
    start, own = Centered(), PacBayesSettings(epochs=1, draws=1000)
    for refused in (
        lambda: certificates.require_sample_alone(centered, rows),
        lambda: holdout.certify(centered, rows, None, HoldoutSettings()),
        lambda: pac_bayes.certify(centered, start, rows, None, own),
        lambda: compression.certify(centered, start, rows, None, CompressionSettings(epochs=1)),
    ):
        with pytest.raises(GencliError, match="depends on other images of its batch"):
            refused()


def test_frozen_weights_are_no_parameters() -> None:
    plain = model("mlp-2x8")
    used, start, rows = replace(plain, frozen="*,!head"), before(plain), coins(1, 80)
    assert (plain.parameters, used.parameters) == (16 * 8 + 8 + 8 * 8 + 8 + 8 * 2 + 2, 8 * 2 + 2)
    with torch.no_grad():
        for each in used.trained.values():
            each.add_(0.1)
    assert set(certificates.require_plain(used).state_dict()) == set(start.state_dict())
    certificates.hold(start, used)
    facts = FACTS | {"architecture": "mlp-2x8", "frozen": "*,!head"}
    for made, parts in (
        pac_bayes.certify(used, start, rows, None, PacBayesSettings(epochs=1, draws=1000)),
        compression.certify(used, start, rows, None, CompressionSettings(epochs=1)),
    ):
        assert made.parameters == used.parameters
        assert (made.coded or 18) == 18
        found = verification.verify(made, facts, parts, rows, None, torch.device("cpu"), 0, "c")
        assert [each.part for each in found if not each.holds] == []


def test_the_least_probability_of_failure_is_kept_in_full() -> None:
    used, rows, test = model(), coins(1, 80), coins(2, 50)
    asked = PacBayesSettings(epochs=1, draws=1000, delta=1e-300)
    for made, parts in (
        pac_bayes.certify(used, before(used), rows, test, asked),
        holdout.certify(used, rows, test, HoldoutSettings(delta=1e-300)),
    ):
        assert wrong(made, parts, rows, test) == set()


def test_verification_finds_what_break_breaks() -> None:
    made, rows = model(), coins(1, 80)
    asked = PacBayesSettings(epochs=1, draws=2000, prior_fraction=0.5, prior_epochs=1)
    for broken, part in (("union-bound", "bound"), ("prior-rows", "rows")):
        found, parts = pac_bayes.certify(made, before(made), rows, None, replace(asked, broken=broken))  # type: ignore[arg-type]
        assert part in wrong(found, parts, rows)
