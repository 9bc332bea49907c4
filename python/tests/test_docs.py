"""The programs of docs/languages.md print what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import Programs, here

from xmem import Pool

document = here.parents[1] / "docs" / "languages.md"
text = document.read_text(encoding="utf-8")
chapter = text[text.index("\n## Python\n") :]
following = re.search(r"\n## (?!Python\n)", chapter)
chapter = chapter[: following.start()] if following else chapter

programs_of = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```\n", chapter, re.DOTALL)
(producer,) = re.findall(r"```ts\n(.*?)```", chapter, re.DOTALL)
made = re.compile(r"\.(?:create|open_or_create|openOrCreate)\(\"([\w-]+)\"")


def test_every_program_of_the_chapter_is_tested() -> None:
    assert len(programs_of) == chapter.count("```python") > 5


@pytest.mark.parametrize("number", range(len(programs_of)))
def test_the_chapters_programs_print_what_it_says(
    number: int, name: str, tmp_path: Path, programs: Programs
) -> None:
    source, expected = programs_of[number]
    (pool,) = made.findall(source)
    source = source.replace(f'"{pool}"', f'"{name}"', 1)
    program = tmp_path / "program.py"
    program.write_text(source, encoding="utf-8")
    producers = []
    if number == 0:
        library = here.parents[1] / "src" / "index.ts"
        other = producer.replace('"xmem"', f'"{library}"').replace(f'"{pool}"', f'"{name}"', 1)
        (tmp_path / "producer.ts").write_text(other, encoding="utf-8")
        producers.append(programs.start([programs.bun_path(), str(tmp_path / "producer.ts")], {}))
    assert programs.python_file(program).end() == expected
    for each in producers:  # The pool is there until the last of the two has left it.
        each.end()
    assert not Pool.unlink(name)
