"""Lists of attributes: every form says the same, and a hostile one says what is wrong with it in one sentence."""

import math
import os

import hypothesis
from hypothesis import strategies
import pytest

import jgan
from jgan.data.sources import lists


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


CSV = "file,Blond,Young\na.jpg,1,0\nsub/b.jpg,,0.25\n"
SAME = {
    "csv": CSV,
    "with a mark and Windows line ends": "\ufeff" + CSV.replace("\n", "\r\n"),
    "semicolons": CSV.replace(",", ";"),
    "tabs": CSV.replace(",", "\t"),
    "quotes and spaces": 'file,"Blond", Young\n"a.jpg", 1 ,0\n\nsub/b.jpg,"",.25\n',
    "words and folders of Windows": "file,Blond,Young\n./a.jpg,true,False\nsub\\b.jpg,,2.5e-1\n",
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_every_form_says_the_same(tmp_path, text):
    table = lists.read(write(tmp_path / "list.csv", text))
    assert table.names == ("Blond", "Young") and list(table.rows) == ["a.jpg", "sub/b.jpg"]
    (_, first), (_, (blank, share)) = table.rows.values()
    assert first == (1, 0) and math.isnan(blank) and share == 0.25
    assert lists.read(table.path, ("Young", "Blond")).rows["a.jpg"][1] == (0, 1)


def test_celebas_form_and_a_csv_with_signs_are_zeros_and_ones(tmp_path):
    celeba = write(tmp_path / "a.txt", "2\nBlond  Young\n000001.jpg  -1  1\n000002.jpg   1 -1\n")
    signs = write(tmp_path / "b.csv", "image_id,Blond,Young\n000001.jpg,-1,1\n000002.jpg,1,-1\n")
    for path in (celeba, signs):
        table = lists.read(path)
        assert {key: values for key, (_, values) in table.rows.items()} == {
            "000001.jpg": (0, 1),
            "000002.jpg": (1, 0),
        }
    assert lists.read(celeba, ("Young",)).rows["000002.jpg"][1] == (0,)


def test_partitions_are_read_in_both_forms(tmp_path):
    text = write(tmp_path / "a.txt", "1.jpg 0\n2.jpg 1\n3.jpg 2\n")
    csv = write(tmp_path / "b.csv", "image_id,partition\n1.jpg,0\n2.jpg,1\n3.jpg,2\n")
    assert (
        lists.partition(text) == lists.partition(csv) == {"1.jpg": "train", "2.jpg": "val", "3.jpg": "test"}
    )
    with pytest.raises(jgan.UserError, match=r"line 1 is '1\.jpg 3': a file and 0 \(train\)"):
        lists.partition(write(tmp_path / "c.txt", "1.jpg 3\n"))
    with pytest.raises(jgan.UserError, match=r"d.txt names '\./1\.jpg' in line 1 and again in line 3"):
        lists.partition(write(tmp_path / "d.txt", "1.jpg 0\n2.jpg 0\n./1.jpg 1\n"))


def test_the_separator_is_that_which_all_lines_have(tmp_path):
    table = lists.read(write(tmp_path / "a.tsv", "file\tHair, blond\n\na.jpg\t1\n"))
    assert table.names == ("Hair, blond",) and table.rows["a.jpg"] == (3, (1,))
    table = lists.read(write(tmp_path / "b.csv", "file;a,b,c;d\na.jpg;1;0\n"))
    assert table.names == ("a,b,c", "d")


@pytest.mark.parametrize("read", [lists.read, lists.partition])
def test_devices_and_pipes_are_no_lists(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in ("/dev/zero", str(tmp_path / "pipe.csv")):
        with pytest.raises(jgan.UserError, match=f"{path} cannot be read as a list: a text file would work"):
            read(path)


MISTAKES = {
    "out of range": ("f,x\n1,0\n2,1.5\n", "line 3 has '1.5' for 'x': 0 or 1, -1 or 1"),
    "no number": ("f,x\n1,maybe\n", "line 2 has 'maybe' for 'x'"),
    "not finite": ("f,x\n1,inf\n", "line 2 has 'inf'"),
    "no unknown": ("f,x\n1,nan\n", "line 2 has 'nan'"),
    "signs and shares": (
        "f,x,y\n1,1,-1\n2,0.5,1\n3,1,0\n",
        "has -1 for 'y' in line 2, but 0 or a share in line 4",
    ),
    "a doubled file": ("f,x\n1.png,0\n./1.png,1\n", r"names '\./1\.png' in line 2 and again in line 3"),
    "a doubled column": ("f,x,y,x\n1,0,0,0\n", "has two columns 'x'"),
    "a column without a name": ("f,x,\n1,0,0\n", "calls its column 3 ''"),
    "a name to hide in": ("f,x\x1b[2J\n1,0\n", r"calls its column 2 'x\\\\x1b\[2J'"),
    "a very long name": (f"f,{'x' * 500}\n1,0\n", "a name of 1 to 200 letters"),
    "a short row": ("f,x,y\n1,0\n", "line 2 has 2 columns where its header has 3"),
    "one column": ("f\n1\n", "has one column"),
    "no rows": ("f,x\n", "lists no picture"),
    "nothing": ("", "is empty"),
    "Latin-1": ("f,x\nM\xfcller.jpg,1\n".encode("latin-1"), "is no UTF-8 text after line"),
    "an open quote": ('f,x\n"1,0\n' + "2,0\n" * 9, "cannot be read as CSV near line 11"),
    "a huge field": ("f,x\n" + "y" * 200_000 + ",0\n", "cannot be read as CSV near line 2: field larger"),
    "a cut list of CelebA": ("3\nx y\n1 1 1\n2 1 1\n", "says it lists 3 pictures and lists 2"),
    "half a row of CelebA": ("1\nx y\n1 1\n", "line 3 has 2 columns where its header has 3"),
}


@pytest.mark.parametrize(("text", "match"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told_with_their_line(tmp_path, text, match):
    with pytest.raises(jgan.UserError, match=match) as raised:
        lists.read(write(tmp_path / "list.csv", text))
    assert str(raised.value).startswith(str(tmp_path)) and str(raised.value).isprintable()


def test_lists_that_are_not_there_or_too_large_are_refused(tmp_path, monkeypatch):
    with pytest.raises(jgan.UserError, match="there is no list"):
        lists.read(str(tmp_path / "none.csv"))
    with pytest.raises(jgan.UserError, match="cannot be read"):
        lists.read(str(tmp_path))
    path = write(tmp_path / "list.csv", CSV)
    with pytest.raises(jgan.UserError, match="has no attribute 'Bald': it has Blond, Young"):
        lists.read(path, ("Bald",))
    monkeypatch.setattr(lists, "MAX_BYTES", 10)
    with pytest.raises(jgan.UserError, match="a list of 10 at most"):
        lists.read(path)


@hypothesis.given(strategies.one_of(strategies.binary(max_size=80), strategies.text(max_size=80)))
@hypothesis.settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_list_or_one_sentence(tmp_path_factory, text):
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    path = write(tmp_path_factory.mktemp("any") / "x", data)
    try:
        table = lists.read(path)
    except jgan.UserError as error:
        assert "\n" not in str(error)
    else:
        assert all(len(values) == len(table.names) for _, values in table.rows.values())
