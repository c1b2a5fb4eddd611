"""What the kinds of bounds share: opening, refusing, and writing the row and the certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from gencli.bounds.settings import Shared
from gencli.cli.options import TableFormat

if TYPE_CHECKING:
    import torch

    from gencli.bounds.certificates import Certificate
    from gencli.files.stream import Input
    from gencli.files.tables import ImageTable
    from gencli.models import Model
    from gencli.models.inputs import Rows

    Certify = Callable[[Model, Rows, Rows | None, Callable[[int], None]], tuple[Certificate, dict[str, torch.Tensor]]]

_NOT_ARGUMENTS = ("test", "train", "certificate", "run", "arch")


class _Opened(NamedTuple):
    """What a bound is of: the model and its file, the rows, and further tables by option."""

    source: Input
    model: Model
    table: ImageTable
    more: dict[str, ImageTable]

    @property
    def read(self) -> list[Input]:
        """Every file."""
        return [self.source, *(file for table in (self.table, *self.more.values()) for file in table.inputs)]


def make(
    name: str, model: str, data: str | None, asked: Shared, format: TableFormat | None, output: str | None,
    work: Callable[[int], int], certify: Certify, check: Callable[[Model, ImageTable, ImageTable | None], Any],
) -> None:  # fmt: skip
    """Makes and writes a certificate.

    Args:
        name: the command's.
        work: of the number of rows → steps.
        check: refuses a model, its rows and the training table where one is named, before any row is read.
    """
    from gencli.files import stream

    stream.require_writable(output, asked.certificate)

    from gencli.bounds import certificates
    from gencli.cli import console
    from gencli.cli.outputs import open_result
    from gencli.commands import opening
    from gencli.files import provenance, tables
    from gencli.files.together import Together
    from gencli.models import inputs
    from gencli.training import devices

    device = devices.choose(asked.device)
    devices.precision("float32", device)
    opened = _opened(model, data, asked)
    loaded, test = opened.model, opened.more.get("test")
    check(loaded, opened.table, opened.more.get("train"))
    if loaded.options.dropout:
        console.message(f"{loaded.title}: dropout is off: the bound is of the network in evaluation mode")
    made_of = {key: value for key, value in asdict(asked).items() if key not in _NOT_ARGUMENTS}
    used = {"break" if key == "broken" else key: value for key, value in made_of.items()}

    def step() -> provenance.Step:
        arguments = used | {"run": loaded.run} | opening.computed(device)
        beside = [each for option, one in opened.more.items() for each in tables.sources(one, option)]
        return opening.step(f"bound {name}", arguments, [opened.source], [loaded], [opened.table], beside, ["scipy"])

    with Together() as together:
        write = open_result(together, output, format, opened.read)
        aside = together.open(asked.certificate, opened.read, binary=True) if asked.certificate else None
        rows = inputs.load(opened.table).to(device)
        tested = inputs.load(test).to(device) if test else None
        for remark in _copies(opened, rows, tested):
            console.message(remark)
        loaded.network.to(device)
        certificates.require_sample_alone(loaded, rows)
        with console.progress("steps", work(len(rows))) as advance:
            found, parts = certify(loaded, rows, tested, advance)
        write(found.table(), step, _said(found))
        if aside:
            certificates.write(aside, found, loaded, parts, step().to("certificate"))


def _opened(model: str, data: str | None, asked: Shared) -> _Opened:
    """Opens all that is read, and refuses what fits no bound."""
    from gencli import models
    from gencli.bounds import independence
    from gencli.cli import console
    from gencli.files.named import named_first, require_one_standard_input
    from gencli.sources import open_table

    train = getattr(asked, "train", None)
    require_one_standard_input(model, data or "-", asked.test, train)
    places = {option: place for option, place in (("test", asked.test), ("train", train)) if place}
    (source, loaded), table, *others = named_first(
        (model, lambda place: models.open_file(place, asked.arch, asked.run)),
        *((place, open_table) for place in (data, *places.values())),
    )
    more: dict[str, ImageTable] = dict(zip(places, others))
    independence.require_rows(table)
    for each in (table, *others):
        loaded.require(each)
    if (test := more.get("test")) is not None:
        independence.require_rows(test)
        independence.require_disjoint(test, table, "test rows may not enter the bound")
        if {file.sha256 for file in test.inputs} & _seen(loaded):
            console.message(f"{test.title}: the model was trained with it, so that its error says little")
    return _Opened(source, loaded, table, more)


def _copies(opened: _Opened, rows: Rows, test: Rows | None) -> list[str]:
    """Remarks on rows that are there twice under two ids; refuses many."""
    from gencli.bounds import independence
    from gencli.models import inputs

    table, train = opened.table.title, opened.more.get("train")
    found = [independence.require_few(independence.copies(rows), rows, f"{table}: copies of other rows")]
    if train is not None:
        held = independence.copies(rows, inputs.load(train))
        found.append(independence.require_few(held, rows, f"{table}: copies of rows of {train.title}"))
    if test is not None:
        title = opened.more["test"].title
        found.append(independence.require_few(independence.copies(test), test, f"{title}: copies of other rows"))
        shared = independence.copies(test, rows)
        found.append(independence.require_few(shared, test, f"{title}: copies of rows of {table}"))
    return [each for each in found if each]


def _seen(model: Model) -> set[str]:
    return set() if model.made is None else {each.sha256 for each in model.made.inputs}


def _said(found: Certificate) -> str:
    return f"error rate at most {found.bound:.2%} with probability {1 - found.delta:g}" + (
        "" if found.test_error is None else f"; {found.test_error:.2%} on test rows"
    )
