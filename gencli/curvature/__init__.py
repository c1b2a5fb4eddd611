"""Curvature of a model's loss: products of its Hessian and relatives with vectors, and their spectra."""
