from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jvcr.markups.file import BUILT_IN, markup_from, read_markup, write_markup
from jvcr.markups.markup import MARKUP_66, MARKUP_68, Derivation, Markup

ROOT = Path(__file__).parents[1]

SMALL = """
name = "five"
names = ["right_eye", "left_eye", "nose", "right_mouth", "left_mouth"]
normaliser = ["right_eye", "left_eye"]
mirror = [["right_eye", "left_eye"], ["right_mouth", 4]]
closed = ["mouth"]

[groups]
eyes = ["right_eye", 2, "left_eye"]
mouth = ["right_mouth", "left_mouth", "nose"]

[from.ibug-68]
right_eye = [36, 39]
left_eye = [42, 45]
nose = { 30 = 0.75, 33 = 0.25 }
right_mouth = 48
left_mouth = 54
"""


def read(text: str, folder: Path) -> Markup:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return read_markup(path)


def test_a_file_by_hand(tmp_path: Path) -> None:
    assert read(SMALL, tmp_path) == Markup(
        name="five",
        n_points=5,
        mirror=(1, 0, 2, 4, 3),
        groups={"eyes": (0, 2, 1), "mouth": (3, 4, 2)},
        closed=frozenset({"mouth"}),
        normaliser=(0, 1),
        names=("right_eye", "left_eye", "nose", "right_mouth", "left_mouth"),
        derivations={
            "ibug-68": Derivation(
                (
                    ((36, 0.5), (39, 0.5)),
                    ((42, 0.5), (45, 0.5)),
                    ((30, 0.75), (33, 0.25)),
                    ((48, 1.0),),
                    ((54, 1.0),),
                )
            )
        },
    )


def test_landmarks_that_are_only_numbered(tmp_path: Path) -> None:
    text = 'name = "three"\nn_points = 3\nnormaliser = [0, 2]\nmirror = []\nedges = [[0, 1], [2, 1]]\n'
    markup = read(text + '[from]\n"my-7" = [6, [0, 1], { 3 = 0.333, 4 = 0.333, 5 = 0.333 }]\n', tmp_path)
    assert (markup.n_points, markup.mirror, markup.names, markup.labels) == (3, (0, 1, 2), (), ("0", "1", "2"))
    assert markup.edges == ((0, 1), (2, 1))
    six, middle, third = markup.derivations["my-7"].terms
    assert (six, middle) == (((6, 1.0),), ((0, 0.5), (1, 0.5)))
    # Thirds rounded to three digits count as thirds.
    assert dict(third) == pytest.approx({3: 1 / 3, 4: 1 / 3, 5: 1 / 3}, abs=1e-12)


@pytest.mark.parametrize("name", BUILT_IN)
def test_writing_and_reading_gives_the_same_markup(name: str, tmp_path: Path) -> None:
    markup = markup_from(name)
    assert markup.n_points == int(name)
    write_markup(tmp_path / "copy.toml", markup, "a comment\n\nof three lines")
    assert read_markup(tmp_path / "copy.toml") == markup
    assert Markup.from_dict(markup.to_dict()) == markup
    assert markup_from(markup.name) == markup


def test_odd_names_survive_the_file(tmp_path: Path) -> None:
    markup = replace(
        read(SMALL, tmp_path),
        name='a "quoted" \\ name',
        names=("é", "a b", "tab\t", "#", "\x7f"),
        groups={"två ord": (0, 1), "": (2,)},
        closed=frozenset({"två ord"}),
        lines=((0, 4),),
        derivations={"other markup": Derivation((((0, 0.1), (1, 0.9)),) * 5)},
    )
    write_markup(tmp_path / "odd.toml", markup)
    assert read_markup(tmp_path / "odd.toml") == markup


def test_built_in_68_and_66_are_those_of_the_code() -> None:
    assert markup_from("68") is MARKUP_68
    assert markup_from("3dfaw-66") is MARKUP_66


def test_21_points_are_the_published_ones_and_the_jaw_stands_in_for_ears() -> None:
    markup = markup_from("21")
    sources = [sorted(dict(terms)) for terms in markup.derivations["ibug-68"].terms]
    brows = [[17], [19], [21], [22], [24], [26]]
    eyes = [[36], [37, 38, 40, 41], [39], [42], [43, 44, 46, 47], [45]]
    assert sources == [*brows, *eyes, [0], [31], [30], [35], [16], [48], [62, 66], [54], [8]]
    assert [markup.names[i] for i in (12, 16)] == ["right_ear", "left_ear"]
    assert [markup.names[i] for i in markup.normaliser] == ["right_eye_outer", "left_eye_outer"]
    assert [i for i, partner in enumerate(markup.mirror) if i == partner] == [14, 18, 20]


