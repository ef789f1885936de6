"""What a graph must be in JSON: each field with its rule. Whoever breaks one is told which node and which field it is.

A graph that passes can be drawn in every format: no count is negative, no array has more numbers than its shape, no
formula lacks a brace, and nothing is nested deeper than the code that reads it can go.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tinygraph.engine import op

__all__ = ["FAMILIES", "KINDS", "SCHEMA", "STATES", "read"]

SCHEMA = "tinygraph/2"
READ = ("tinygraph/1", SCHEMA)  # 1 has no `at`, `batch`, `derives` and `gradient_of`
LEAVES = ("input", "parameter", "constant")
KINDS = ("op", *LEAVES, "scope")
FAMILIES = (*op.FAMILIES, *LEAVES, "scope")
STATES = ("computed", "pending", "unused", "none")
SPECIAL = ("nan", "inf", "-inf")  # floats that JSON has no number for
INKS = ("value", "grad", "muted")

LARGEST = 2**63 - 1  # of a count
BITS = 1023  # of an integer: a float can hold it
NAME, SENTENCE, WORD = 20_000, 2_000, 200  # characters
AXES, SCOPES, NESTED, BRACES, BINS, OPERANDS = 64, 200, 20, 50, 1_000, 10_000

TOKEN = re.compile(r"\\(?:[A-Za-z]+|.)|[{}^_]|[^\s\\{}^_]", re.S)
BEFORE_ATOM = {"^", "_", r"\sqrt", r"\operatorname", r"\mathrm", r"\mathsf"}


class Rule(NamedTuple):
    """What a field must be, in words and as a test; and whether it may be left out."""

    words: str
    holds: Callable[[Any], bool]
    optional: bool = False


def is_count(x: Any) -> bool:
    """Whether x is an integer from 0 on."""
    return type(x) is int and 0 <= x <= LARGEST


def is_number(x: Any) -> bool:
    """Whether x is a number: a string for a float that JSON has none for."""
    return x in SPECIAL if isinstance(x, str) else type(x) is float or (type(x) is int and x.bit_length() <= BITS)


def is_text(x: Any, most: int = NAME) -> bool:
    """Whether x is a text that is not too long."""
    return isinstance(x, str) and len(x) <= most


def is_word(x: Any) -> bool:
    """Whether x is a word, or several as in the op "add, sqrt"."""
    return is_text(x, WORD) and bool(re.fullmatch(r"[\w.:/-]+(, [\w.:/-]+)*", x))


def is_dtype(x: Any) -> bool:
    """Whether x can name the type of an element."""
    return is_text(x, WORD) and x.isprintable() and bool(x)


def is_list_of(holds: Callable[[Any], bool], most: int = LARGEST) -> Callable[[Any], bool]:
    """Return a test for a list of which each item passes a test."""
    return lambda x: isinstance(x, list) and len(x) <= most and all(map(holds, x))


def is_template(x: Any) -> bool:
    """Whether x is LaTeX that can be read, and is not too long."""
    return is_text(x, SENTENCE) and is_whole(x)


def is_whole(tex: str) -> bool:
    """Whether the braces of LaTeX close, each ^ and root has an operand, and nothing is nested deeply."""
    depth = waiting = 0  # open braces; commands that wait for an operand
    for part in TOKEN.findall(tex):
        if part == "}" and waiting:
            return False
        depth += (part == "{") - (part == "}")
        waiting = waiting + 1 if part in BEFORE_ATOM else 0
        if not 0 <= depth + waiting <= BRACES or depth < 0:
            return False
    return depth == waiting == 0


def is_plain(x: Any, depth: int = 0) -> bool:
    """Whether x is a parameter as `values.encode` writes it."""
    if isinstance(x, list):
        return depth < NESTED and all(is_plain(item, depth + 1) for item in x)
    if not isinstance(x, dict):
        return x is None or isinstance(x, bool) or is_text(x) or is_number(x)
    if len(x) == 1:
        ((key, inner),) = x.items()
        test = TAGS.get(key)
        return test is not None and test(inner) and is_plain(inner, depth + 1)
    is_array = x.keys() == {"array", "shape", "dtype"} and is_shape(x["shape"]) and is_dtype(x["dtype"])
    return is_array and isinstance(x["array"], list) and is_plain(x["array"], depth + 1)


is_shape = is_list_of(is_count, AXES)
TAGS: dict[str, Callable[[Any], bool]] = {
    "slice": lambda x: isinstance(x, list) and len(x) == 3,
    "tuple": lambda x: isinstance(x, list),
    "ellipsis": lambda x: x is True,
    "dtype": is_dtype,
    "float": lambda x: x in SPECIAL,
}


def is_params(x: Any) -> bool:
    """Whether x is a list of [name, value], each name once."""
    pairs = isinstance(x, list) and all(isinstance(p, list) and len(p) == 2 and is_word(p[0]) for p in x)
    return pairs and len({name for name, _ in x}) == len(x) and all(is_plain(value) for _, value in x)


def is_tag(x: Any) -> bool:
    """Whether x is a pair of a node and one of its inputs, or passes; -1 stands for none of them."""
    return isinstance(x, list) and len(x) == 2 and is_count(x[0]) and (is_count(x[1]) or x[1] == -1)


def is_axes(x: Any) -> bool:
    """Whether x is an axis, several, or null for all."""
    axes = x["tuple"] if isinstance(x, dict) and "tuple" in x else x
    return all(type(a) is int for a in axes) if isinstance(axes, list) else axes is None or type(axes) is int


def or_null(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a test that null passes, too."""
    return lambda x: x is None or holds(x)


