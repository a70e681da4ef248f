"""How a process that trains is set up: one thread, an allocator that keeps its pages, an end with its driver's."""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import resource_tracker

import torch
from joblib.externals.loky.backend import resource_tracker as loky_tracker

from popview.common.endings import STOPS

#: Environment of a process that is started to train: its memory in huge pages, where the kernel gives them on request.
#: A few percent of the time of memory-bound layers; results do not depend on it, and another libc ignores it.
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

# Parameters of glibc's mallopt (malloc.h)
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
LARGEST = 2**31 - 1


def keep_pages() -> bool:
    """Let glibc keep freed memory for the next tensor instead of returning it to the kernel; say whether it does.

    Otherwise every large buffer is a new mapping, whose page faults cost more than the arithmetic on it. Without glibc
    nothing is changed. Results do not depend on it. Outside the main thread it holds for all memory only if the process
    was started with ``MALLOC_ARENA_MAX=1``.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all([mallopt(MMAP_THRESHOLD, LARGEST), mallopt(TRIM_THRESHOLD, LARGEST)])


@contextmanager
def one_thread() -> Iterator[None]:
    """Within this context torch computes in one thread, which makes results independent of the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def held() -> Iterator[None]:
    """Let signals that ask for an end wait for that of this context."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: handler for number in STOPS if callable(handler := signal.getsignal(number))}
    for number in before:
        signal.signal(number, lambda one, _: came.append(one))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for one in came:
            signal.raise_signal(one)


def _start_trackers() -> None:
    """Start the trackers of semaphores and shared memory, which remove what ended processes have left, in silence.

    A driver that ends may have removed a semaphore in one of its threads, and be gone before it has told the tracker.
    That would warn of a leak that is none.
    """
    name, silence = "PYTHONWARNINGS", "ignore:resource_tracker:UserWarning"
    before = os.environ.get(name)
    os.environ[name] = f"{before},{silence}" if before else silence
    try:
        for tracker in (resource_tracker, loky_tracker):
            tracker.ensure_running()
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let signals wait as in `held`; Ctrl-C never reaches what is started in this context."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _start_trackers()  # else the first process that is started would start them, and unblock the signal
    with held():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@cache
def serve(driver: int) -> None:
    """Let this process, a child of `driver`, end when that has ended, and leave signals that ask for an end to it.

    Parameters
    ----------
    driver : int
        Process id. That of this very process changes nothing.
    """
    if driver == os.getpid():
        return
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(driver,), name="watch", daemon=True).start()


def _watch(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(0.2)
    os._exit(1)
