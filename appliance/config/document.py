"""config.yaml, read node by node: plain values, and the line of every one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from appliance.config.draft import Draft
from appliance.config.names import SettingPath, dotted, variable
from appliance.config.problem import Origin, Problem

if TYPE_CHECKING:
    from pathlib import Path

# Far above any real file; keeps a few lines of aliases of aliases from unfolding into gigabytes.
MAX_VALUES = 20_000

_PLAIN = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float"))
# What looks like a date, "=" or "<<" means nothing to Porchlight: it is text, quoted or not.
_TEXT = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "timestamp", "value", "merge"))
_COLLECTION = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})

# A part of PyYAML's message, and what it means. The message is never shown: some repeat a part of the file.
_MEANINGS = (
    ("found character '\\t'", "has a tab where only spaces may stand", "indent with two spaces"),
    ("found character", "has a value that starts with a special character", "put the value in quotes"),
    ("mapping values are not allowed", 'has a ":" too many', "check the indentation, and put text in quotes"),
    ("could not find expected ':'", 'has a line without ":"', 'write "name: value"'),
    ("found undefined alias", "has a value that starts with *", "put the value in quotes"),
    ("but found another document", "has a second document after ---", "keep one"),
    ("found unexpected end of stream", "has a quote that is never closed", "close it"),
)
_NO_MEANING = ("cannot be read as YAML from here on", "check the indentation, the quotes and the brackets")
# In these contexts PyYAML finds the fault far below the line that causes it.
_BEGINS_EARLIER = ("while scanning", "while parsing a flow")


def read_document(path: Path) -> Draft:
    """Read the file; what is wrong with it stands in the draft's problems. Never raises over its content."""
    place = str(path)
    draft = Draft({}, {(): Origin(place)})
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        draft.break_off(Problem(Origin(place), "", what, "check the path and the permissions"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        draft.break_off(Problem(Origin(place, line), "", "is not UTF-8 text", "save it as UTF-8"))
    else:
        _Reader(place, draft).read(text)
    return draft


def read_scalar(text: str) -> tuple[Any, bool]:
    """Return `text` as one YAML scalar, and whether it was quoted; text that is none stands for itself."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return text, False
    if node is None:
        return None, False
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _PLAIN | _TEXT:
        return text, False
    return _value(loader, node), node.style in ("'", '"')


class _Reader:
    """Turns one file's nodes into values."""

    def __init__(self, place: str, draft: Draft) -> None:
        self._place = place
        self._draft = draft
        self._left = MAX_VALUES
        self._open: set[int] = set()
        self._flat: set[int] = set()

    def read(self, text: str) -> None:
        try:
            loader = yaml.SafeLoader(text)
            root = loader.get_single_node()
            values = None if root is None else self._read(loader, root, (), None)
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            self._break_off(line, "has a character that YAML does not allow", "remove it")
        except yaml.MarkedYAMLError as error:
            self._explain(error)
        except (ValueError, OverflowError):
            # PyYAML lets these through: chr() beyond Unicode, int() of a very long version after %YAML.
            self._break_off(loader.line + 1, "has an escape that names no character", "use single quotes")
        except RecursionError:
            self._break_off(None, "nests too deeply, or repeats aliases too often", "write it out more simply")
        else:
            if isinstance(values, dict):
                self._draft.values = values
            elif values is not None:
                self._break_off(1, "is no group of settings", 'write lines of "name: value"')

    def _read(self, loader: yaml.SafeLoader, node: yaml.Node, path: SettingPath, line: int | None) -> Any:
        self._left -= 1
        if self._left < 0 or id(node) in self._open:
            raise RecursionError
        self._draft.origins[path] = Origin(self._place, line)
        if node.tag not in _PLAIN | _TEXT | _COLLECTION:
            self._refuse_tag(node, path)
            return None
        if isinstance(node, yaml.ScalarNode):
            return _value(loader, node)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._read(loader, one, (*path, i), _line(one)) for i, one in enumerate(node.value)]
            return self._mapping(loader, node, path) if isinstance(node, yaml.MappingNode) else None
        finally:
            self._open.remove(id(node))

    def _mapping(self, loader: yaml.SafeLoader, node: yaml.MappingNode, path: SettingPath) -> dict[str, Any]:
        if id(node) not in self._flat:
            self._flat.add(id(node))
            self._refuse_repeats(node, path)
            loader.flatten_mapping(node)
        values: dict[str, Any] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                values[key.value] = self._read(loader, value, (*path, key.value), _line(key))
            else:
                self._complain(_line(key), path, "has a name that is no word", 'write "name: value"')
        return values

    def _refuse_repeats(self, node: yaml.MappingNode, path: SettingPath) -> None:
        """Two equal names in one group; what "<<" brings in may be repeated, that is what it is for."""
        lines: dict[str, list[int]] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                lines.setdefault(key.value, []).append(_line(key))
        for name, found in lines.items():
            if len(found) > 1:
                what = f"is there more than once, on lines {' and '.join(map(str, found))}"
                self._complain(found[-1], (*path, name), what, "keep one of them")

    def _refuse_tag(self, node: yaml.Node, path: SettingPath) -> None:
        self._draft.refused.add(path)
        if node.tag == "!secret":
            hint = f"set the environment variable {variable(_shown(path))} instead"
            self._complain(_line(node), path, "uses !secret, which only Home Assistant itself knows", hint)
        else:
            self._complain(_line(node), path, "has a value that starts with !", "put the value in quotes")

    def _explain(self, error: yaml.MarkedYAMLError) -> None:
        context = error.context or ""
        mark = error.problem_mark
        if mark is None or (context.startswith(_BEGINS_EARLIER) and error.context_mark):
            mark = error.context_mark
        meaning = next((rest for part, *rest in _MEANINGS if part in (error.problem or "")), _NO_MEANING)
        self._break_off(None if mark is None else mark.line + 1, *meaning)

    def _complain(self, line: int, path: SettingPath, what: str, hint: str) -> None:
        self._draft.problems.append(Problem(Origin(self._place, line), dotted(_shown(path)), what, hint))

    def _break_off(self, line: int | None, what: str, hint: str) -> None:
        self._draft.break_off(Problem(Origin(self._place, line), "", what, hint))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _shown(path: SettingPath) -> SettingPath:
    """Cut off what lies deeper than any setting: it may be a password that happens to begin with a brace."""
    return path[: 3 if any(isinstance(part, int) for part in path[1:2]) else 2]


def _value(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    """Return None, a bool, int, float or str. What only looks like a number, or fits no 64 bits, is text."""
    if node.tag not in _PLAIN:
        return node.value
    try:
        value = loader.construct_object(node)
    except (ValueError, KeyError, IndexError, OverflowError):
        return node.value
    return node.value if isinstance(value, int) and value.bit_length() > 64 else value
