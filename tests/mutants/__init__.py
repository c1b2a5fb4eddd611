"""`make mutants`: how many one-token mistakes in gencli the tests notice."""