def one_of(words: Iterable[str], optional: bool = False) -> Rule:
    """Return the rule that a field is one of some words."""
    known = tuple(words)
    return Rule("one of " + ", ".join(known), lambda x: isinstance(x, str) and x in known, optional)


COUNT = Rule("an integer from 0 on", is_count)
STATISTIC = Rule('a number, "nan", "inf", "-inf" or null', or_null(is_number))
SHAPE = Rule(f"a list of at most {AXES} lengths", is_shape)
DTYPE = Rule("the name of a type", is_dtype)
TEMPLATE = Rule(f"LaTeX of up to {SENTENCE:,} characters whose braces close", is_template, optional=True)
OBJECT = Rule("an object or null", or_null(lambda x: isinstance(x, dict)))

GRAPH = {
    "schema": one_of(READ),
    "nodes": Rule("a list", lambda x: isinstance(x, list)),
    "outputs": Rule("a list of ids", is_list_of(is_count)),
    "notes": Rule("a list of texts", is_list_of(is_text)),
}
NODE = {
    "id": COUNT,
    "op": Rule("a word or null", or_null(is_word)),
    "kind": one_of(KINDS),
    "family": one_of(FAMILIES),
    "shape": SHAPE,
    "dtype": DTYPE,
    "name": Rule(f"a text of up to {NAME:,} characters or null", or_null(is_text), optional=True),
    "scope": Rule(f"a list of at most {SCOPES} names", is_list_of(is_text, SCOPES)),
    "inputs": Rule(f"a list of at most {OPERANDS:,} edges", is_list_of(lambda x: isinstance(x, dict), OPERANDS)),
    "params": Rule("a list of [name, value], each name once", is_params),
    "tex": TEMPLATE,
    "says": Rule(f"a text of up to {SENTENCE:,} characters", lambda x: is_text(x, SENTENCE), optional=True),
    "requires_grad": Rule("true or false", lambda x: isinstance(x, bool), optional=True),
    "value": OBJECT,
    "grad": OBJECT,
    "grad_state": one_of(STATES, optional=True),
    "saved": COUNT._replace(optional=True),
    "at": Rule(f"a text of up to {WORD} characters", lambda x: is_text(x, WORD), optional=True),
    "batch": Rule("a list of axes, ascending, or null", or_null(is_shape), optional=True),
    "derives": Rule("[node, input or -1] or null", or_null(is_tag), optional=True),
    "gradient_of": Rule("a list of [node, number]", is_list_of(is_tag), optional=True),
}
EDGE = {
    "source": COUNT,
    "operand": Rule("a word", is_word),
    "partial": TEMPLATE,
    "copies": Rule("an integer from 1 on", lambda x: is_count(x) and x > 0, optional=True),
    "grad": OBJECT,
}
SUMMARY = {
    "shape": SHAPE,
    "dtype": DTYPE,
    "mean": STATISTIC,
    "std": STATISTIC,
    "min": STATISTIC,
    "max": STATISTIC,
    "zeros": COUNT,
    "nans": COUNT,
    "infs": COUNT,
    "nbytes": COUNT,
    "norm": STATISTIC._replace(optional=True),
    "histogram": Rule(f"a list of at most {BINS:,} counts", is_list_of(is_count, BINS)),
    "values": Rule("a list or null", or_null(lambda x: isinstance(x, list))),
    "masked": COUNT._replace(optional=True),
}
CARD = {  # what the card of a collapsed scope says
    "ops": COUNT,
    "nodes": COUNT,
    "parameters": COUNT._replace(optional=True),
    "repeat": COUNT._replace(optional=True),
    "courses": Rule("a list of [what, ink, numbers]", lambda x: is_list_of(is_course)(x), optional=True),
    "results": Rule("a list of names or nulls", lambda x: is_list_of(is_label)(x), optional=True),
    "options": Rule("a text", is_text, optional=True),
}


