"""Text that people and other programs write: JSON and CSV of documents, matrices, points, formulas."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.hostile import cases
from tests.hostile.cases import Case
from tests.hostile.child import Files, Outcome
from tests.hostile.seeds import KINDS


def documents(random: Random, seeds: Files) -> Case:
    """What `report` reads as JSON or CSV: spelled otherwise, changed, reworded or damaged."""
    kind = random.choice(KINDS[:4] if random.random() < 0.95 else KINDS)
    ending = random.choice(("json", "csv"))
    name, content = kind, seeds[f"{kind}.{ending}"]
    command = ("report", name, "--format", random.choice(("json", "csv", "md", "table", "html")))
    rows = json.loads(seeds[f"{kind}.json"])
    like: Files | None = {name: seeds[f"{kind}.json"]}
    way = random.randrange(5)
    if way == 0:
        content = (cases.spelled(random, rows) if ending == "json" else _csv(random, rows)).encode()
    elif way == 1:
        at, column = random.randrange(len(rows)), random.choice([*rows[0]])
        old = rows[at][column]
        if isinstance(old, int | float):
            rows[at][column] = random.choice((old + 1, old / 2, 0, 1, -1, 2**53, 2**63 - 1, 1e300, 0.25, float("nan")))
        elif isinstance(old, str):
            rows[at][column] = random.choice(("", "x", "é", "a,b", '"', "1", "\\", "\\u0041", "😀", "\u202e"))
        content = (cases.spelled(random, rows) if ending == "json" else _csv(random, rows)).encode()
        like = _as_parquet(name, rows)
    elif way == 2:
        changed = cases.edit(random, rows)
        text = json.dumps(changed)
        content = (cases.twice(random, text) if random.random() < 0.2 else text).encode(errors="surrogatepass")
        like = None
    elif way == 3:
        content = cases.reworded(random, content.decode()).encode(errors="surrogatepass")
        like = None
    else:
        content = cases.damaged(random, content)
        like = None
    return Case({name: content}, command, (name, seeds[f"{kind}.{ending}"]), like)


def _csv(random: Random, rows: list[dict[str, Any]]) -> str:
    sink = io.StringIO()
    quoting = random.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    writer = csv.writer(sink, quoting=quoting, lineterminator=random.choice(("\n", "\r\n")))
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow(
            ["" if each is None else json.dumps(each) if isinstance(each, list) else each for each in row.values()]
        )
    return random.choice(("", "\ufeff")) + sink.getvalue()


def _as_parquet(name: str, rows: list[dict[str, Any]]) -> Files | None:
    """The same rows by another reader."""
    columns: dict[str, Any] = {}
    for column in rows[0]:
        values = [row.get(column) for row in rows]  # provenance is in the first alone
        if any(type(each) is float for each in values):
            values = [None if each is None else float(each) for each in values]
        columns[column] = pa.array(values)
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return {name: sink.getvalue()}


def _number(random: Random, value: float) -> str:
    return random.choice(
        (
            repr(value),
            f"{value:.17e}",
            f"{value:+.20f}",
            f"{value!r}0" if "." in repr(value) and "e" not in repr(value) else repr(value),
        )
    )


def matrices(random: Random, seeds: Files) -> Case:
    """A transition matrix, spelled in many ways, with other numbers, reworded or damaged."""
    classes = [str(label) for label in range(10)]
    rows = [[0.55 if one == other else 0.05 for other in range(10)] for one in range(10)]
    right = "\n".join(",".join(map(repr, row)) for row in rows).encode()
    way = random.randrange(4)
    if way == 1:
        one, other, moved = (
            random.randrange(10),
            random.randrange(10),
            random.choice((0.01, 0.05, -0.05, 1.0, 1e-9, 1e-3)),
        )
        rows[one][other] += moved
        rows[one][one] -= moved * random.choice((1, 1, 0))
    plain = "\n".join(",".join(map(repr, row)) for row in rows).encode()
    if random.random() < 0.3:
        names = random.choice((classes, [f"c{label}" for label in classes]))
        sink = io.BytesIO()
        table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})
        pq.write_table(table, sink, compression=random.choice(("none", "zstd")))
        content = sink.getvalue()
    else:
        mark = random.choice((",", ";", "\t", " ", ", "))
        lines = [mark.join(_number(random, each) for each in row) for row in rows]
        if random.random() < 0.3:
            lines = [f"{label}{mark}{line}" for label, line in zip(classes, lines)]
            lines = [*random.choice(([], [mark.join(["label", *classes])], [mark.join(classes)])), *lines]
        elif random.random() < 0.3:
            lines = [mark.join(classes), *lines]
        if random.random() < 0.3:
            lines.insert(random.randrange(len(lines)), random.choice(("# a comment", "", "   ")))
        end = random.choice(("\n", "\r\n"))
        content = (random.choice(("", "\ufeff")) + end.join(lines) + random.choice(("", end))).encode()
    like: Files | None = {"t.parquet": seeds["t.parquet"], "x.csv": plain}
    if way == 2:
        content, like = cases.reworded(random, content.decode(errors="replace")).encode(errors="surrogatepass"), None
    elif way == 3:
        content, like = cases.damaged(random, content), None
    command = ["corrupt", "matrix-labels", "t.parquet", "--matrix", "x.csv", "-q", "-o", "out.parquet"]
    return Case({"t.parquet": seeds["t.parquet"], "x.csv": content}, tuple(command), ("x.csv", right), like)


def points(random: Random, seeds: Files) -> Case:
    """A file of points, or of answers by hand."""
    numbers = [[random.choice((0.5, 1.0, -2.0, 3.25, 1e-3)) for _ in range(2)] for _ in range(random.choice((1, 2, 3)))]
    plain = "\n".join(",".join(map(repr, row)) for row in numbers)
    mark = random.choice((",", ", ", " ", "\t", ";"))
    text = "\n".join(mark.join(_number(random, each) for each in row) for row in numbers)
    text = random.choice(("", "", f"w1{mark}w2\n")) + text + random.choice(("", "\n"))
    like: Files | None = {"p.csv": plain.encode()}
    way = random.randrange(3)
    content = text.encode()
    if way == 1:
        content, like = cases.reworded(random, text).encode(errors="surrogatepass"), None
    elif way == 2:
        content, like = cases.damaged(random, content), None
    command = ["jacobian", "-f", "x^2*y + sin(y)", "--at", "p.csv", "--step", "0.01", "-q", "--format", "json"]
    return Case({"p.csv": content}, tuple(command), ("p.csv", plain.encode()), like)


_ONE = {
    "sin": (math.sin, math.cos),
    "exp": (math.exp, math.exp),
    "tanh": (math.tanh, lambda u: 1 - math.tanh(u) ** 2),
    "square": (lambda u: u * u, lambda u: 2 * u),
    "atan": (math.atan, lambda u: 1 / (1 + u * u)),
    "sigmoid": (lambda u: 1 / (1 + math.exp(-u)), lambda u: math.exp(-u) / (1 + math.exp(-u)) ** 2),
}
Dual = tuple[float, float, float]


def _formula(random: Random, depth: int, at: tuple[float, float]) -> tuple[str, Dual]:
    """A formula's text, and its value and derivatives by dual numbers."""

    def blank() -> str:
        return random.choice(("", "", " "))

    if depth == 0 or random.random() < 0.15:
        if random.random() < 0.3:
            number = random.choice((2.0, 0.5, 3.0, 1.25))
            return random.choice((f"{number:g}", f"{number}", f"{number:.3e}")), (number, 0.0, 0.0)
        place = random.randrange(2)
        word = random.choice((("w1", "w[1]", "x1", "x"), ("w2", "w[2]", "x2", "y"))[place])
        return word, (at[place], float(place == 0), float(place == 1))
    one, (u, *du) = _formula(random, depth - 1, at)
    way = random.randrange(6)
    if way == 0:
        name = random.choice([*_ONE])
        value, slope = _ONE[name][0](u), _ONE[name][1](u)
        return f"{name}{blank()}({one})", (value, slope * du[0], slope * du[1])
    if way == 1:
        return f"-{blank()}({one})", (-u, -du[0], -du[1])
    if way == 2:
        return f"({one}){random.choice(('^', '**'))}2", (u * u, 2 * u * du[0], 2 * u * du[1])
    other, (v, *dv) = _formula(random, depth - 1, at)
    if way == 3:
        return f"({one}){blank()}*{blank()}({other})", (u * v, *(a * v + u * b for a, b in zip(du, dv)))  # type: ignore[return-value]
    if way == 4:
        return f"{one}{blank()}+{blank()}({other})", (u + v, *(a + b for a, b in zip(du, dv)))  # type: ignore[return-value]
    return f"{one}{blank()}-{blank()}({other})", (u - v, *(a - b for a, b in zip(du, dv)))  # type: ignore[return-value]


