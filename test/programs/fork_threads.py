"""Forks without exec on another thread than those that opened pools, and says what each child finds.

One thread has an open pool and a hold in it and only sleeps; another one, too; a third one forks. In
the child everything that the parent's threads opened is closed, whichever thread uses it, and the
child can open its own; the parent goes on with what it holds."""
import ctypes
import os
import sys
import threading

library, directory, name = sys.argv[1:4]
xmem = ctypes.CDLL(library)
number = ctypes.c_double
xmem.xmem_bun_acquire.restype = number
xmem.xmem_bun_acquire.argtypes = [ctypes.c_uint32, number]
xmem.xmem_bun_release.argtypes = [ctypes.c_uint32, number]


def open_pool():
    options = (number * 32)(*([-1] * 32))
    pool = xmem.xmem_bun_open(1, directory.encode(), name.encode(), b"python", options)
    assert pool > 0, pool
    return pool


opened = {}
ready = threading.Barrier(3)
end = threading.Event()


def hold(key):
    pool = open_pool()
    opened[key] = (pool, xmem.xmem_bun_acquire(pool, 10))
    assert xmem.xmem_bun_async_open(pool, 0, 0) > 0
    ready.wait()
    end.wait()
    xmem.xmem_bun_release(pool, opened[key][1])
    xmem.xmem_bun_close(pool)


def use(pool, handle):
    """What an operation on a pool of the parent answers here, after a try to release its hold."""
    xmem.xmem_bun_release(pool, handle)
    return int(xmem.xmem_bun_acquire(pool, 10))


def in_child():
    answers = [use(*opened[key]) for key in sorted(opened)]
    # A thread of the child is no better off.
    thread = threading.Thread(target=lambda: answers.extend(use(*each) for each in opened.values()))
    thread.start()
    thread.join()
    before = len(os.listdir("/proc/self/fd"))
    for pool, _ in opened.values():
        xmem.xmem_bun_close(pool)
    # The pool's file, and a waiter's end of its socket for each open.
    closed = before - len(os.listdir("/proc/self/fd"))
    again = open_pool()
    handle = xmem.xmem_bun_acquire(again, 10)
    print("child", sorted(set(answers)), handle >= 0, closed, flush=True)
    xmem.xmem_bun_close(again)


threads = [threading.Thread(target=hold, args=(key,)) for key in ("a", "b")]
for thread in threads:
    thread.start()
ready.wait()
child = os.fork()
if child == 0:
    in_child()
    # Through libc's own exit: what the library does at a process's end it does here, too.
    ctypes.CDLL(None).exit(0)
os.waitpid(child, 0)
third = open_pool()
index = 1 << 24
taken = [int(xmem.xmem_bun_acquire(third, 10)) % index for _ in range(2)]
held = [int(handle) % index for _, handle in opened.values()]
print("parent", len(set(taken + held)), flush=True)
end.set()
for thread in threads:
    thread.join()
xmem.xmem_bun_close(third)
