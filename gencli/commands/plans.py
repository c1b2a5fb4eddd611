"""What `gencli train` shows without training: the networks that there are, and what a run would do."""

from __future__ import annotations

from gencli.training.settings import Settings


def list_archs() -> None:
    """Writes the table of networks."""
    from gencli.outputs import write_text
    from gencli.training import plan

    write_text((plan.networks(), "For 32 x 32 x 3 images of 10 classes; operations of one image forward."))


def dry_run(settings: Settings, data: str | None) -> None:
    """Writes the plan of a run; of the data it reads what they are, no rows."""
    from gencli.outputs import write_text
    from gencli.sources import open_table
    from gencli.tables import Description
    from gencli.training.plan import plan
    from gencli.training.setup import prepare

    if data is None:
        description, rows, columns = Description("", "", tuple("0123456789"), (32, 32, 3)), 50_000, ["target"]
        title = "No data is named (- is standard input), so for"
    else:
        table = open_table(data)
        description, rows, columns, title = table.description, table.rows, table.schema.names, f"{table.title}:"
    made = plan(prepare(settings, description, columns, title.rstrip(":")), rows)
    size = " x ".join(map(str, description.shape))
    words = f"{title} {rows:,} images {size} of {len(description.classes)} classes"
    write_text((made.settings, words), (made.layers, ""), (made.totals, ""))
