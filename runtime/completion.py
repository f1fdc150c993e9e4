"""`completion SHELL`: what makes a shell complete a program's words.

The script for each shell asks the program itself, `PROGRAM __complete WORD…`, what may stand in the
place of the last word: so it is never older than the program. The answer: a line `:words` or
`:files`, then a candidate a line, with a tab and what it means. A program may know the names of
things (`names`): it is asked by the metavar of the place, such as NETWORK.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from runtime.usage import Parser, verbs_of

FILES = ("FILE", "PATH")
SHELLS = ("bash", "zsh", "fish")
USES = (
    "source <({program} completion bash)",
    "{program} completion fish > ~/.config/fish/completions/{program}.fish",
)


class Candidate(NamedTuple):
    word: str
    meaning: str = ""


class Place(NamedTuple):
    """Where the last word stands: which verb it belongs to, what was said before it."""

    parser: Parser
    said: list[str]  # arguments that are no options
    options: dict[str, str]  # by dest
    awaited: argparse.Action | None  # an option that needs a value


Names = Callable[[str, Place], Sequence[Candidate]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    program = parser.prog.split()[0]
    parser.set_defaults(program=program)
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    lines = [f"  {line.format(program=program)}" for line in USES]
    parser.epilog = "\n".join(["how to use it:", *lines])


def run(arguments: argparse.Namespace) -> int:
    program = arguments.program
    function = "_" + program.replace("-", "_")
    print(SCRIPTS[arguments.shell].replace("@F@", function).replace("@P@", program), end="")
    return 0


def answer(parser: Parser, words: Sequence[str], names: Names | None) -> str:
    """What the scripts read; `parser` has its verbs with all their words."""
    place, last = find(parser, words[:-1]), words[-1] if words else ""
    action = awaited(place, last)
    if action is not None and action.metavar in FILES:
        return ":files\n"
    found = sorted(set(candidates(place, action, last, names)))
    return ":words\n" + "".join(f"{c.word}\t{c.meaning}\n" for c in found)


def find(parser: Parser, words: Sequence[str]) -> Place:
    place = Place(parser, [], {}, None)
    for word in words:
        place = _step(place, word)
    return place


def _step(place: Place, word: str) -> Place:
    if place.awaited is not None:
        return place._replace(options=place.options | {place.awaited.dest: word}, awaited=None)
    flag, given, value = word.partition("=")
    action = _options(place.parser).get(flag)
    if action is not None and given:
        return place._replace(options=place.options | {action.dest: value})
    if action is not None:
        return place._replace(awaited=None if action.nargs == 0 else action)
    verb = verbs_of(place.parser).get(word)
    if verb is not None:
        return Place(verb, [], place.options, None)
    return place if word.startswith("-") else place._replace(said=[*place.said, word])


def awaited(place: Place, last: str) -> argparse.Action | None:
    """The option or argument whose value the last word is; None: a verb, a flag, nothing."""
    if place.awaited is not None:
        return place.awaited
    if last.startswith("-"):
        flag, given, _ = last.partition("=")
        return _options(place.parser).get(flag) if given else None
    if verbs_of(place.parser):
        return None
    actions = [a for a in place.parser._actions if not a.option_strings]  # noqa: SLF001
    count = len(place.said)
    if count < len(actions):
        return actions[count]
    return actions[-1] if actions and actions[-1].nargs in ("*", "+") else None


def candidates(
    place: Place, action: argparse.Action | None, last: str, names: Names | None
) -> Iterator[Candidate]:
    flag, given, start = last.partition("=")
    prefix = f"{flag}=" if given and last.startswith("-") else ""
    if action is not None:
        yield from _fitting(_values(action, place, names), start if prefix else last, prefix)
    elif last.startswith("-"):
        yield from _fitting(_flags(place), last)
    else:
        yield from _fitting(_verbs(place.parser), last)


def _fitting(found: Sequence[Candidate], start: str, prefix: str = "") -> Iterator[Candidate]:
    for one in found:
        if one.word.startswith(start) and one.word.isprintable() and one.word:
            meaning = "".join(c for c in one.meaning if c.isprintable())
            yield Candidate(prefix + one.word, meaning)


def _values(action: argparse.Action, place: Place, names: Names | None) -> Sequence[Candidate]:
    if action.choices is not None:
        return [Candidate(str(choice)) for choice in action.choices]
    return names(str(action.metavar), place) if names else []


def _verbs(parser: Parser) -> list[Candidate]:
    meanings = {
        choice.dest: choice.help or ""
        for action in parser._actions  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
        for choice in action._choices_actions  # noqa: SLF001
    }
    return [Candidate(verb, meanings.get(verb, "")) for verb in verbs_of(parser)]


def _flags(place: Place) -> list[Candidate]:
    return [
        Candidate(option, _meaning(action))
        for option, action in _options(place.parser).items()
        if option.startswith("--") and action.dest not in place.options
    ]


def _meaning(action: argparse.Action) -> str:
    values: Mapping[str, Any] = {"prog": "", **vars(action)}
    return (action.help or "") % values


def _options(parser: Parser) -> dict[str, argparse.Action]:
    return parser._option_string_actions  # noqa: SLF001


BASH = """\
# @P@: completion for bash
@F@() {
    local words line out last before
    read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
    case "${COMP_LINE:0:COMP_POINT}" in *[[:space:]]) words+=("") ;; esac
    last="${words[${#words[@]}-1]}"
    COMPREPLY=()
    out=$("${COMP_WORDS[0]}" __complete "${words[@]:1}" 2>/dev/null) || return 0
    if [[ "$out" == :files* ]]; then
        compopt -o filenames 2>/dev/null
        while read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "${last#*=}")
        return 0
    fi
    before="${last%"${last##*[=:]}"}"
    while IFS=$'\\t' read -r line _; do
        [[ "$line" == :words ]] || COMPREPLY+=("${line#"$before"}")
    done <<<"$out"
}
complete -F @F@ @P@
"""

ZSH = """\
#compdef @P@
# @P@: completion for zsh
@F@() {
    local -a lines found
    local line word meaning
    lines=("${(@f)$("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ "${lines[1]}" == :files ]]; then
        _files
        return
    fi
    for line in "${(@)lines[2,-1]}"; do
        word="${line%%$'\\t'*}" meaning="${line#*$'\\t'}"
        found+=("${word//:/\\\\:}${meaning:+:$meaning}")
    done
    _describe -V '@P@' found
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u }
if [[ "${funcstack[1]}" == _@P@ ]]; then @F@ "$@"; else compdef @F@ @P@; fi
"""

FISH = """\
# @P@: completion for fish
function @F@
    set -l words (commandline -opc)
    set -l lines ($words[1] __complete $words[2..-1] (commandline -ct) 2>/dev/null)
    if test "$lines[1]" = :files
        __fish_complete_path (commandline -ct)
    else
        string join \\n -- $lines[2..-1]
    end
end
complete -c @P@ -f -a '(@F@)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
