"""What many runs say of every row of a training table: what is memorized, what is mislabelled, and who helps whom.

Files in, tables out: dynamics and predictions are read as `reporting` reads documents, networks are run over rows.
"""
