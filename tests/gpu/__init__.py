"""One command for a machine with a GPU, `tests/gpu/run.sh`; what its parts do is said in `parts`."""
