"""What is to be computed (specs, profiles, experiments), and computing, searching, storing, pricing it."""
