"""Jacobians of networks, row by row, confirmed by routes that share no code."""
