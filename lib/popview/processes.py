"""How a process that trains is set up: one thread, and an allocator that keeps its pages."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["keep_pages", "one_thread"]

# Parameters of glibc's mallopt (malloc.h)
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
LARGEST = 2**31 - 1


def keep_pages() -> bool:
    """Let glibc keep freed memory for the next tensor instead of returning it to the kernel; say whether it does.

    Otherwise every large buffer is a new mapping, whose page faults cost more than the arithmetic on it. Without glibc
    nothing is changed. Results do not depend on it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST)) and bool(mallopt(TRIM_THRESHOLD, LARGEST))


@contextmanager
def one_thread() -> Iterator[None]:
    """Within this context torch computes in one thread, which makes results independent of the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
