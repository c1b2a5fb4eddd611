"""Tables and figures of training histories and results."""
