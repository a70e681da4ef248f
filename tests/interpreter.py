"""A Python of its own for code that a test looks at from outside: what it imports, what it takes."""

import subprocess
import sys


def printed_by(code: str) -> str:
    """Return what the code prints; its exit code must be 0."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
