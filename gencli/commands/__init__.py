"""One file per command: options, read, one call, write. No arithmetic here."""
