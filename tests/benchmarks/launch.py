"""Run a command: print its seconds, and the most memory it had in MB.

In a process of its own, which is small: what a child had is told as at least what its parent had.
"""

from __future__ import annotations

import os
import sys
import time

if __name__ == "__main__":
    started = time.perf_counter()
    silence = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[silence])
    _, status, usage = os.wait4(child, 0)
    print(time.perf_counter() - started, usage.ru_maxrss / 1024)
    sys.exit(os.waitstatus_to_exitcode(status))
