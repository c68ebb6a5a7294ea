"""JSON is read as far as it goes, and nothing that JSON does not have is taken for it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.adapters.hostup.lenient import DEEPEST, MOST_TOKENS, Ending, read_object


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("{}", Ending.WHOLE),
        ('{"a": "b"}', Ending.WHOLE),
        ('{"a": [1, -2.5e+3, true, false, null, {}, []], "b": {"c": "d"}} behind', Ending.WHOLE),
        ('{"a": "\\u00e9\\n\\/"}', Ending.WHOLE),
        ("", Ending.CUT),
        ("{", Ending.CUT),
        ('{"', Ending.CUT),
        ('{"a"', Ending.CUT),
        ('{"a": ', Ending.CUT),
        ('{"a": "b', Ending.CUT),
        ('{"a": "\\u00e', Ending.CUT),
        ('{"a": tru', Ending.CUT),
        ('{"a": 1,', Ending.CUT),
        ('{"a": [', Ending.CUT),
        ('{"a": }', Ending.DAMAGED),
        ('{"a" "b"}', Ending.DAMAGED),
        ('{"a": "b" "c": 1}', Ending.DAMAGED),
        ('{"a": "b\n"}', Ending.DAMAGED),
        ('{"a": "\\x"}', Ending.DAMAGED),
        ('{"a": 01}', Ending.DAMAGED),
        ('{"a": 1f}', Ending.DAMAGED),
        ('{"a": NaN}', Ending.DAMAGED),
        ("{'a': 1}", Ending.DAMAGED),
        ("{a: 1}", Ending.DAMAGED),
        ('{"a": 1]', Ending.DAMAGED),
        ('{"a": [1}', Ending.DAMAGED),
        ("{1: 2}", Ending.DAMAGED),
        ("[]", Ending.WHOLE),
        ('"a"', Ending.DAMAGED),
        ("]", Ending.DAMAGED),
    ],
)
def test_how_it_ends(text: str, ending: Ending) -> None:
    assert read_object(text, 0).ending is ending


@pytest.mark.parametrize("text", ['{"a": 1,}', '{"a": [1, ]}', "{,}", '{"a": 1,,}'])
def test_a_trailing_comma_is_taken_and_no_other(text: str) -> None:
    document = read_object(text, 0)
    assert document.trailing_comma == (document.ending is Ending.WHOLE) == (text in ('{"a": 1,}', '{"a": [1, ]}'))


def test_what_is_not_at_its_end() -> None:
    document = read_object('{"a": {"b": "c", "d": "e\\n', 0)
    assert [(each.path, each.name, each.text) for each in document.members] == [((), "a", None), (("a",), "b", "c")]
    assert document.pending is not None
    assert (document.pending.path, document.pending.name, document.pending.text) == (("a",), "d", "e\n")
    assert "e\\n" not in repr(document)


def test_what_is_nested_too_deep_is_damaged() -> None:
    def nested(depth: int) -> str:
        return '{"a":' * depth + "1" + "}" * depth

    assert read_object(nested(DEEPEST), 0).ending is Ending.WHOLE
    assert read_object(nested(DEEPEST + 1), 0).ending is Ending.DAMAGED


def test_what_is_too_long_is_damaged() -> None:
    assert read_object('{"a":[' + "1," * MOST_TOKENS + "1]}", 0).ending is Ending.DAMAGED


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(max_size=3), values, max_size=4), at=st.integers(0), data=st.data())
def test_it_agrees_with_json(value: dict[str, object], at: int, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1])))
    document = read_object(text, 0)
    assert (document.ending, document.end) == (Ending.WHOLE, len(text))
    strings = {name: each for name, each in value.items() if isinstance(each, str)}
    assert {each.name: each.text for each in document.members if not each.path and each.text is not None} == strings
    assert read_object(text[: at % len(text)], 0).ending is Ending.CUT
