"""The format that a file's extension selects: one rule for every file that a command writes.

A supported format is written, an unsupported one is refused before the work. No extension, or one that names no format
(`x.out`, `model.v2`), leaves the choice to the command.
"""

from __future__ import annotations

from dataclasses import dataclass

from gencli.cli import stdout
from gencli.errors import GencliError

_TEXT = "table"  # what is for people; .txt may hold any text too
_OURS = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".md": "md", ".markdown": "md",
    ".txt": _TEXT, ".text": _TEXT, ".log": _TEXT, ".tex": "latex", ".html": "html", ".htm": "html",
    ".safetensors": "safetensors", ".onnx": "onnx", ".pt2": "pt2", ".png": "png", ".svg": "svg", ".pdf": "pdf",
}  # fmt: skip
_OTHERS = frozenset(
    f".{name}"
    for line in (
        "tsv xls xlsx ods arrow feather ipc orc avro yaml yml toml xml db sqlite duckdb",
        "npy npz pt pth pkl pickle joblib h5 hdf5 keras mat pb tflite gguf rds rdata",
        "gz zst bz2 xz lz4 br zip tar tgz 7z",
        "jpg jpeg gif webp bmp tif tiff eps ps rst docx odt ipynb",
    )
    for name in line.split()
)
_COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}


@dataclass(frozen=True)
class Writes:
    """The formats of an option's output file; in the option's annotation, where `options.command` enforces it.

    Attributes:
        what: what is written, in messages.
        formats: the formats that can be written.
        exact: whether the extension must name one of them.
    """

    what: str
    formats: tuple[str, ...]
    exact: bool = False

    @property
    def endings(self) -> str:
        """Those of the formats, in words."""
        endings = [next(each for each in _OURS if _OURS[each] == one) for one in self.formats]
        return " or ".join(filter(None, [", ".join(endings[:-1]), endings[-1]]))

    def require(self, option: str, destination: str | None, form: str | None = None) -> None:
        """Refuses a file whose extension names a format that is not written there, or contradicts `form`.

        Raises:
            GencliError: its extension does.
        """
        if destination is None or (stdout.is_it(destination) and not self.exact):
            return
        ending, known = _ending(destination), named(destination)
        words = self.endings
        place = f"{option}: {destination}"
        if self.exact and known not in self.formats:
            raise GencliError(f"{place}: not a {words} file", f"the extension selects the format of {self.what}")
        if ending in _COMPRESSED:
            hint = f"use the extension {words}, or write to a pipe: ... | {_COMPRESSED[ending]} > FILE"
            raise GencliError(f"{place}: {self.what} is written without compression", hint)
        if ending in _OTHERS or (known and known not in self.formats):
            drawn = "; --figure FILE draws one" if self is REPORT and known in FIGURE.formats else ""
            raise GencliError(
                f"{place}: {self.what} cannot be written as {ending}", f"use the extension {words}{drawn}"
            )
        text = known == _TEXT and form not in ("parquet", "safetensors")
        if form and known and known != form and not text:
            raise GencliError(f"{place}: its extension contradicts --format {form}", "omit --format, or rename it")


def named(destination: str | None) -> str | None:
    """The supported format that a name's extension names."""
    return None if destination is None else _OURS.get(_ending(destination))


def _ending(destination: str) -> str:
    name = destination.rpartition("/")[2].lower()
    return f".{name.rpartition('.')[2]}" if "." in name else ""


IMAGES = Writes("an image table", ("parquet",))
TENSORS = Writes("a tensor file", ("safetensors",))
MODEL = Writes("a model", ("safetensors",))
ONNX = Writes("ONNX", ("onnx",))
PT2 = Writes("a .pt2", ("pt2",))
EXPORTED = Writes("an exported model", ("onnx", "pt2"))
CHECKPOINT = Writes("a checkpoint", ("safetensors",))
RESULT = Writes("a result table", ("parquet", "csv", "json", "jsonl", "md", "table"))
DERIVATIVES = Writes("a Jacobian", (*RESULT.formats, "safetensors"))
SUM = Writes("a sum of parts", DERIVATIVES.formats)
REPORT = Writes("a report", (*RESULT.formats, "latex", "html"))
TEXT = Writes("a script", ("table",))
CRATE = Writes("an RO-Crate", ("json",))
FIGURE = Writes("a figure", ("png", "svg", "pdf"), exact=True)
SHEET = Writes("a sheet", ("png",), exact=True)
