"""Decoding of single images: resizing and cropping as torchvision does it, orientation, what is refused."""

import io
import os
import struct
import subprocess
import zlib
from typing import Any

import numpy as np
import pytest
import torchvision.transforms.v2.functional
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gencli.sources import pixels
from gencli.sources.pixels import BadImage, encode

SIDES = st.integers(1, 40)
transforms: Any = torchvision.transforms.v2.functional  # which says that it takes tensors alone
RANDOM = np.random.default_rng(0)


def decode(values: list[bytes | None], **options: Any) -> NDArray[np.uint8]:
    return pixels.decode(values, **options)[0]


def notes(value: bytes, **options: Any) -> list[str]:
    return sorted(pixels.decode([value], **options)[1])


def picture(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    return RANDOM.integers(0, 256, (height, width, channels), dtype=np.uint8)


def file(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@given(height=SIDES, width=SIDES, channels=st.sampled_from([1, 3]), count=st.integers(1, 4))
def test_what_is_encoded_is_decoded(height: int, width: int, channels: int, count: int) -> None:
    images = RANDOM.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    assert np.array_equal(decode(list(encode(images))), images)


@given(height=SIDES, width=SIDES, size=st.one_of(st.tuples(SIDES), st.tuples(SIDES, SIDES)))
def test_size_is_what_torchvision_does(height: int, width: int, size: tuple[int, ...]) -> None:
    image = Image.fromarray(picture(height, width))
    peer = transforms.resize(image, list(size))
    assert np.array_equal(decode([file(image)], size=size)[0], np.asarray(peer))


@given(height=SIDES, width=SIDES, down=SIDES, right=SIDES)
def test_crop_is_what_torchvision_does(height: int, width: int, down: int, right: int) -> None:
    image, crop = Image.fromarray(picture(height, width)), (down, right)
    if down > height or right > width:
        with pytest.raises(BadImage, match=f"an image of {height}×{width}, smaller than the crop of {down}×{right}"):
            decode([file(image)], crop=crop)
        return
    peer = transforms.center_crop(image, list(crop))
    assert np.array_equal(decode([file(image)], crop=crop)[0], np.asarray(peer))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_an_image_that_lies_is_turned_upright(form: str) -> None:
    flat = np.zeros((8, 16, 3), np.uint8)
    flat[:, :8] = 255  # left half white
    turned = Image.Exif()
    turned[0x0112] = 6  # the left side is the top
    upright = decode([file(Image.fromarray(flat), form, exif=turned)])[0]
    assert upright.shape == (16, 8, 3)
    assert upright[:6].min() > 200
    assert upright[10:].max() < 50


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM", "TGA", "JPEG2000", "ICO", "PCX", "SGI"])
def test_other_formats_are_read_as_pillow_reads_them(form: str) -> None:
    image = Image.fromarray(np.repeat(picture(1, 1), 16 * 16, 0).reshape(16, 16, 3))
    value = file(image, form)
    assert np.array_equal(decode([value], mode="rgb")[0], np.asarray(Image.open(io.BytesIO(value)).convert("RGB")))


RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16)
DEEP = RAMP * 257  # all 16 bits
NARROWED = "more than 8 bits per value: the highest 8 are kept"


def png(bits: int, kind: int, rows: NDArray[Any], *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file by its specification: `kind` 0 is gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGBA."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", rows.shape[1], len(rows), bits, kind, 0, 0, 0)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(bits: int, data: bytes, sample: int = 1, order: str = "<", white: bool = False) -> bytes:
    """A gray TIFF file of 16×16 values by its specification: `sample` 1 is unsigned, 2 signed, 3 float."""
    entries = [(256, 16), (257, 16), (258, bits), (259, 1), (262, int(not white)), (277, 1), (339, sample)]
    entries += [(273, 8), (278, 16), (279, len(data))]
    start = 8 + len(data)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    listed = (struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in sorted(entries))
    return head + data + struct.pack(order + "H", len(entries)) + b"".join(listed) + bytes(4)


def packed(values: NDArray[Any]) -> bytes:
    """Values of 12 bits, two in three bytes."""
    first, second = values.ravel()[::2], values.ravel()[1::2]
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1).astype(np.uint8).tobytes()


