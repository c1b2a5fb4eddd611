"""What the ending of a file's name says of its format: one rule for every file that a command writes.

A format that the file can have is written, one that it cannot have is refused before the work. No ending, or one that
names no format (`x.out`, `model.v2`), leaves the choice to the command.
"""

from __future__ import annotations

from dataclasses import dataclass

from gencli.cli import stdout
from gencli.errors import GencliError

_TEXT = "table"  # what is for people; .txt may hold any text too
_OURS = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".json": "json", ".md": "md", ".markdown": "md",
    ".txt": _TEXT, ".text": _TEXT, ".log": _TEXT, ".tex": "latex", ".html": "html", ".htm": "html",
    ".safetensors": "safetensors", ".png": "png", ".svg": "svg", ".pdf": "pdf",
}  # fmt: skip
_OTHERS = frozenset(
    f".{name}"
    for line in (
        "jsonl ndjson tsv xls xlsx ods arrow feather ipc orc avro yaml yml toml xml db sqlite duckdb",
        "npy npz pt pth pkl pickle joblib onnx h5 hdf5 keras mat pb tflite gguf rds rdata",
        "gz zst bz2 xz lz4 br zip tar tgz 7z",
        "jpg jpeg gif webp bmp tif tiff eps ps rst docx odt ipynb",
    )
    for name in line.split()
)
_COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}


@dataclass(frozen=True)
class Writes:
    """What an option's file may be; stands in the option's annotation, where `options.command` sees to it.

    Attributes:
        what: is written.
        formats: that it is written in.
        exact: whether the ending must say which.
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
        """Refuses a place whose ending says what is not written there, or contradicts `form`.

        Raises:
            GencliError: so it is.
        """
        if destination is None or (stdout.is_it(destination) and not self.exact):
            return
        ending, known = _ending(destination), named(destination)
        words = self.endings
        place = f"{option}: {destination}"
        if self.exact and known not in self.formats:
            raise GencliError(f"{place}: not a {words} file", f"{self.what} is written as the ending says")
        if ending in _COMPRESSED:
            hint = f"end it in {words}, or write into a pipe: ... | {_COMPRESSED[ending]} > FILE"
            raise GencliError(f"{place}: {self.what} is not compressed", hint)
        if ending in _OTHERS or (known and known not in self.formats):
            raise GencliError(f"{place}: {self.what} is not written as {ending}", f"end it in {words}")
        text = known == _TEXT and form not in ("parquet", "safetensors")
        if form and known and known != form and not text:
            raise GencliError(f"{place}: its ending contradicts --format {form}", "leave --format out, or rename it")


def named(destination: str | None) -> str | None:
    """The format of ours that a name's ending names."""
    return None if destination is None else _OURS.get(_ending(destination))


def _ending(destination: str) -> str:
    name = destination.rpartition("/")[2].lower()
    return f".{name.rpartition('.')[2]}" if "." in name else ""


IMAGES = Writes("an image table", ("parquet",))
TENSORS = Writes("a tensor file", ("safetensors",))
MODEL = Writes("a model", ("safetensors",))
CHECKPOINT = Writes("a checkpoint", ("safetensors",))
RESULT = Writes("a result table", ("parquet", "csv", "json", "md", "table"))
DERIVATIVES = Writes("a Jacobian", (*RESULT.formats, "safetensors"))
REPORT = Writes("a report", (*RESULT.formats, "latex", "html"))
TEXT = Writes("provenance", ("table",))
FIGURE = Writes("a figure", ("png", "svg", "pdf"), exact=True)
SHEET = Writes("a sheet", ("png",), exact=True)