def test_200_points_hold_the_68_and_are_all_different() -> None:
    markup = markup_from("200")
    derivation = markup.derivations["ibug-68"]
    assert derivation.terms[:68] == Derivation.picking(range(68)).terms
    assert len({frozenset(terms) for terms in derivation.terms}) == 200
    # The middle of the first line of the jaw, and the first of three points from jaw point 2 to the eyelid 41.
    assert dict(derivation.terms[68]) == {0: 0.5, 1: 0.5}
    assert dict(derivation.terms[68 + 63 + 6]) == {2: 0.75, 41: 0.25}
    assert set(range(200)) == {i for members in markup.groups.values() for i in members}


def test_the_recipe_makes_the_shipped_200_points(tmp_path: Path) -> None:
    recipe = ROOT / "recipes" / "synthetic_200.py"
    subprocess.run([sys.executable, str(recipe), str(tmp_path / "made.toml")], check=True)
    shipped = ROOT / "src" / "jvcr" / "markups" / "synthetic-200.toml"
    assert (tmp_path / "made.toml").read_text(encoding="utf-8") == shipped.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "five"', "", "name: is missing; expected a text"),
        ('name = "five"', "name = 5", "name: expected a text, got 5"),
        ("normaliser =", "normalizer =", r"normalizer: unknown key \(did you mean 'normaliser'\?\)"),
        ('normaliser = ["right_eye", "left_eye"]', "", "normaliser: is missing; expected the two landmarks"),
        ('normaliser = ["right_eye", "left_eye"]', "normaliser = [0]", "normaliser: expected two landmarks, got 1"),
        ('normaliser = ["right_eye", "left_eye"]', "normaliser = [0, 'right_eye']", "normaliser: .* 'right_eye' twice"),
        ('normaliser = ["right_eye", "left_eye"]', "normaliser = 0", "normaliser: expected a list of two landmarks"),
        ('"right_mouth", 4]]', '"right_mouth", 5]]', r"mirror\[1\]: landmark 5 is out of range; .* from 0 to 4"),
        ('"right_mouth", 4]]', '"right_mouth", -1]]', r"mirror\[1\]: landmark -1 is out of range"),
        ('"right_mouth", 4]]', '"right_mouth", 1]]', r"mirror\[1\]: landmark 'left_eye' is in mirror\[0\] already"),
        ('"right_mouth", 4]]', '"right_mouth", 4.0]]', r"mirror\[1\]\[1\]: expected the name or number .*, got 4\.0"),
        ('"right_mouth", 4]]', '"rigth_mouth", 4]]', r"mirror\[1\]: .* 'rigth_mouth' \(did you mean 'right_mouth'\?\)"),
        ("mirror = [[", "x = 1\ny = [[", "x: unknown key; expected name, names, n_points"),
        ("mirror =", "edges =", "mirror: is missing; expected pairs"),
        ('"left_eye", "nose"', '"left_eye", "left_eye"', r"names\[2\]: 'left_eye' is the name of landmark 1 already"),
        ('"left_eye", "nose"', '"left_eye", "7"', r"names\[2\]: expected a text that is not a number, got '7'"),
        ("names = [", "n_points = 6\nnames = [", "n_points: is 6, but names has 5"),
        ("names = [", "n_points = true\nnames = [", "n_points: expected a whole number from 2 on, got True"),
        ('closed = ["mouth"]', 'closed = ["moth"]', r"closed: no group is named 'moth' \(did you mean 'mouth'\?\)"),
        ('eyes = ["right_eye", 2', 'eyes = ["right_eye", 0', r"groups\.eyes: landmark 'right_eye' is in it twice"),
        ('eyes = ["right_eye"', 'eyes = ["right eye"', r"groups\.eyes: .*'right eye' \(did you mean 'right_eye'\?\)"),
        ("[groups]", "[groups]\nedges = [[0, 1]]", r"groups\.edges: .* move it above the first \[table\]"),
        ("right_mouth = 48\n", "", r"from\.ibug-68: 1 of 5 landmarks are missing, e\.g\. 'right_mouth'"),
        ("right_mouth = 48", "right_mouth = 68", r"from\.ibug-68\.right_mouth: landmark 68 is out of range; .* to 67"),
        ("right_mouth = 48", "3 = 48\nright_mouth = 48", r"from\.ibug-68\.right_mouth: .* is given twice"),
        ("right_mouth = 48", "right_mouth = []", r"from\.ibug-68\.right_mouth: is empty"),
        ("right_mouth = 48", "right_mouth = [48, 48]", r"from\.ibug-68\.right_mouth: landmark 48 is in it twice"),
        ("right_mouth = 48", "right_mouth = 'lip'", r"from\.ibug-68\.right_mouth: no landmark is named 'lip'"),
        ("33 = 0.25", "33 = 0.2", r"from\.ibug-68\.nose: the weights sum to 0\.95; expected 1"),
        ("33 = 0.25", "33 = 'x'", r"from\.ibug-68\.nose: the weight of '33' is 'x'; expected a number"),
        ("[from.ibug-68]", "[from.ibug68]", r"from\.ibug68: no built-in markup .* \(did you mean 'ibug-68'\?\)"),
        ("[from.ibug-68]", "[from.IBUG_68]", r"from\.IBUG_68: no built-in markup .* \(did you mean 'ibug-68'\?\)"),
        ("[from.ibug-68]", "[from.ibgu-68]", r"from\.ibgu-68: no built-in markup .* \(did you mean 'ibug-68'\?\)"),
        ("[from.ibug-68]", "[from.five]", r"from\.five: a markup is not made from itself"),
        # 53 would be the mirror image of 49.
        (
            "left_mouth = 54",
            "left_mouth = 53",
            r"from\.ibug-68: landmark 'right_mouth' .* whose mirror images are \[54\]",
        ),
        ("right_mouth = 48", "right_mouth = 'inner_lip_0'", r".*'inner_lip_0' \(did you mean 'inner_lips_0'\?\)"),
        (
            "right_mouth = 48",
            "right_mouth = true",
            r"from\.ibug-68\.right_mouth: expected the name or number .*, got True",
        ),
        ("[from.ibug-68]", "gaps = [[0, 0]]\n[from.ibug-68]", r"groups\.gaps: .* move it above the first \[table\]"),
        ("closed =", "gaps = [[0, 1], [2]]\nclosed =", r"gaps\[1\]: expected two landmarks, got 1: \[2\]"),
        (
            "closed =",
            "gaps = [['nose', 2]]\nclosed =",
            r"gaps\[0\]: expected two different landmarks, got 'nose' twice",
        ),
        ("closed =", "gaps = [['nose', 'noes']]\nclosed =", r"gaps\[0\]: .* 'noes' \(did you mean 'nose'\?\)"),
        ("closed =", "gaps = 'nose'\nclosed =", r"gaps: expected a list, got 'nose'"),
        ("closed =", "edges = [3]\nclosed =", r"edges\[0\]: expected a list of two landmarks, got 3"),
        ("[groups]", "[groups]\nempty = []", r"groups\.empty: is empty"),
        ("[groups]", "[groups]\nnumber = 3", r"groups\.number: expected a list, got 3"),
        ('name = "five"', 'name = "five', "is not TOML: .*line 2"),
    ],
)
def test_mistakes_are_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert SMALL.count(old) >= 1
    with pytest.raises(ValueError, match=rf"mine\.toml: {message}"):
        read(SMALL.replace(old, new, 1), tmp_path)