def plain(values: NDArray[Any], form: str = "<u2") -> bytes:
    return values.astype(form).tobytes()


UNSIGNED = {
    "PNG": png(16, 0, DEEP.astype(">u2")),
    "TIFF little-endian": tiff(16, plain(DEEP)),
    "TIFF big-endian": tiff(16, plain(DEEP, ">u2"), order=">"),
    "TIFF of 12 bits": tiff(12, packed(DEEP >> 4)),
    "PGM": b"P5 16 16 65535\n" + plain(DEEP, ">u2"),
    "PGM of 12 bits": b"P5 16 16 4095\n" + plain(DEEP >> 4, ">u2"),
    "PGM in words": b"P2 16 16 65535\n" + " ".join(map(str, DEEP.ravel())).encode(),
    "JPEG 2000": file(Image.fromarray(DEEP), "JPEG2000"),
}


@pytest.mark.parametrize("name", UNSIGNED)
def test_gray_of_16_bits_keeps_its_high_byte_or_is_refused(name: str) -> None:
    value = UNSIGNED[name]
    assert np.array_equal(decode([value], mode="gray")[0, ..., 0], RAMP)
    assert np.array_equal(decode([value], mode="rgb")[0], np.repeat(RAMP[..., None], 3, 2))
    assert notes(value, mode="gray") == [NARROWED]
    most = 4095 if "12" in name else 65535
    with pytest.raises(BadImage, match=f"of 1[26]-bit values, here 0 to {most}.*--range LOW,HIGH"):
        decode([value])


@pytest.mark.parametrize("name", UNSIGNED)
def test_a_range_spreads_the_values_of_the_file(name: str) -> None:
    stored = (DEEP >> 4 if "12" in name else DEEP).astype(np.float64)
    low, high = 100.0, 3000.0
    expected = np.rint(((stored - low) / (high - low)).clip(0, 1) * 255)
    assert np.array_equal(decode([UNSIGNED[name]], ends=(low, high))[0, ..., 0], expected)
    assert notes(UNSIGNED[name], ends=(low, high)) == ["values outside --range become its ends"]
    assert not notes(UNSIGNED[name], ends=(0, 65535))


SIGNED = {
    "TIFF of signed 8 bits": (tiff(8, plain(RAMP - 128, "i1"), 2), RAMP.astype(int) - 128),
    "TIFF of signed 16 bits": (tiff(16, plain(DEEP.astype(int) - 32768, "<i2"), 2), DEEP.astype(int) - 32768),
    "TIFF of 32 bits": (tiff(32, plain(DEEP * 65537.0, "<u4")), DEEP * 65537.0),
    "TIFF of signed 32 bits": (tiff(32, plain(7 - DEEP * 3.0, ">i4"), 2, ">"), 7 - DEEP * 3.0),
    "TIFF of floats": (tiff(32, plain(RAMP / 255 - 0.5, "<f4"), 3), RAMP / 255 - 0.5),
    "PFM": (b"Pf\n16 16\n-1\n" + plain(RAMP[::-1] / 255, "<f4"), RAMP / 255),
}


@pytest.mark.parametrize("name", SIGNED)
def test_other_deep_images_need_a_range(name: str) -> None:
    value, stored = SIGNED[name]
    for mode in (None, "gray", "rgb"):
        with pytest.raises(BadImage, match=r"--range LOW,HIGH of `gencli data` says") as bad:
            decode([value], mode=mode)
        assert f"here {stored.min():.10g} to {stored.max():.10g}" in bad.value.args[1]
    low, high = stored.min(), stored.max()
    expected = np.rint((stored - low) / (high - low) * 255)
    assert abs(decode([value], ends=(low, high))[0, ..., 0] - expected).max() <= ("F" in name)  # float32 of the file


def test_white_is_zero_is_turned_round() -> None:
    for value in (tiff(8, plain(RAMP, "u1"), white=True), tiff(16, plain(DEEP), white=True)):
        assert np.array_equal(decode([value], mode="gray")[0, ..., 0], 255 - RAMP)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(BadImage, match="values that are not finite"):
        decode([tiff(32, plain(np.where(RAMP == 9, np.nan, 0.5), "<f4"), 3)], ends=(0, 1))


