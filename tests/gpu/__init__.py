"""One command for a machine with a GPU: `tests/gpu/run.sh`. What each part does is said where it is listed, in `parts`."""
