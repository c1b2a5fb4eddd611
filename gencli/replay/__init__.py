"""Making a file again: the graph of its ancestry, as a script, a makefile, a workflow, or run and compared."""
