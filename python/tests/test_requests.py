"""Requests of Bun that Python answers. peer.ts asks."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from conftest import Programs, code_of

from xmem import Pool, Request


def answer(request: Request, pool: Pool) -> None:
    """0: not at all. 1: with the request itself. Else with another buffer, of one more."""
    first = request.guard.array()[0]
    if first == 0:
        return
    if first == 1:
        request.guard.array()[0] += 1
        request.reply(request.guard)
        assert code_of(lambda: request.reply(request.guard)) == "RELEASED"
        return
    reply = pool.acquire_copy(request.guard.array() + 1)
    array = reply.array()
    request.reply(reply)
    # The buffer is the asker's.
    assert array[0] == 0
    assert code_of(lambda: request.guard.array()) == "RELEASED"


ASKED = ["7", "1", "0", "20"]
ANSWERED = ["8", "2", "RELEASED", "21"]


@pytest.mark.parametrize("form", ["blocking", "async"])
def test_each_asker_gets_its_own_reply(pool: Pool, programs: Programs, form: str) -> None:
    asker = programs.bun("ask", pool.name, *ASKED)
    jobs = pool.channel("jobs")

    async def answer_all() -> None:
        async for request in jobs.requests():
            with request:
                answer(request, pool)

    if form == "async":
        asyncio.run(answer_all())
    else:
        for request in jobs.requests():
            with request:
                answer(request, pool)
    assert asker.end().splitlines() == ANSWERED
    assert pool.stats().free == 4


def test_an_exception_ends_the_askers_wait(pool: Pool, programs: Programs) -> None:
    asker = programs.bun("ask", pool.name, "7")
    with pytest.raises(ZeroDivisionError):
        for request in pool.channel("jobs").requests():
            with request:
                raise ZeroDivisionError
    assert asker.end().splitlines() == ["RELEASED"]


def test_what_is_no_request_is_refused(pool: Pool) -> None:
    jobs = pool.channel("jobs")
    jobs.send(pool.acquire_copy(np.zeros(3)))
    request = next(iter(jobs.requests()))
    assert code_of(lambda: request.reply(request.guard)) == "INVALID_ARGUMENT"
    assert code_of(lambda: request.reply(7)) == "INVALID_ARGUMENT"  # type: ignore[arg-type]
    assert request.guard.array().shape == (3,)
    request.refuse()
    request.refuse()
    assert pool.stats().free == 4
    news = pool.channel("news", mode="broadcast")
    assert code_of(news.requests) == "INVALID_ARGUMENT"


def test_a_worker_that_is_killed_ends_one_wait(pool: Pool, programs: Programs) -> None:
    worker = programs.python(
        """
        import sys, xmem
        with xmem.Pool.open(sys.argv[1]) as pool:
            for request in pool.channel("jobs").requests():
                print("has it", flush=True)
                sys.stdin.readline()
        """,
        pool.name,
    )
    asker = programs.bun("ask", pool.name, "7", "8")
    assert worker.line() == "has it"
    worker.kill()
    for request in pool.channel("jobs").requests():
        with request:
            answer(request, pool)
    assert asker.end().splitlines() == ["PEER_DIED", "9"]
