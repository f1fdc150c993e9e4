"""Command lines as people type them: what they get wrong is said in a line, with a way out.

    parser = Parser(prog="ncadm", description="…")
    verb = add_verb(parser.add_subparsers(…), "create", "make a network", "ncadm network create home")

argparse with three changes: errors are a CannotError with the nearest word that exists, options
are not guessed from their first letters, and help is laid out as elsewhere.
"""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from runtime.failure import CannotError, Exit

NARROWEST, WIDTH = 16, 26  # of the column of names in a help text


class UsageError(CannotError):
    """The words of a command do not fit it."""

    def __init__(self, program: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(
            f"cannot run {program}: {reason}",
            hint=hint or f"see: {program} --help",
            code=Exit.USAGE,
        )


class Help(argparse.RawDescriptionHelpFormatter):
    """`-o, --output FORMAT` instead of naming the value twice; no line that only says COMMAND."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=WIDTH)
        self._action_max_length = NARROWEST  # else the longest command runs into its help

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"

    def _format_action(self, action: argparse.Action) -> str:
        text = super()._format_action(action)
        return text.partition("\n")[2] if action.nargs == argparse.PARSER else text


class Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": Help, "allow_abbrev": False, **options})

    def format_help(self) -> str:
        """Commands and arguments first, options after them."""
        groups = self._action_groups
        self._action_groups = sorted(groups, key=lambda group: group.title == "options")
        try:
            return super().format_help()
        finally:
            self._action_groups = groups

    def error(self, message: str) -> NoReturn:
        raise UsageError(self.prog, message)

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """`words` are no option and no argument of it."""
        known = [option for option in self._option_string_actions if len(option) > 2]
        asked = [word.partition("=")[0] for word in words if word.startswith("--")]
        hints = (nearest(word, known) for word in asked)
        hint = next((hint for hint in hints if hint), None)
        raise UsageError(self.prog, f"it knows no {' '.join(words)}", hint=hint)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        if action.option_strings:
            name = action.option_strings[-1]
            raise UsageError(
                self.prog,
                f"{name} can be {' or '.join(known)}, not {value!r}",
                hint=nearest(value, known),
            )
        what = str(action.metavar or action.dest).lower()
        hint = f"{what}s: {', '.join(known)}"
        raise UsageError(
            self.prog, f"there is no {what} {value!r}", hint=nearest(value, known) or hint
        )


def verbs_of(parser: argparse.ArgumentParser) -> dict[str, "Parser"]:
    """The verbs right below; argparse has no other way to look."""
    return {
        name: verb
        for action in parser._actions  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
        for name, verb in action.choices.items()
    }


def innermost(parser: "Parser", words: Iterable[str]) -> "Parser":
    """The verb that these words are about."""
    for word in words:
        parser = verbs_of(parser).get(word, parser)
    return parser


def nearest(word: str, known: Iterable[str]) -> str | None:
    """`did you mean …?`, or None when nothing is near."""
    import difflib  # noqa: PLC0415  # only who mistyped pays for it

    near = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {near[0]!r}?" if near else None


def add_verb(
    verbs: "argparse._SubParsersAction[Any]", name: str, said: str, *examples: str
) -> argparse.ArgumentParser:
    """A verb below a command: `said` is its line in the list and begins its own help."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=said, description=sentence(said))
    parser.epilog = example_text(examples)
    return parser


def sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}."


def example_text(examples: Iterable[str]) -> str | None:
    lines = [f"  {line}" for line in examples]
    return "\n".join(["examples:", *lines]) if lines else None
