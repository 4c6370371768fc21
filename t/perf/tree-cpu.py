#!/usr/bin/env python3
"""CPU and memory of processes by the tree.  tree-cpu.py PID [NAME]
Prints: CPU seconds of the tree's processes called NAME (those that ended and were waited for are in their parent's sum), their highest RSS in MiB."""
import os, sys

HZ, root, name = os.sysconf("SC_CLK_TCK"), int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None


def stat(pid):
    try:
        head, rest = open(f"/proc/{pid}/stat").read().rsplit(")", 1)
    except OSError:
        return None
    f = rest.split()
    return int(f[1]), head.split("(", 1)[1], [int(x) / HZ for x in f[11:15]]


procs = {int(d): s for d in os.listdir("/proc") if d.isdigit() for s in [stat(d)] if s}
todo, cpu, peak = [root], 0.0, 0.0
while todo:
    p = todo.pop()
    if p not in procs:
        continue
    todo += [c for c, s in procs.items() if s[0] == p]
    own, reaped = sum(procs[p][2][:2]), sum(procs[p][2][2:])
    if name is None or procs[p][1].startswith(name[:15]):
        cpu += own
        try:
            peak = max(peak, next(int(l.split()[1]) for l in open(f"/proc/{p}/status") if l.startswith("VmHWM")) / 1024)
        except (OSError, StopIteration):
            pass
    cpu += reaped
print("%.2f %.1f" % (cpu, peak))
