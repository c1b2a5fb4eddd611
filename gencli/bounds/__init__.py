"""Certificates: limits of a classifier's error rate that hold with a stated probability, and their verification."""
