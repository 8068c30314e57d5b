"""Runs a program at a terminal of its own and types a line once the terminal no longer shows what is typed.

Usage: typed.py LINE PROGRAM [ARGUMENT]...

What appeared on the terminal goes to standard error, what the program wrote to its standard output stays there.
"""

import os
import pty
import subprocess
import sys
import termios

line, program = sys.argv[1], sys.argv[2:]
near, far = pty.openpty()
child = subprocess.Popen(program, stdin=far, stderr=far)
shown = os.read(near, 4096)
while termios.tcgetattr(near)[3] & termios.ECHO and child.poll() is None:
    os.sched_yield()
os.write(near, line.encode() + b"\n")
os.close(far)
while True:
    try:
        piece = os.read(near, 4096)
    except OSError:  # nobody has the other end any more
        break
    if not piece:
        break
    shown += piece
sys.stderr.buffer.write(shown)
sys.exit(child.wait())
