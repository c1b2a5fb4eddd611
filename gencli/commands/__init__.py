"""One file a command: options, read, one call, write. No arithmetic here."""
