"""Derivatives: by rules, by torch and by differences, checked against each other."""
