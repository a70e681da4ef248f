"""Stored runs → tables of numbers: SetA and SetB, comparisons, ensembles, time to target."""
