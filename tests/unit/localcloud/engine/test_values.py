"""Values on the wire, masked, compared and shown."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import struct_pb2  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from localcloud.engine.values import (
    ASSETS,
    SIGNATURE,
    UNKNOWN,
    Secret,
    decode,
    differences,
    encode,
    has_secret,
    has_unknown,
    mask,
    plain,
    show_path,
)

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5)
plain_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3) | inner.map(Secret)
    ),
)


@given(st.dictionaries(st.text(max_size=4), values, max_size=4))
def test_what_is_sent_arrives(properties: dict[str, Any]) -> None:
    assert decode(encode(properties)) == properties


@given(plain_values, plain_values)
def test_differences_are_none_exactly_for_equal_values(old: Any, new: Any) -> None:
    assert (differences(old, new) == {}) == (old == new)


@given(values)
def test_nothing_secret_is_left_after_masking(value: Any) -> None:
    assert not has_secret(mask(value))
    assert not has_secret(plain(value))
    assert has_secret(Secret(value))


def test_assets_are_refused() -> None:
    message = struct_pb2.Struct()
    message.update({"file": {SIGNATURE: ASSETS[0], "text": "x"}})
    with pytest.raises(ValueError, match="assets and archives are not supported"):
        decode(message)


def test_differences_go_as_deep_as_the_values_do() -> None:
    old = {"labels": {"a": "1", "b": "2"}, "triggers": [1, 2], "same": {"x": 1}, "gone": 1}
    new = {"labels": {"a": "1", "b": "3", "c": "4"}, "triggers": [1, UNKNOWN], "same": {"x": 1}}
    found = {show_path(path): kind for path, kind in differences(old, new).items()}
    assert found == {"labels.b": "update", "labels.c": "add", "triggers[1]": "update", "gone": "delete"}


def test_unknown_is_never_the_same() -> None:
    assert differences([UNKNOWN], [UNKNOWN]) == {(0,): "update"}
    assert has_unknown({"a": [Secret(UNKNOWN)]})


def test_paths_are_written_as_pulumi_writes_them() -> None:
    assert show_path(("labels", "a.b/c")) == 'labels["a.b/c"]'
