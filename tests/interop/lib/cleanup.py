"""What a run made and must take down again, in reverse order, however the run ends.

SIGTERM acts like Ctrl-C, so the list is worked off by atexit. A run that was killed
outright leaves network namespaces; the next run finds them by the process id in their names.
"""

import atexit
import contextlib
import os
import signal

_stack = contextlib.ExitStack()
_owner = os.getpid()


def later(function, *arguments):
    """Calls function(*arguments) when the run ends."""
    _stack.callback(function, *arguments)


def now():
    """Takes everything down. Repeated calls are harmless; a forked child does nothing."""
    if os.getpid() != _owner:
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _stack.close()
    finally:
        signal.signal(signal.SIGINT, previous)


def forget():
    """Leaves everything standing, for a run that was asked to keep it."""
    _stack.pop_all()


def _interrupt(_number, _frame):
    raise KeyboardInterrupt


atexit.register(now)
for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a background job begins with SIGINT ignored
    signal.signal(_number, _interrupt)
