"""Ratios against peers, each pair measured in one run: `make bench`. No test asserts a time."""
