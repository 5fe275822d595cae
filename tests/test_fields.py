"""Values of fields from flags and from JSON: what is one is taken, and all else is refused by one sentence."""

import json

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

import jgan
from jgan import fields

CONTROLS = {
    "label": fields.Label(("cat", "dog", "7")),
    "look": fields.Attributes(("red", "blue", "striped"), exclusive=("red", "blue")),
    "truncation": fields.Amount(0.1, 1.0, 1.0),
    "z": fields.Code(("z",)),
}
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["cat", "red", "nan", "1e999", "-1", "٣", "1_0"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=5) | st.sampled_from(["red", "blue", "striped"]), inner, max_size=3),
        st.fixed_dictionaries({"between": st.lists(inner, max_size=3), "share": inner}),
    ),
    max_leaves=6,
)


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
@hypothesis.given(
    st.one_of(values, st.dictionaries(st.sampled_from([*CONTROLS, "zoom", "\n"]), values, max_size=3))
)
def test_any_json_is_a_value_or_refused_by_one_sentence(tree):
    try:
        found = fields.check(CONTROLS, tree)
    except jgan.UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 300
        return
    assert set(found) == set(tree)
    for name, value in found.items():
        if name == "label":
            assert value.dtype == np.int32 and 0 <= value < 3
        elif name == "look":
            known = value[~np.isnan(value)]
            assert value.shape == (3,) and ((known >= 0) & (known <= 1)).all()
        elif name == "truncation":
            assert 0.099 < value <= 1


@pytest.mark.parametrize(
    "value",
    [0, 2**32 - 1, "12", [0.5, -1], {"between": [3, [1.0, 2.0]], "share": 0.25}],
    ids=str,
)
def test_what_is_a_code(value):
    found = CONTROLS["z"].check(json.loads(json.dumps(value)))
    assert isinstance(found, int | tuple | fields.Between)


def test_a_code_of_a_flag_may_name_the_file_of_a_picture(tmp_path, monkeypatch):
    file = tmp_path / "12"
    file.write_bytes(b"")
    assert CONTROLS["z"].parse(str(file)) == str(file)
    with pytest.raises(jgan.UserError, match="the file of a picture"):
        CONTROLS["z"].parse(str(tmp_path / "none.png"))
    # Numbers are seeds, whatever files are called, and what comes in JSON names no file.
    monkeypatch.chdir(tmp_path)
    assert CONTROLS["z"].parse("12") == 12 and CONTROLS["z"].check("12") == 12
    with pytest.raises(jgan.UserError, match="no seed"):
        CONTROLS["z"].check(str(file))


def test_of_very_many_attributes_the_first_are_shown_at_once():
    """All together would be the square of their number."""
    many = tuple(f"a{k}" for k in range(10_000))
    for exclusive in ((), many):
        shown = fields.Attributes(many, exclusive=exclusive).spread()
        title, value = next(shown)
        assert title == "a0" and value[0] == 1 and np.isnan(value[1:]).all() != bool(exclusive)
        assert next(shown)[0] == ("a1" if exclusive else "no a0")


def test_sentences_show_wrong_values_as_they_are_and_long_ones_in_part():
    for control in ("label", "z"):
        with pytest.raises(
            jgan.UserError, match="'None' is neither a text nor a whole number: .* would work"
        ):
            CONTROLS[control].check(None)
    for text in ("label=", "look=", "look=red,red", "", "x=", "truncation=", "z="):
        with pytest.raises(jgan.UserError) as raised:
            fields.parse(CONTROLS, [text + "x" * 10_000])
        assert len(str(raised.value)) < 300
