"""Errors, seeds, folders, locks, processes, versions: what every room stands on."""
