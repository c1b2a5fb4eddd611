"""Fitting a network by gradient descent: the settings, the loop, the history."""
