"""Sentences that are made of numbers."""