@pytest.mark.parametrize("name", ["mine", "ibug-51", "synthetic-300", "own-68"])
def test_a_source_may_be_a_markup_of_ones_own(name: str, tmp_path: Path) -> None:
    assert list(read(SMALL.replace("[from.ibug-68]", f"[from.{name}]"), tmp_path).derivations) == [name]


def test_landmarks_of_a_source_of_ones_own_are_numbered(tmp_path: Path) -> None:
    text = SMALL.replace("[from.ibug-68]", "[from.mine]").replace("right_mouth = 48", "right_mouth = 'lip'")
    with pytest.raises(
        ValueError, match=r"from\.mine\.right_mouth: landmark 'lip' is named, but its markup has no name"
    ):
        read(text, tmp_path)


def test_landmarks_of_the_68_may_be_named(tmp_path: Path) -> None:
    named = SMALL.replace("right_mouth = 48", "right_mouth = 'outer_lips_0'").replace("[36, 39]", "['right_eye_0', 39]")
    assert read(named, tmp_path) == read(SMALL, tmp_path)


def test_gaps_by_hand(tmp_path: Path) -> None:
    markup = read(SMALL.replace("closed =", "gaps = [['right_mouth', 'left_mouth'], [4, 3]]\nclosed ="), tmp_path)
    assert markup.gaps == ((3, 4), (4, 3))
    # The rim of an opening is the group that has a gap: the mouth.
    assert markup.rims == (2, 3, 4)


def test_71_points_have_the_gaps_of_the_68() -> None:
    assert markup_from("71").gaps == MARKUP_68.gaps
    assert markup_from("71").names[:68] == MARKUP_68.names


