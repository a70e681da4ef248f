"""What the papers print and claim, and whether it holds: tables, audit, claims, rules."""
