"""The tables that a chapter shows."""
