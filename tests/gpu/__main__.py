"""Runs the parts one after the other, each in a process of its own with a deadline, and writes one JSON and one page.

`python -m tests.gpu [--device cuda] [--tiny] [--parts A,B] [-o FOLDER]`; exit status 1 if anything was not as it must
be or did not come to its end, 2 if the device is not there.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.gpu.parts import PARTS, Setting, found

_STYLE = "body{font:15px sans-serif;max-width:75em;margin:2em auto}td,th{padding:.2em .8em;text-align:left}"
_STYLE += "td:nth-child(2){text-align:right}.no{background:#fdd}pre{background:#eee;padding:.5em;overflow-x:auto}"


def child(name: str, setting: Setting, path: Path) -> None:
    """Runs a part here and writes each row when it is found."""
    with path.open("a") as file:
        for row in found(name, setting):
            file.write(json.dumps(row.to_json()) + "\n")
            file.flush()


def run(name: str, device: str, tiny: bool, data: Path, seconds: float) -> dict[str, Any]:
    """What a part found in a process of its own, and how it ended: ok, failed, deadline, or an error."""
    start, part = time.perf_counter(), PARTS[name]
    with tempfile.TemporaryDirectory() as made:
        path, scratch, log = Path(made) / "rows", Path(made) / "scratch", Path(made) / "log"
        scratch.mkdir()
        path.touch()
        words = [sys.executable, "-m", "tests.gpu", "--device", device, "--data", str(data), "--child", name]
        words += [str(scratch), str(path), *(["--tiny"] if tiny else [])]
        ended = "deadline" if seconds < 1 else None
        if ended is None:
            with log.open("w") as file:
                process = subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True)
            try:
                process.wait(seconds)
                ended = "ok" if process.returncode == 0 else f"error, status {process.returncode}"
            except subprocess.TimeoutExpired:
                ended = "deadline"
            finally:  # and what it has started
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        said = log.read_text()[-4000:] if log.exists() else ""
    if ended == "ok" and any(row["met"] is False for row in rows):
        ended = "failed"
    took = round(time.perf_counter() - start, 1)
    told = {"name": name, "what": part.what, "ended": ended, "seconds": took, "deadline": round(seconds)}
    return told | {"rows": rows, "said": "" if ended in ("ok", "failed") else said}


def _patience(tiny: bool) -> int:
    """Times the deadlines: a rehearsal runs on one processor, beside other tests."""
    return 10 if tiny else 1


def page(report: dict[str, Any]) -> str:
    """The report as one HTML page without scripts or other files."""
    title = f"gencli on {report['device']}: {report['card']}, {report['when']}"
    lines = [f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{_STYLE}</style>"]
    lines += [f"<h1>{html.escape(title)}</h1>"]
    for part in report["parts"]:
        ended = f"{part['ended']}, {part['seconds']} s of {part['deadline']} s"
        lines.append(f"<h2>{part['name']}: {html.escape(ended)}</h2><p>{html.escape(part['what'])}</p><table>")
        lines.append("<tr><th>item<th>value<th>at most<th>met<th>note</tr>")
        for row in part["rows"]:
            value = row["value"]
            shown = f"{value:,.6g}" if isinstance(value, float | int) else value or ""
            met = {True: "yes", False: "no", None: ""}[row["met"]]
            bar = "" if row["bar"] is None else f"{row['bar']:g}"
            cells = (row["item"], f"{shown} {row['unit']}", bar, met, row["note"])
            inner = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
            lines.append(f"<tr class={met or 'none'}>{inner}</tr>")
        lines.append("</table>" + (f"<pre>{html.escape(part['said'])}</pre>" if part["said"] else ""))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests/gpu/run.sh", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes of a rehearsal")
    parser.add_argument("--parts", default=",".join(PARTS), help=", ".join(PARTS))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GENCLI_GPU_PACK", "build/gpu")) / "data")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/gpu/report"))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        name, scratch, path = given.child
        child(name, Setting(given.device, given.tiny, given.data, Path(scratch)), Path(path))
        return 0
    names = given.parts.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"no part {', '.join(unknown)}; known: {', '.join(PARTS)}")
    card = "no card"
    if given.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            print("tests/gpu/run.sh: no CUDA device is here; --device cpu --tiny rehearses", file=sys.stderr)
            return 2
        card = torch.cuda.get_device_name()
    start = time.monotonic()
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    report: dict[str, Any] = {"when": when, "device": given.device, "card": card, "tiny": given.tiny, "parts": []}
    given.output.mkdir(parents=True, exist_ok=True)
    planned = 0
    for name in names:
        planned += PARTS[name].seconds * _patience(given.tiny)
        part = run(name, given.device, given.tiny, given.data, planned - (time.monotonic() - start))
        report["parts"].append(part)
        wrong = [row for row in part["rows"] if row["met"] is False]
        print(f"{name}: {part['ended']}, {part['seconds']} s, {len(part['rows'])} rows, {len(wrong)} wrong", flush=True)
        for row in wrong[:20]:
            print(f"  {row['item']}: {row['value']} {row['unit']} (at most {row['bar']}) {row['note']}", flush=True)
        if part["said"]:
            print(part["said"][-1500:], flush=True)
        # after every part: of a machine that is taken away what was found is there
        (given.output / "gpu.json").write_text(json.dumps(report, indent=1))
        (given.output / "gpu.html").write_text(page(report))
    print(f"{given.output}/gpu.json, gpu.html: {time.monotonic() - start:.0f} s")
    return int(any(part["ended"] != "ok" for part in report["parts"]))


if __name__ == "__main__":
    sys.exit(main())