def test_values_that_leave_most_bits_empty_are_noted() -> None:
    assert notes(png(16, 0, (DEEP >> 4).astype(">u2")), mode="gray") == [
        NARROWED, "values fill less than a sixteenth of their bits: --range LOW,HIGH would keep more"
    ]  # fmt: skip


COLORS = np.stack([DEEP, DEEP[::-1], DEEP.T], -1)


@pytest.mark.parametrize(
    "value",
    [
        png(16, 2, COLORS.astype(">u2")),
        b"P6 16 16 65535\n" + plain(COLORS, ">u2"),
        file(Image.fromarray(RAMP.astype(np.uint8)), "SGI", bpc=2),
    ],
    ids=["PNG", "PPM", "SGI"],
)
def test_colours_of_16_bits_say_that_they_lose_their_low_byte(value: bytes) -> None:
    colors = decode([value])[0]
    assert np.array_equal(colors, COLORS >> 8 if colors.shape[2] == 3 else RAMP[..., None])
    assert notes(value) == [NARROWED]
    with pytest.raises(BadImage, match=r"16 bits, of which 8 are read.*omit it"):
        decode([value], ends=(0, 1))


HIDDEN = Image.fromarray(RAMP.astype(np.uint8))
TRANSPARENT = {
    "L": file(HIDDEN, transparency=3),
    "RGB": file(HIDDEN.convert("RGB"), transparency=(3, 3, 3)),
    "P": file(HIDDEN.convert("P"), transparency=3),
    "P with alphas": file(HIDDEN.convert("P"), transparency=bytes([255, 255, 255, 128])),
    "GIF": file(HIDDEN.convert("P"), "GIF", transparency=3),
    "1": file(HIDDEN.convert("1"), transparency=0),
    "I;16": file(Image.fromarray(DEEP), transparency=257),
    "LA": file(HIDDEN.convert("LA")),
    "RGBA": file(HIDDEN.convert("RGBA")),
    "PA": file(HIDDEN.convert("P").convert("PA"), "TIFF"),
    "LA of 16 bits": png(16, 4, np.stack([DEEP, DEEP], -1).astype(">u2")),
    "WebP": file(HIDDEN.convert("RGBA").rotate(45), "WEBP", lossless=True),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_transparency_in_any_spelling_needs_a_mode(name: str) -> None:
    with pytest.raises(BadImage, match=r"with transparency.*--mode rgb or gray"):
        decode([TRANSPARENT[name]])
    assert "transparency is dropped, hidden colours show" in notes(TRANSPARENT[name], mode="rgb")
    if name not in ("1", "WebP"):
        assert np.array_equal(decode([TRANSPARENT[name]], mode="gray")[0, ..., 0], RAMP)


def test_transparent_colours_that_a_palette_does_not_use_are_none() -> None:
    value = file(Image.fromarray((RAMP // 2).astype(np.uint8)).convert("P"), "GIF", transparency=255)
    assert np.array_equal(decode([value], mode="gray")[0, ..., 0], RAMP // 2)
    assert not notes(value)


def test_the_first_of_several_frames_is_used_and_it_is_noted() -> None:
    others = {"save_all": True, "append_images": [HIDDEN.rotate(90)]}
    for form in ("GIF", "PNG", "TIFF", "WEBP"):
        lossless = {"lossless": True} if form == "WEBP" else {}
        value = file(HIDDEN, form, **others, **lossless)
        assert np.array_equal(decode([value], mode="gray")[0, ..., 0], RAMP)
        assert notes(value) == ["the first of several frames or pages is used"]


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "YCbCr"])
def test_other_spaces_of_colours_are_converted_where_a_mode_says_so(mode: str) -> None:
    value = file(Image.new("RGB", (2, 2), (200, 100, 50)).convert(mode), "TIFF")  # pyright: ignore
    with pytest.raises(BadImage, match=f"an image of mode {mode}"):
        decode([value])
    assert abs(decode([value], mode="rgb")[0, 0, 0] - np.array([200, 100, 50])).max() <= 6
    assert abs(int(decode([value], mode="gray")[0, 0, 0, 0]) - 124) <= 3


@pytest.mark.parametrize(
    "value", [file(HIDDEN.convert("RGB"), "EPS"), b"\xd7\xcd\xc6\x9a" + bytes(60), b"%PDF-1.4\n", b"<svg/>"]
)
def test_formats_that_start_other_programs_are_not_decoded(value: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "check_call", lambda *given, **named: pytest.fail("started a program"))
    with pytest.raises(BadImage, match=r"of no known format.*PNG, JPEG"):
        decode([value])


def test_a_pointer_of_git_lfs_is_named() -> None:
    with pytest.raises(BadImage, match=r"is a Git LFS pointer.*git lfs pull"):
        decode([b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"])


def test_what_pillow_warns_of_is_a_note(capfd: pytest.CaptureFixture[str]) -> None:
    cut = Image.Exif()
    cut[0x010E] = "a long description of the image"
    exif = cut.tobytes()
    value = file(HIDDEN, "JPEG", exif=exif[: len(exif) - 20])
    counted = pixels.decode([value, value])[1]
    assert [note.partition(":")[0] for note in counted] == ["Pillow warns"]
    assert list(counted.values()) == [2]
    assert capfd.readouterr().err == ""


def test_an_oversized_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for side in (11, 20):  # Pillow warns of the first and refuses the second
        with pytest.raises(BadImage, match=rf"an image of {side**2} pixels in [\d,]+ bytes: more than 100") as bad:
            decode([file(Image.fromarray(picture(5, 5))), file(Image.fromarray(picture(side, side)))])
        assert bad.value.args[0] == 1


def png_with(kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk after the first."""
    value = file(Image.new("L", (8, 8)))
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return value[:33] + chunk + value[33:]


def icon(picture: bytes) -> bytes:
    """One that says it was 256×256."""
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(picture), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + picture


PAGE = zlib.compress(bytes(2 << 20), 9)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"P5 60000 60000 255\n", "an image of 3,600,000,000 pixels in 19 bytes: more than 67,108,864"),
        (b"P6 4200 4100 255\n", "an image of 4100×4200, 65 MiB of pixels in 17 bytes: more than 256 times the file"),
        (icon(file(Image.new("1", (20_000, 4_000)))), "an image of 80,000,000 pixels in"),
        (png_with(b"iTXt", b"k\0\1\0\0\0" + PAGE), "not an image: Decompressed data too large"),
        (png_with(b"zTXt", b"k\0\0" + PAGE), "not an image: Decompressed data too large"),
        (png_with(b"iCCP", b"k\0\0" + PAGE), "not an image: Decompressed data too large"),
    ],
    ids=["pixels", "pixels of 4 bytes", "icon", "iTXt", "zTXt", "iCCP"],
)
def test_bombs_are_refused_by_what_they_say(value: bytes, says: str) -> None:
    with pytest.raises(BadImage) as bad:
        decode([value])
    assert bad.value.args[1].startswith(says)


def test_large_images_of_large_files_are_read() -> None:
    assert decode([b"P6 4200 4100 255\n" + bytes(3 * 4200 * 4100)]).shape == (1, 4100, 4200, 3)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_many_frames_one_is_decoded(form: str) -> None:
    frames = [Image.new("L", (8, 8), value) for value in range(200)]
    value = file(frames[7], form, save_all=True, append_images=frames)
    assert decode([value], mode="gray")[0].mean() == pytest.approx(7, abs=1)


@pytest.mark.parametrize("options", [{}, {"size": (2_000,)}, {"size": (2_000, 2_000)}])
def test_memory_bounds_images_and_what_is_made_of_them(options: dict[str, Any]) -> None:
    value = file(Image.new("L", (30, 30 if options else 4_000)))
    with pytest.raises(BadImage, match=r"needs 8 times that, but only 0 MiB of memory are free for it"):
        decode([value], most=100_000, **options)


def test_libtiff_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    damaged = bytearray(file(Image.fromarray(picture(8, 8)), "TIFF", compression="tiff_lzw"))
    at = damaged.index(b"\x11\x01\x04\x00")  # where the pixels lie
    damaged[at + 8 : at + 12] = b"\xff\xff\xff\x7f"
    with pytest.raises(BadImage, match="not an image"):
        decode([bytes(damaged)])
    os.write(2, b"afterwards one is heard\n")
    assert capfd.readouterr().err == "afterwards one is heard\n"
