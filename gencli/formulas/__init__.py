"""Derivatives of formulas: by the rules of calculus, by torch and by differences, checked against each other."""
