"""Forks without exec while another thread is inside operations; then a child outlives its parent.

Prints one line for all children of the storm, then lets the last child report after the parent was
killed while it held buffers."""
import ctypes
import os
import signal
import sys
import threading

library, directory, name = sys.argv[1:4]
xmem = ctypes.CDLL(library)
xmem.xmem_bun_acquire.restype = ctypes.c_double
xmem.xmem_bun_acquire_blocking.restype = ctypes.c_double
xmem.xmem_bun_now.restype = ctypes.c_double
number = ctypes.c_double
xmem.xmem_bun_acquire.argtypes = [ctypes.c_uint32, number]
xmem.xmem_bun_acquire_blocking.argtypes = [ctypes.c_uint32, ctypes.c_uint32, number]


def open_pool():
    options = (number * 32)(*([-1] * 32))
    pool = xmem.xmem_bun_open(1, directory.encode(), name.encode(), b"python", options)
    assert pool > 0, pool
    return pool


stop = threading.Event()
rounds = 0


def work():
    """Opens, acquires, releases and closes without a pause."""
    global rounds
    while not stop.is_set():
        pool = open_pool()
        for _ in range(20):
            handle = xmem.xmem_bun_acquire(pool, 10)
            if handle >= 0:
                xmem.xmem_bun_release(pool, number(handle))
        xmem.xmem_bun_close(pool)
        rounds += 1


def in_child(pool):
    """0 when what was open is closed here, and a pool that is opened here works."""
    if xmem.xmem_bun_acquire(pool, 10) >= 0:
        return 1
    xmem.xmem_bun_close(pool)
    again = open_pool()
    handle = xmem.xmem_bun_acquire(again, 10)
    if handle < 0:
        return 2
    xmem.xmem_bun_release(again, number(handle))
    xmem.xmem_bun_close(again)
    return 0


pool = open_pool()
held = [xmem.xmem_bun_acquire(pool, 10) for _ in range(2)]
worker = threading.Thread(target=work)
worker.start()
codes = []
for _ in range(40):
    child = os.fork()
    if child == 0:
        os._exit(in_child(pool))
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
worker.join()
print("storm", sorted(set(codes)), rounds > 0, min(held) >= 0, flush=True)

parent = os.getpid()
reading, writing = os.pipe()
if os.fork() == 0:
    os.close(writing)
    survivor = open_pool()
    print("survivor opened", flush=True)
    # The end of the parent closes its end, and nobody else has it.
    os.read(reading, 1)
    deadline = number(xmem.xmem_bun_now() + 30_000)
    taken = [xmem.xmem_bun_acquire_blocking(survivor, 10, deadline) for _ in range(4)]
    while min(taken) == -100:  # a slice of the wait ended
        taken = [
            each if each >= 0 else xmem.xmem_bun_acquire_blocking(survivor, 10, deadline)
            for each in taken
        ]
    print("survivor has", len(set(taken)), min(taken) >= 0, flush=True)
    xmem.xmem_bun_close(survivor)
    os._exit(0)
os.kill(parent, signal.SIGSTOP)  # until it is killed
