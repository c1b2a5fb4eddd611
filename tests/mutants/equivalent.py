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
        "gencli/reporting/ranking.py",
        'return "predicts" if low >= 0 else "the wrong way"',
    ): "an interval from 0 on holds 0, and says nothing",
    (
        "gencli/reporting/ranking.py",
        "if low is None and high is None or low <= 0 <= high:",
    ): "an interval has both ends or none",
    (
        "gencli/reporting/ranking.py",
        "varied = [name for name in found[1] if len({each[name] for each in found}) > 1]",
    ): "all have the same names",
    (
        "gencli/showing/kinds.py",
        "and rows > 1",
    ): "as many rows as classes are two at least",
    (
        "gencli/reporting/predictions.py",
        "bins = np.clip(np.ceil(np.nan_to_num(confidence) * _BINS), 1, _BINS).astype(np.int64) + 1",
    ): "the numbers of bins only tell them apart",
    (
        "gencli/showing/tensors.py",
        "counted = isinstance(rows, list) and len(rows) >= 0 and all(type(each) is int for each in rows)",
    ): "where there are none it is asked again",
    (
        "gencli/showing/tensors.py",
        'return [(0, int(part)) if part.isdecimal() else (2, part) for part in re.split(r"(\\d{1,9})", name) if part]',
    ): "numbers come before words by either",
    (
        "gencli/reporting/layout.py",
        'common = ", ".join(_named(name, rows[name][1].as_py()) for name in alike if rows[name][0].as_py())',
    ): "all rows have the same there, and are two at least",
    (
        "gencli/reporting/layout.py",
        'common = ", ".join(_named(name, rows[name][0].as_py()) for name in alike if rows[name][1].as_py())',
    ): "likewise",
    (
        "gencli/reporting/edge.py",
        "settled += abs(median / level - 1) < _WITHIN",
    ): "no difference from 1 in float64 is a tenth as float64 has it",
    (
        "gencli/corruptions/given.py",
        "of_source = ids - tables.identities(table.description.name, table.description.split, 0, 2)[0]",
    ): "the first of two is the first of one",
    (
        "gencli/corruptions/given.py",
        "if rows <= len(ids) or ((of_source < 0) | (of_source >= rows)).any():",
    ): "as many as there are were joined above",
    (
        "gencli/files/together.py",
        "several = len(files) >= 1",
    ): "a file alone that cannot get its name leaves what was there",
    (
        "gencli/sources/sets.py",
        "if len(keys) == 1 and ((ids[1:] > ids[:-1]).all() and (np.diff(np.sort(ids)) > 0).all()):",
    ): "what is not seen to be distinct at once is looked at in full",
    (
        "gencli/sources/sets.py",
        "if len(keys) == 1 and ((ids[1:] > ids[:-1]).all() or (np.diff(np.sort(ids)) > 1).all()):",
    ): "likewise",
    (
        "gencli/sources/sets.py",
        "same = _grouped((part.source.sha256, part.name) for part in several) if len(several) >= 1 else {}",
    ): "one file alone is not there twice",
    (
        "gencli/evaluation/nearby.py",
        "low, high = (scale, scale) if not above else (1.0, scale)",
    ): "the search downwards sets it before it is read",
    (
        "gencli/alignment/energies.py",
        "outputs = (self.vectors @ (gone * self.parts.sum(1))).reshape(len(self.labels), -2)",
    ): "numpy takes any negative number for the one that is left",
    (
        "gencli/files/remote.py",
        "while stop > 0 and (again := self._here.find(0, stop, min(stop + _NEAR, last))) >= 0:",
    ): "a gap ends behind its first block",
    (
        "gencli/files/remote.py",
        "while stop >= 1 and (again := self._here.find(0, stop, min(stop + _NEAR, last))) >= 0:",
    ): "likewise",
    (
        "gencli/files/remote.py",
        "while stop >= 0 and (again := self._here.find(0, stop, min(stop + _NEAR, last))) > 0:",
    ): "likewise",
    (
        "gencli/files/remote.py",
        "while stop >= 0 and (again := self._here.find(0, stop, min(stop + _NEAR, last))) >= 1:",
    ): "likewise",
    (
        "gencli/files/remote.py",
        "stop = last if stop <= 0 else stop",
    ): "likewise",
    (
        "gencli/files/remote.py",
        "stop = last if stop < 1 else stop",
    ): "likewise",
    (
        "gencli/files/remote.py",
        "if start > stop:",
    ): "no bytes are read where none are wanted",
    (
        "gencli/showing/pictures.py",
        "if code[:2].isdigit():",
    ): "an escape is of digits, or one other character",
    (
        "gencli/files/folders.py",
        "content = file.read(status.st_size + 2)",
    ): "one byte more than there were tells as much as two",
    (
        "gencli/evaluation/flatness.py",
        "scale = RADIUS * _rows(own).norm(dim=1) / torch.where(lengths > 0, lengths, 2)",
    ): "a row of zeros stays so, whatever it is divided by",
    (
        "gencli/training/loop.py",
        "for tensor in chain(network.parameters(), network.buffers()) if len(self.steps.jobs) >= 1 else ():",
    ): "a network that has its numbers for itself gets a copy of them, instead of its part of those of several",
    (
        "gencli/bounds/verification.py",
        "return 1.0 if errors > n else max(errors / n, float(beta.isf(delta, errors + 1, n - errors)))",
    ): "of n errors the share is 1, and the quantile not a number, which is not larger",
    (
        "gencli/bounds/verification.py",
        "if q >= top or not excess(top) >= 0:",
    ): "a root that is the last number below 1 is found as itself",
    (
        "gencli/reporting/examples.py",
        'if not {"confidence", "variability"} < set(document.rows.column_names):',
    ): "a table of rows has their ids besides",
    (
        "gencli/reporting/examples.py",
        "words = {place: _words(rows.slice(place, 2).to_pylist()[0], found) for place in shown.tolist()}",
    ): "the first of two is the first of one",
    (
        "gencli/reporting/following.py",
        "return True",
    ): "the states end with the last one, at which it has returned",
    (
        "gencli/reporting/following.py",
        "return -2",
    ): "before any time of a file, as -1 is",
    (
        "gencli/reporting/page_axes.py",
        "first, last = math.ceil(self.low) - (len(factors) > 2), math.floor(self.high)",
    ): "there are three factors or one",
    (
        "gencli/reporting/page_axes.py",
        "low, high = (10 ** min(309, self.low), 10 ** min(308, self.high)) if self.log else (self.low, self.high)",
    ): "no number has a logarithm of 309, and the low end is below a number",
    (
        "gencli/reporting/page_axes.py",
        "if least >= -4 and max(map(abs, numbers), default=1) < 1e6:",
    ): "of no numbers none is written",
    (
        "gencli/reporting/terminal.py",
        'below, above = ("", fill * min(bar, size)) if value is None or value > 0 else (fill * size, "")',
    ): "a bar of 0 has no length on either side",
    (
        "gencli/reporting/terminal.py",
        "longest = high - low or 2",
    ): "bars of zeros have no length",
    (
        "gencli/reporting/terminal.py",
        "digits = max((len(number) for each in numbers for number in each), default=1)",
    ): "of no bars none is drawn",
    (
        "gencli/reporting/terminal.py",
        "room = min(_NAME, max(map(cell_len, names), default=1))",
    ): "of no bars none is drawn",
    (
        "gencli/reporting/ranking.py",
        'scores = [each for each in figures(run, 1.25, False) if each.get("gap") is not None]',
    ): "no epoch of a fit is taken from it",
    (
        "gencli/reporting/ranking.py",
        'scores = [each for each in figures(run, 1.0, True) if each.get("gap") is not None]',
    ): "no best epoch is taken from it",
    (
        "gencli/reporting/ranking.py",
        "names = [*ranked.settings[1]]",
    ): "all have the same names",
    (
        "gencli/reporting/speed.py",
        'epochs = [each.get("epochs_to_fit") for run in group.runs for each in figures(run, fitted_at, True)]',
    ): "no best epoch is taken from it",
}
