"""The shape of every `--json` answer, as the command table in the sources documents it."""

import json
import pathlib
import re

_TABLES = pathlib.Path(__file__).resolve().parents[3] / "control/cli"
_TEXT = r'R"\((.*?)\)"'
_ROW = re.compile(r'\.path = "([^"]+)".*?\.result =\s*(?:' + _TEXT + r"|(\w+),)", re.DOTALL)
_NAMED = re.compile(r"string_view (\w+) =\s*" + _TEXT, re.DOTALL)


def _documented(table):
    named = dict(_NAMED.findall(table))
    return {path: json.loads(example or named[name]) for path, example, name in _ROW.findall(table)}


# {command: example document}
DOCUMENTED = {path: example for table in sorted(_TABLES.glob("command_rows_*.cpp"))
              for path, example in _documented(table.read_text()).items()}


def differences(command, answer):
    """Where an answer departs from its command's documented shape: none, or one line each.

    Null may stand for any value; each element of an array has the shape of the example's first.
    """
    return list(_differences(DOCUMENTED[command], answer, command))


def _differences(example, answer, place):
    if answer is None:
        return
    kinds = [bool, int, float, str, dict, list]
    expected = next(kind for kind in kinds if isinstance(example, kind))
    if expected is float and type(answer) is int:
        return
    if not isinstance(answer, expected) or isinstance(answer, bool) != isinstance(example, bool):
        yield f"{place}: {answer!r} instead of {expected.__name__}"
    elif expected is dict:
        for key in example.keys() ^ answer.keys():
            yield f"{place}.{key}: {'missing' if key in example else 'not documented'}"
        for key in example.keys() & answer.keys():
            yield from _differences(example[key], answer[key], f"{place}.{key}")
    elif expected is list and example:
        for number, item in enumerate(answer):
            yield from _differences(example[0], item, f"{place}[{number}]")
