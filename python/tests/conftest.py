"""What the tests share: pools with names of their own, and processes of Python and Bun."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

import xmem

numbers = itertools.count()
here = Path(__file__).resolve().parent


@pytest.fixture
def name() -> Iterator[str]:
    made = f"test.py.{os.getpid()}.{next(numbers)}"
    yield made
    xmem.Pool.unlink(made)


@pytest.fixture
def pool(name: str) -> Iterator[xmem.Pool]:
    with xmem.Pool.create(name, capacity=4, buffer_size=64 * 1024) as made:
        yield made


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(xmem.XmemError) as caught:
        call()
    assert str(caught.value).startswith(caught.value.code + ": ")
    return caught.value.code


class Program:
    """A process that says lines, and is told them."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def line(self) -> str:
        said = self.stdout.readline()
        assert said, f"the program ended with {self.process.wait()}"
        return said.rstrip("\n")

    def tell(self, line: str) -> None:
        self.stdin.write(line + "\n")
        self.stdin.flush()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait() == -signal.SIGKILL

    def end(self) -> str:
        """What it still says, until it ends well."""
        self.stdin.close()
        rest = self.stdout.read()
        assert self.process.wait() == 0
        return rest

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.stdin.close()
        self.stdout.close()


class Programs:
    def __init__(self) -> None:
        self.started: list[Program] = []

    def python(self, source: str, *arguments: str, **env: str) -> Program:
        code = textwrap.dedent(source)
        return self.start([sys.executable, "-u", "-c", code, *arguments], env)

    def python_file(self, path: Path) -> Program:
        return self.start([sys.executable, "-u", "-W", "error", str(path)], {})

    def bun(self, role: str, *arguments: str, **env: str) -> Program:
        return self.start([self.bun_path(), str(here / "peer.ts"), role, *arguments], env)

    @staticmethod
    def bun_path() -> str:
        bun = os.environ.get("BUN") or shutil.which("bun")
        assert bun, "the tests with Bun need it on the PATH, or its path in BUN"
        return bun

    def start(self, command: list[str], env: dict[str, str]) -> Program:
        program = Program(command, env)
        self.started.append(program)
        return program


@pytest.fixture
def programs() -> Iterator[Programs]:
    made = Programs()
    yield made
    for program in made.started:
        program.close()
