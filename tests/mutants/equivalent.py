"""Mistakes that change nothing anyone can see: file, the line with the mistake, and why."""

EQUIVALENT: dict[tuple[str, str], str] = {}
