"""What the walks rest on: pages are read as bash would, and nothing on them is left out."""

from pathlib import Path

import pytest

from tests.guides.output import shows
from tests.guides.page import PageError, commands
from tests.guides.shell import Shell
from tests.guides.walk import Walk

PAGE = """# A page
```sh
NAME=world   # for later
cat > greeting <<EOF
hello $NAME
EOF
```
## Look
```console
$ cat greeting
hello world
$ ls \\
    greeting missing  # exit code 2
...
$ echo 'two
lines'
two
lines
```
```yaml
not: a command
```
## Elsewhere
```sh
# Not run by the tests: it needs another machine.
false
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "page.md"
    file.write_text(PAGE)
    return file


@pytest.fixture
def shell(tmp_path: Path) -> "Shell":
    (tmp_path / "work").mkdir()
    return Shell(tmp_path / "work", {"PATH": "/usr/bin:/bin"})


def test_commands_are_read_over_several_lines_with_what_they_print(page: Path) -> None:
    found = commands(page)
    assert [command.line for command in found] == [3, 4, 10, 12, 15, 26]
    assert found[1].text == "cat > greeting <<EOF\nhello $NAME\nEOF"
    assert (found[3].code, found[3].expected) == (2, ("...",))
    assert found[4].expected == ("two", "lines")
    assert [command.not_run for command in found][-2:] == ["", "it needs another machine."]


def test_a_page_is_walked_in_one_shell(page: Path, shell: Shell) -> None:
    settled: list[int] = []
    with shell, Walk(page, shell, lambda: settled.append(1)) as walk:
        walk.section("A page")
        assert [ran.code for ran in walk.section("Look")] == [0, 2, 0]
        assert walk.section("Elsewhere") == []
    assert len(settled) == 5


def test_a_command_that_was_not_run_fails_the_walk(page: Path, shell: Shell) -> None:
    with (
        pytest.raises(AssertionError, match=r"page\.md:10: was not run: cat greeting"),
        shell,
        Walk(page, shell) as walk,
    ):
        walk.section("A page")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("hello world\n", "hello you\n", "the page shows\nhello you"),
        ("  # exit code 2", "", "exit code 2, and the page says 0"),
    ],
)
def test_a_page_that_is_not_true_fails_the_walk(page: Path, shell: Shell, old: str, new: str, says: str) -> None:
    page.write_text(PAGE.replace(old, new))
    with shell:
        walk = Walk(page, shell)
        walk.section("A page")
        with pytest.raises(AssertionError, match=says):
            walk.section("Look")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("```\n$ ls\n```\n", "fenced as ''"),
        ("```console\nls\n```\n", "comes before a command"),
        ("```text\nNAME\n$ ls\n```\n", r"page.md:3: '\$ ls' is fenced as 'text' and never run"),
        ("```sh\ncat <<EOF\n```\n", "does not end within its block"),
        ("```sh\nls\n", "a block without an end"),
    ],
)
def test_a_page_that_could_hide_a_command_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "page.md"
    file.write_text(text)
    with pytest.raises(PageError, match=says):
        commands(file)


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        (["a", "b"], "a\nb\n", True),
        (["a"], "a\nb\n", False),
        (["a", "..."], "a\nb\nc\n", True),
        (["...", "c"], "a\nb\nc\n", True),
        (["a", "...", "c"], "a\nc\n", True),
        (["a", "...", "a"], "a\n", False),
        (["a", "...", "x", "...", "c"], "a\nb\nc\n", False),
        (["pod mxp-controller-5659bb85df-g5cm2  12s"], "pod mxp-controller-776d9f8c6-zzzzz    3m4s", True),
        (
            ["mxp-36dcd7ce-01ed-442c-85ef-d895197fde16-system"],
            "mxp-46dcd7ce-01ed-442c-85ef-d895197fde16-system",
            False,
        ),
    ],
)
def test_output_is_compared_but_for_what_varies(expected: list[str], printed: str, same: bool) -> None:  # noqa: FBT001
    assert shows(expected, printed) is same
