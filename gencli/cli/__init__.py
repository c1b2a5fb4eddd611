"""The command line: options, messages, results on their way out, and the pages made from the commands."""
