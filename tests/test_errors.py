"""The tree drawn at the top of errors.py is the tree of the classes."""

import inspect
import pickle
import re

import pytest

from usidx import errors

DRAWN = re.compile(r"^(?P<indent> *)(?P<name>Usid\w+|\w+Error)\b(?: \((?P<base>\w+)\))?(?P<said>.*)$")
ALSO = re.compile(r"\(also an? (\w+)\)")


def drawn_tree() -> dict[str, tuple[str, ...]]:
    """Read from the docstring: the bases of each class, by name."""
    tree: dict[str, tuple[str, ...]] = {}
    above: list[tuple[int, str]] = []
    for line in inspect.cleandoc(errors.__doc__ or "").splitlines():
        found = DRAWN.match(line)
        if found is None or not line.startswith(" "):
            continue
        indent, name = len(found["indent"]), found["name"]
        above = [(depth, parent) for depth, parent in above if depth < indent]
        bases = [found["base"]] if found["base"] else [above[-1][1]]
        tree[name] = tuple(bases + ALSO.findall(found["said"]))
        above.append((indent, name))
    return tree


def real_classes() -> dict[str, type]:
    members = inspect.getmembers(errors, inspect.isclass)
    return {name: cls for name, cls in members if cls.__module__ == errors.__name__}


def test_the_tree_names_each_class_and_no_other() -> None:
    assert sorted(drawn_tree()) == sorted(real_classes()) == sorted(errors.__all__)


@pytest.mark.parametrize("name", sorted(errors.__all__))
def test_the_tree_tells_the_bases(name: str) -> None:
    assert tuple(base.__name__ for base in real_classes()[name].__bases__) == drawn_tree()[name]


@pytest.mark.parametrize("name", sorted(errors.__all__))
def test_each_class_is_documented_and_prints_its_message(name: str) -> None:
    cls = real_classes()[name]
    assert cls.__doc__
    if name != "MissingExtraError":
        assert str(cls("'/Raw' lacks 'units'.")) == "'/Raw' lacks 'units'."


def test_a_missing_extra_says_what_to_install() -> None:
    error = errors.MissingExtraError("panel", "plot", "The explorer")
    assert str(error) == (
        "The explorer needs the package 'panel', which is not installed. Install it with: pip install 'usidx[plot]'"
    )


def make(name: str) -> errors.UsidError | errors.UsidWarning:
    if name == "MissingExtraError":
        return errors.MissingExtraError("panel", "plot", "The explorer")
    made: errors.UsidError | errors.UsidWarning = getattr(errors, name)("'/Raw' lacks 'units'.")
    return made


@pytest.mark.parametrize("name", sorted(errors.__all__))
def test_each_class_pickles_with_its_type_its_message_and_notes(name: str) -> None:
    error = make(name)
    error.__notes__ = ["seen twice"]
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.args, again.__notes__) == (str(error), error.args, ["seen twice"])


@pytest.mark.parametrize("name", sorted(errors.__all__))
def test_each_class_comes_back_from_a_worker_as_itself(name: str) -> None:
    core = pytest.importorskip("distributed.core")
    protocol = pytest.importorskip("distributed.protocol")
    error = make(name)
    try:
        raise error
    except (errors.UsidError, errors.UsidWarning) as err:
        sent = core.error_message(err)["exception"]
    again = protocol.pickle.loads(sent.data)
    assert type(again) is type(error)
    assert str(again) == str(error)
