"""The figures that a chapter shows."""
