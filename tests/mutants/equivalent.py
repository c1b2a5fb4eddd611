"""Mistakes that change nothing anyone can see: file, the line with the mistake, and why."""

EQUIVALENT: dict[tuple[str, str], str] = {
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
    (
        "gencli/curvature/density.py",
        "if grid[1] - grid[0] >= sigma / 2:",
    ): "a grid of just that fineness integrates as well as a finer one",
    (
        "gencli/theory/prox_step.py",
        "step = -gradient / np.asarray(penalty * (3 if broken else 1), self.dtype)",
    ): "a claim that is broken on purpose is false by any factor",
    (
        "gencli/theory/hvp_limit.py",
        'factor = (2 if name == "forward" else 0.625) if broken else 1',
    ): "likewise",
    (
        "gencli/objectives.py",
        "return model.epoch or (epochs if type(epochs) is int and epochs >= 0 else None)",
    ): "an epoch of 0 is taken for none where this is used",
    (
        "gencli/curvature/elementary.py",
        "eps: float = 1e-5, cudnn_enable: bool = False,",
    ): "torch's functions take the argument, no value depends on it",
    (
        "gencli/sources/sets.py",
        "return np.nan_to_num(codes, nan=-2).astype(np.int64)",
    ): "a number that is no code, as -1 is",
    (
        "gencli/sources/decoded.py",
        "said[warned.most_common(2)[0][0]] = warned.total()",
    ): "the first of two is the first of one",
    (
        "gencli/reporting/speed.py",
        "_SAME = 1.25e-12  # a difference of correlations that is one of rounding",
    ): "either is far above rounding, and far below the difference of two orders",
    (
        "gencli/reporting/speed.py",
        "return np.where(apart, (values[:, None] >= values).astype(float) - (values[:, None] < values), 0.0)",
    ): "equal values are not apart, and are 0",
    (
        "gencli/reporting/page_figures.py",
        "points = max(_LEAST, min(_MOST, _POINTS // max(2, curves)))",
    ): "one curve has the most that one may have, of all the points and of half of them",
    (
        "gencli/reporting/page_figures.py",
        "ends = [_TOP + height + 16] + ([_TOP - 4] if height >= 2 * _HEIGHT else [])",
    ): "no number of rows is just as high",
    (
        "gencli/curvature/coverage.py",
        'self._v = random(self._all, 1, "cover")',
    ): "one random direction confirms as well as another",
    (
        "gencli/formulas/extended.py",
        "error < _SUFFICES * abs(derivative) or error <= min(_NOTHING, _SHRUNK * before)",
    ): "an error of exactly that is a derivative of 0, which the other condition takes",
    (
        "gencli/formulas/extended.py",
        "error <= _SUFFICES * abs(derivative) or error < min(_NOTHING, _SHRUNK * before)",
    ): "likewise",
    (
        "gencli/showing/filters.py",
        "height, width, channels = shape if isinstance(shape, list) and ours else (1, 0, 0)",
    ): "of no shape nothing is asked",
    (
        "gencli/showing/filters.py",
        "height, width, channels = shape if isinstance(shape, list) and ours else (0, 1, 0)",
    ): "of no shape nothing is asked",
    (
        "gencli/showing/filters.py",
        "height, width, channels = shape if isinstance(shape, list) and ours else (0, 0, 1)",
    ): "of no shape nothing is asked",
    (
        "gencli/reporting/page_axes.py",
        "decades = range(first, last + 2, -(-(last - first + 1) // most))",
    ): "what lies beyond the end is no tick",
    (
        "gencli/reporting/page_axes.py",
        "room = 1.0 if high - room == high and not log else room  # of numbers that are almost 0",
    ): "there, what is nothing when added is nothing when taken away",
    (
        "gencli/kernels.py",
        "_AT_ONCE = 2 << 18  # elements of a tile, which stay in the cache with what is computed from them",
    ): "how many are computed at a time",
    (
        "gencli/kernels.py",
        "step = max(1, (1 << 22) * (self.filters * math.prod(places)))",
    ): "how many images are computed at a time",
    (
        "gencli/alignment/matrices.py",
        "_AT_ONCE = 513  # rows",
    ): "how many rows are computed at a time",
    (
        "gencli/bounds/coding.py",
        "put(int(low > _QUARTER))",
    ): "an interval from a quarter on holds a quarter and a half: as many bits, and both decode",
    (
        "gencli/bounds/inversion.py",
        "return 1.0 if c == math.inf else _bisected(lambda p: kl(q, p) >= c, q)",
    ): "the root itself is either, to a step of float64",
    (
        "gencli/bounds/inversion.py",
        "return _bisected(lambda p: betainc(n - errors, errors + 1, 1 - p) <= delta, errors / n)",
    ): "likewise",
    (
        "gencli/alignment/energies.py",
        "outputs = (self.vectors @ (gone * self.parts.sum(1))).reshape(len(self.labels), -2)",
    ): "numpy takes any negative number for the one that is left",
}
