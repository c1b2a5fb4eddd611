"""Mistakes that change nothing anyone can see: file, the line with the mistake, and why."""

EQUIVALENT: dict[tuple[str, str], str] = {
    (
        "gencli/jacobians/rows.py",
        "return found[0].flatten(1) if of_input else self.join(dict(zip(point, found, strict=False)))[None]",
    ): "torch returns one gradient per tensor that it is given",
    (
        "gencli/files/named.py",
        "if soft <= count + 100:",
    ): "a limit that is just enough is set to what it is",
    (
        "gencli/evaluation/predictions.py",
        "_BATCH, _DENSE_BATCH = 251, 1000",
    ): "how many rows a pass takes: no row's numbers depend on those beside it",
    (
        "gencli/sources/encoded.py",
        "_FEW = 17",
    ): "how many values are read at a time, where they are large",
}