def test_built_in_markups_and_those_of_weights_need_no_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    monkeypatch.delitem(sys.modules, "jvcr.markups.schema", raising=False)
    for name in BUILT_IN:
        assert Markup.from_dict(markup_from(name).to_dict()).n_points == int(name)


@pytest.mark.parametrize("name", ["71", "21", "200"])
def test_shipped_files_have_the_shape_of_a_file(name: str, tmp_path: Path) -> None:
    """These files are read without that check."""
    (shipped,) = (ROOT / "src" / "jvcr" / "markups").glob(f"*-{name}.toml")
    assert read(shipped.read_text(encoding="utf-8"), tmp_path) == markup_from(name)


def test_names_that_are_empty(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mine\.toml: names: is empty; expected one name per landmark, or n_points"):
        read('name = "x"\nnames = []\nnormaliser = [0, 1]\nmirror = []', tmp_path)


def test_neither_names_nor_a_number_of_points(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mine\.toml: n_points: is missing, and so is names"):
        read('name = "x"\nnormaliser = [0, 1]\nmirror = []', tmp_path)


def test_unknown_names_and_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"markup 'ibug68' is unknown \(did you mean 'ibug-68'\?\)"):
        markup_from("ibug68")
    with pytest.raises(FileNotFoundError, match=r"none\.toml: no such markup file"):
        markup_from(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(ValueError, match=r"latin\.toml: cannot be read"):
        markup_from(str(tmp_path / "latin.toml"))


def test_derivation_by_hand() -> None:
    derivation = Derivation((((2, 1.0),), ((0, 0.25), (1, 0.75))))
    points = np.array([[[0, 0, 8], [4, 8, 0], [5, 6, 7]], [[4, 4, 4], [np.nan, 0, np.nan], [1, 2, 3]]], np.float32)
    made = derivation.apply(points)
    assert (made.shape, made.dtype) == ((2, 2, 3), np.float32)
    np.testing.assert_array_equal(made[0], [[5, 6, 7], [3, 6, 2]])
    # An unmarked landmark only affects the points derived from it.
    np.testing.assert_array_equal(made[1], [[1, 2, 3], [np.nan, 1, np.nan]])
    np.testing.assert_array_equal(derivation.apply(points[..., :2]), made[..., :2])


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ((((0, 1.0),), ()), "landmark 1 comes from"),
        ((((-1, 1.0),),), "landmark 0 comes from"),
        ((((0, 0.5), (1, 0.4)),), "weights of landmark 0 sum to 0.9"),
        ((((0, float("nan")),),), "weights of landmark 0 sum to nan"),
    ],
)
def test_wrong_derivations(terms: tuple[tuple[tuple[int, float], ...], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Derivation(terms)


def test_a_derivation_needs_its_landmarks() -> None:
    with pytest.raises(ValueError, match=r"comes from number 3, but there are 3"):
        Derivation.picking([3]).apply(np.zeros((3, 2)))


def test_66_points_come_from_the_68_and_not_the_other_way() -> None:
    points = np.arange(68 * 3, dtype=np.float32).reshape(68, 3)
    np.testing.assert_array_equal(
        MARKUP_66.derivation_from(MARKUP_68).apply(points), np.delete(points, (60, 64), axis=0)
    )
    np.testing.assert_array_equal(MARKUP_68.derivation_from(MARKUP_68).apply(points), points)
    with pytest.raises(ValueError, match=r"'ibug-68' \(68 points\) cannot be made from '3dfaw-66' \(66 points\)"):
        MARKUP_68.derivation_from(MARKUP_66)


def test_the_example_of_the_documentation_is_a_markup(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "markup.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    markup = read(example, tmp_path)
    assert (markup.name, markup.n_points) == ("seven", 7)
    # The brows, and the triangle of eyes and nose.
    assert markup.edges == ((2, 3), (0, 1), (1, 4), (4, 0))
    wrong = example.replace('["right_brow", "left_brow"]]', '["rigth_brow", "left_brow"]]')
    with pytest.raises(ValueError) as error:
        read(wrong, tmp_path)
    assert str(error.value).removeprefix(f"{tmp_path / 'mine.toml'}: ") in page


@pytest.mark.parametrize("number", [100_001, 2**62, 10**30])
def test_a_number_of_points_that_would_take_all_memory(tmp_path: Path, number: int) -> None:
    path = tmp_path / "many.toml"
    path.write_text(f'name = "many"\nn_points = {number}\nmirror = []\nnormaliser = [0, 1]\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"many\.toml: n_points: expected at most 100,000"):
        read_markup(path)
