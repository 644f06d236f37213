"""How `--help` reads: sentences are wrapped and kept whole, examples are left as they are typed."""

import inspect
from typing import Any

import click

EXAMPLE = "Example: "
"""What a line of a docstring begins with that is an example of its command."""

_AS_IT_STANDS = "\b"
"""Before a paragraph it tells click not to wrap it."""


class ManualGroup(click.Group):
    """A group whose commands are listed in the order in which they are added, a sentence each."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.help = with_examples(self.help or "")

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, its examples in a paragraph of their own."""
        cmd.help = with_examples(cmd.help or "")
        super().add_command(cmd, name)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's own
        """Return the commands, those of an administrator's day first."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a whole sentence for each command; click would cut it off."""
        listed = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, _sentence(command)) for name, command in listed])


def with_examples(text: str) -> str:
    """Return what a docstring tells, its examples gathered at the end, to be copied as they are."""
    lines = inspect.cleandoc(text).splitlines()
    examples = [line.removeprefix(EXAMPLE) for line in lines if line.startswith(EXAMPLE)]
    told = "\n".join(line for line in lines if not line.startswith(EXAMPLE)).strip()
    title = "Examples:" if len(examples) > 1 else "Example:"
    shown = "\n".join([_AS_IT_STANDS, title, *(f"  {each}" for each in examples)])
    return f"{told}\n\n{shown}" if examples else told


def _sentence(command: click.Command) -> str:
    first, _, _ = (command.help or "").partition("\n\n")
    return " ".join(first.split())