def is_label(x: Any) -> bool:
    """Whether x is a name, or null for none."""
    return x is None or is_text(x)


def is_course(x: Any) -> bool:
    """Whether x says how a figure changes from block to block."""
    if not (isinstance(x, list) and len(x) == 3):
        return False
    what, ink, numbers = x
    return is_text(what) and ink in INKS and bool(numbers) and is_list_of(is_number)(numbers)


def read(text: str) -> dict[str, Any]:
    """Return what the JSON of a graph holds, if it is one.

    Args:
        text: JSON.

    Returns:
        Its object, in which every field is what docs/graph.md says.

    Raises:
        ValueError: it is no JSON, or no graph; the message says in one line which node and which field it is.

    >>> read('{"schema": "tinygraph/2", "nodes": [], "outputs": [0], "notes": []}')
    Traceback (most recent call last):
    ...
    ValueError: Graph.from_json: outputs is [0]; each must be below the number of nodes, which is 0
    """
    try:
        raw = json.loads(text, parse_constant=refuse_constant)
    except RecursionError:
        raise ValueError("Graph.from_json: this JSON is nested too deeply for a graph") from None
    except ValueError as error:  # also an integer of thousands of digits
        raise ValueError(f"Graph.from_json: this is no JSON: {error}") from None
    found = raw.get("schema") if isinstance(raw, dict) else type(raw).__name__
    if not isinstance(raw, dict) or found not in READ:
        raise ValueError(f"Graph.from_json: the schema must be {SCHEMA!r} or {READ[0]!r}, and is {reprlib.repr(found)}")
    check_fields(raw, GRAPH, "")
    nodes = raw["nodes"]
    for place, node in enumerate(nodes):
        check_node(node, place, nodes)
    if any(i >= len(nodes) for i in raw["outputs"]):
        refuse("", "outputs", raw["outputs"], f"each must be below the number of nodes, which is {len(nodes)}")
    return raw


def refuse_constant(word: str) -> float:
    """Refuse NaN and Infinity, which Python writes and JSON has not."""
    raise ValueError(f'it has no number {word}: write it as a string, "nan", "inf" or "-inf"')


def refuse(where: str, field: str, value: Any, words: str) -> None:
    """Raise the error that a field is not what it must be."""
    raise ValueError(f"Graph.from_json: {where}{field} is {reprlib.repr(value)}; {words}")


def check_fields(raw: Any, rules: Mapping[str, Rule], where: str) -> None:
    """Check that an object has the fields that it must have, and no others, and that each keeps its rule."""
    if not isinstance(raw, dict):
        raise ValueError(f"Graph.from_json: {where}it is {reprlib.repr(raw)}; it must be an object")
    for name in raw:
        if name not in rules:
            raise ValueError(f"Graph.from_json: {where}{reprlib.repr(name)} is no field: they are {', '.join(rules)}")
    for name, rule in rules.items():
        if name not in raw:
            if not rule.optional:
                raise ValueError(f"Graph.from_json: {where}the field {name} is missing")
        elif not rule.holds(raw[name]):
            refuse(where, name, raw[name], f"it must be {rule.words}")


