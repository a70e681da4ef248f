"""Whether the papers' printed numbers agree with one another: tables, implied tests, formulas."""