def formulas(random: Random, seeds: Files) -> Case:
    """A formula whose derivatives dual numbers know; or one that is reworded."""
    at = random.choice((0.5, 1.0, -0.75)), random.choice((0.25, 2.0, -1.5))
    while True:
        try:
            text, known = _formula(random, random.choice((1, 2, 3, 4)), at)
        except OverflowError:
            continue
        if max(map(abs, known)) < 1e6:
            break
    text = f"{text} + 0*w1 + 0*w2"
    judge: Callable[[Outcome], str | None] | None = None
    if random.random() < 0.5:
        text = cases.reworded(random, text).replace("\0", "")
        text = text if not text.startswith("-") else f" {text}"
        text = text.encode(errors="replace").decode()
    else:

        def near(outcome: Outcome) -> str | None:
            rows = json.loads(outcome.out)
            reverse = [row for row in rows if row["method"] == "reverse"]
            found = (reverse[0]["output_value"], *(row["value"] for row in reverse))
            right = all(abs(one - other) <= 1e-9 * max(1, abs(other)) for one, other in zip(found, known, strict=True))
            return None if right else f"another result: {found}, not {known}"

        judge = near

    command = ["jacobian", "-f", text, f"--at={at[0]},{at[1]}", "--step", "0.001", "-q", "--format", "json"]
    return Case({}, tuple(command), judge=judge)
