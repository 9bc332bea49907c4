"""Opens a pool through the C interface, forks without exec, and says what parent and child find."""
import ctypes
import os
import sys

library, directory, name = sys.argv[1:4]
xmem = ctypes.CDLL(library)
xmem.xmem_bun_acquire.restype = ctypes.c_double
number = ctypes.c_double
xmem.xmem_bun_acquire.argtypes = [ctypes.c_uint32, number]


def open_pool():
    options = (number * 32)(*([-1] * 32))
    return xmem.xmem_bun_open(1, directory.encode(), name.encode(), b"python", options)


pool = open_pool()
handle = xmem.xmem_bun_acquire(pool, 10)
print("parent acquired", handle >= 0, flush=True)
child = os.fork()
if child == 0:
    print("child acquire", int(xmem.xmem_bun_acquire(pool, 10)), flush=True)
    xmem.xmem_bun_close(pool)
    again = open_pool()
    print("child reopened", xmem.xmem_bun_acquire(again, 10) >= 0, flush=True)
    xmem.xmem_bun_close(again)
    os._exit(0)
os.waitpid(child, 0)
xmem.xmem_bun_release(pool, number(handle))
print("parent acquires again", xmem.xmem_bun_acquire(pool, 10) >= 0, flush=True)
xmem.xmem_bun_close(pool)
