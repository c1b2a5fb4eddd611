"""Hub tables of encoded images: every format, whole, damaged, and far larger than they seem."""

from __future__ import annotations

import io
import struct
import zlib
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.hostile import cases
from tests.hostile.cases import Case
from tests.hostile.child import Files, Outcome

_EXACT = {  # formats that lose nothing, with the settings that make them so
    "PNG": {}, "BMP": {}, "PPM": {}, "TIFF": {"compression": "tiff_lzw"}, "WEBP": {"lossless": True},
    "SGI": {}, "PCX": {},
    "TGA": {"compression": "tga_rle"}, "JPEG2000": {"irreversible": False}, "QOI": {},
}  # fmt: skip
_OTHERS = {
    "JPEG": {},
    "GIF": {},
    "AVIF": {},
    "ICO": {},
    "EPS": {},
    "PDF": {},
    "IM": {},
    "DDS": {},
    "MSP": {},
    "XBM": {},
    "SPIDER": {},
}
_CHECKED = "PNG"  # by checksums


def _encoded(random: Random, form: str, pixels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    image = Image.fromarray(pixels)
    if form in ("MSP", "XBM"):
        image = image.convert("1")
    if form == "SPIDER":
        image = image.convert("F")
    image.save(sink, form, **(_EXACT | _OTHERS)[form])
    return sink.getvalue()


def _bomb(random: Random) -> bytes:
    """An image that says it is large."""
    width, height = random.choice(
        ((30_000, 30_000), (1 << 30, 1), (9400, 9400), (1 << 31, 1 << 31), (0, 5), (65535, 65535))
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    way = random.randrange(5)
    if way < 2:
        head = struct.pack(
            ">IIBBBBB",
            width & 0xFFFFFFFF,
            height & 0xFFFFFFFF,
            random.choice((1, 8, 16)),
            random.choice((0, 2, 3, 6)),
            0,
            0,
            random.choice((0, 1)),
        )
        text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10_000_000), 9)) if way else b""
        return (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", head)
            + text
            + chunk(b"IDAT", zlib.compress(bytes(100_000)))
            + chunk(b"IEND", b"")
        )
    if way == 2:
        return (
            b"GIF89a"
            + struct.pack("<HHBBB", width & 0xFFFF, height & 0xFFFF, 0xF7, 0, 0)
            + bytes(768)
            + b",\0\0\0\0"
            + struct.pack("<HHB", width & 0xFFFF, height & 0xFFFF, 0)
            + b"\x08\x02\x4c\x01\0;"
        )
    if way == 3:
        return b"BM" + struct.pack(
            "<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, width & 0x7FFFFFFF, height & 0x7FFFFFFF, 1, 24, 0, 0, 0, 0, 0, 0
        )
    return f"P5 {width} {height} 255\n".encode() + bytes(100)


def encoded(random: Random, seeds: Files) -> Case:
    """A table of two images and their labels, as hubs publish them."""
    channels = random.choice((1, 3))
    shape = (random.choice((1, 5, 8)), random.choice((1, 6, 8)), *([3] if channels == 3 else []))
    form = random.choice([*_EXACT, *_EXACT, *_OTHERS])
    if form in ("WEBP", "QOI"):  # which have no gray
        channels, shape = 3, (*shape[:2], 3)
    pixels = [np.random.default_rng(random.randrange(2**32)).integers(0, 256, shape, dtype=np.uint8) for _ in range(2)]
    try:
        images: list[Any] = [_encoded(random, form, each) for each in pixels]
    except (KeyError, OSError, ValueError):  # not built into this Pillow, or not for such an image
        form = "PNG"
        images = [_encoded(random, form, each) for each in pixels]
    right, strange = form in _EXACT, 0.0
    way = random.randrange(4)
    if way == 1:
        damaged = cases.damaged(random, images[1])
        right = (form == _CHECKED and damaged[: len(images[1])] == images[1]) or damaged == images[1]
        strange = float(form == _CHECKED and not right)
        images[1] = damaged
    elif way == 2:
        images[1], right = _bomb(random), False
    elif way == 3 and random.random() < 0.5:
        images[1], right = (
            random.choice(
                (b"", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\xd7\xcd\xc6\x9a" + bytes(60), None)
            ),
            False,
        )
    paths = random.choice((["a.png", "b.png"], ["/etc/passwd", "../../x"], [None, None], ["\x1b[31m", "$(touch x)"]))
    values = [{"bytes": image, "path": path} for image, path in zip(images, paths)]
    column = (
        pa.array(values, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        if random.random() < 0.7
        else pa.array(images, pa.binary())
    )
    sink = io.BytesIO()
    pq.write_table(pa.table({random.choice(("image", "img")): column, "label": [0, 1]}), sink)
    command = ["data", "parquet", "hub.parquet", "-q", "-o", "out.parquet"]
    if random.random() < 0.2:
        command = [*command, "--mode", random.choice(("gray", "rgb"))]
        right = right and channels == (1 if command[-1] == "gray" else 3)
        strange = 0.0

    def judge(outcome: Outcome) -> str | None:
        if not right:
            return "accepted a damaged PNG with another result" if strange and found(outcome) != expected else None
        return None if found(outcome) == expected else "another result"

    def found(outcome: Outcome) -> list[bytes]:
        return pq.read_table(io.BytesIO(outcome.files["out.parquet"]), use_threads=False)["image"].to_pylist()

    expected = [each.tobytes() for each in pixels]
    return Case({"hub.parquet": sink.getvalue()}, tuple(command), ("hub.parquet", sink.getvalue()), judge=judge)