def check_node(raw: Any, place: int, nodes: list[Any]) -> None:
    """Check a node, its edges, its value and its gradient."""
    where = f"node {place}: "
    check_fields(raw, NODE, where)
    if raw["id"] != place:
        refuse(where, "id", raw["id"], f"it must be its place, {place}")
    check_kind(raw, where)
    size = math.prod(raw["shape"])
    if size > LARGEST:
        refuse(where, "shape", raw["shape"], "it has more elements than any array")
    for k, edge in enumerate(raw["inputs"]):
        check_edge(edge, place, nodes, f"{where}input {k}: ")
    for name in ("value", "grad"):
        check_summary(raw[name], size, f"{where}{name}: ")
    if (raw["grad"] is not None) != (raw.get("grad_state", "none") == "computed"):
        refuse(where, "grad_state", raw.get("grad_state", "none"), 'it must be "computed" where there is a grad')
    batch = raw.get("batch") or []
    if batch != sorted(set(batch)) or any(axis >= len(raw["shape"]) for axis in batch):
        refuse(where, "batch", batch, f"it must have axes of the shape {raw['shape']}, ascending")
    for name, tags in (
        ("derives", [raw["derives"]] if raw.get("derives") else []),
        ("gradient_of", raw.get("gradient_of", [])),
    ):
        if any(i >= len(nodes) for i, _ in tags):
            refuse(where, name, raw[name], f"there are {len(nodes)} nodes")


def check_kind(raw: dict[str, Any], where: str) -> None:
    """Check that a node has what its kind asks for: an op its name, a card its counts, a leaf no inputs."""
    if (raw["op"] is not None) != (raw["kind"] == "op"):
        refuse(
            where, "op", raw["op"], f"of the kind {raw['kind']} it must be {'a word' * (raw['kind'] == 'op') or 'null'}"
        )
    if raw["kind"] == "scope":
        facts = {name: value for name, value in raw["params"] if name in CARD}
        check_fields(facts, CARD, f"{where}params: ")
    elif raw["family"] == "reduction":
        if not is_axes(axis := dict(raw["params"]).get("axis")):
            refuse(where, "axis", axis, "it must be an integer, several of them, or null")
    elif raw["op"] is None and raw["inputs"]:
        raise ValueError(f"Graph.from_json: {where}it has inputs, and an {raw['kind']} is made from nothing")


def check_edge(raw: Any, place: int, nodes: list[Any], where: str) -> None:
    """Check an edge to the node at a place."""
    check_fields(raw, EDGE, where)
    if raw["source"] >= place:
        refuse(where, "source", raw["source"], f"it must stand before node {place}")
    source = nodes[raw["source"]]  # it has passed
    size = None if source["kind"] == "scope" else math.prod(source["shape"])  # a card has several results
    check_summary(raw["grad"], size, f"{where}grad: ")


def check_summary(raw: Any, size: int | None, where: str) -> None:
    """Check a summary of as many elements as its node has."""
    if raw is None:
        return
    check_fields(raw, SUMMARY, where)
    count = math.prod(raw["shape"])
    if size is not None and count != size:
        refuse(where, "shape", raw["shape"], f"it must have {size} elements, as its node")
    if len({raw[name] is None for name in ("mean", "std", "min", "max")}) > 1:
        refuse(where, "mean", raw["mean"], "mean, std, min and max must all be numbers, or all be null")
    for name in ("zeros", "nans", "infs", "masked"):
        if raw.get(name, 0) > count:
            refuse(where, name, raw[name], f"there are {count} elements")
    if sum(raw["histogram"]) > count:
        refuse(where, "histogram", raw["histogram"], f"there are {count} elements")
    check_values(raw, count, where)


def check_values(raw: dict[str, Any], count: int, where: str) -> None:
    """Check the elements of an array: as many as the shape says, each a number, a text, true, false or null."""
    values = raw["values"]
    if values is None:
        return
    if len(values) != count:
        refuse(where, "values", values, f"it must have {count} elements, as the shape says, and has {len(values)}")
    numeric = is_numeric(raw["dtype"])
    for value in values:
        if not (isinstance(value, bool) or is_number(value) or (not numeric and (value is None or is_text(value)))):
            refuse(where, "values", value, "an element must be a number")


def is_numeric(dtype: str) -> bool:
    """Whether the elements of a type are numbers: then "nan" among them is one, too."""
    return bool(re.fullmatch(r"(torch\.)?(b?float|u?int|bool)\d*", dtype))
