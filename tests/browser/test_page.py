"""The page of ``jvcr serve`` in a real browser: photos, the 3D view, downloads, the camera, and who can use it."""

from __future__ import annotations

import io
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from jvcr import Landmarker
from jvcr.io.exports import ENDINGS, FormatName
from jvcr.results import Face

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)").expect

Open = Callable[..., Any]

RIM_PX = 10


def pixels(png: bytes) -> NDArray[np.float64]:
    """(H, W, 3) without the rim, where the focus ring is drawn."""
    picture = np.asarray(PIL.Image.open(io.BytesIO(png)).convert("RGB"), np.float64)
    return picture[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]


def difference(first: bytes, second: bytes) -> float:
    return float(np.abs(pixels(first) - pixels(second)).mean())


def has_result(page: Any, faces: int = 1) -> None:
    """Wait until so many faces are shown."""
    expect(page.locator("#status")).to_contain_text(f"{faces} face")
    page.locator("#photo").wait_for()


def settled(page: Any) -> bytes:
    """A picture of the 3D view, after it was drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    picture: bytes = page.locator("#shape").screenshot()
    return picture


def jpeg(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "jpeg", quality=92)
    return file.getvalue()


def upload(page: Any, path: Path) -> None:
    page.set_input_files("#file", path)


def shown_points(page: Any) -> NDArray[np.float64]:
    """(N, 3) landmarks in the table."""
    rows = page.eval_on_selector_all("#rows tr", "rows => rows.map(r => [2, 3, 4].map(i => r.cells[i].textContent))")
    return np.array([[float(value.replace("−", "-")) for value in row] for row in rows])


def shown_number(page: Any, place: str, name: str) -> float:
    """The number beside a name in a list of readings."""
    text = page.locator(f"{place} dt", has_text=name).locator("+ dd").text_content()
    number = re.search(r"-?\d+(\.\d+)?", text.replace("−", "-"))
    assert number is not None, text
    return float(number[0])


@pytest.fixture(scope="module")
def truth(photo: NDArray[np.uint8]) -> Face:
    """What the package itself says about the photo."""
    [face] = Landmarker().predict(photo)
    return face


def test_a_photo_shows_its_landmarks(page: Any, photo_file: Path, truth: Face) -> None:
    upload(page, photo_file)
    has_result(page)
    assert np.abs(shown_points(page) - truth.landmarks).max() < 0.06
    expect(page.locator("#rows tr").nth(30)).to_contain_text("nose_bridge_3")
    # Not by its text: a number halfway between two rounded ones may be shown as either.
    assert shown_number(page, "#pose", "Roll") == pytest.approx(truth.pose.roll_deg, abs=0.1)
    assert shown_number(page, "#expression", "Smile") == pytest.approx(truth.expression.smile, abs=0.01)
    expect(page.locator("#photo")).to_have_attribute("aria-label", "Photo with landmarks on one face.")


def test_the_front_of_the_shape_is_the_photo(page: Any, photo_file: Path) -> None:
    """With the photo behind the head, seen from the front, the 3D view and the close-up are the same picture."""
    upload(page, photo_file)
    has_result(page)
    page.get_by_role("radio", name="Face", exact=True).check()
    page.get_by_role("checkbox", name="Skin").uncheck()
    page.get_by_role("checkbox", name="Photo behind").check()
    page.get_by_role("button", name="Front").click()
    page.locator("h2").first.click()
    shape, photo = settled(page), page.locator("#photo").screenshot()
    # Unshifted, they differ least. A mirrored or upside-down shape would differ more.
    shifts = [(down, across) for down in (-2, 0, 2) for across in (-2, 0, 2)]
    apart = {shift: np.abs(np.roll(pixels(shape), shift, (0, 1)) - pixels(photo)).mean() for shift in shifts}
    assert min(apart, key=lambda shift: apart[shift]) == (0, 0), apart
    for other in (pixels(shape)[:, ::-1], pixels(shape)[::-1]):
        assert np.abs(other - pixels(photo)).mean() > 2 * apart[0, 0]


def test_the_shape_turns_by_mouse_and_by_keys(page: Any, photo_file: Path) -> None:
    upload(page, photo_file)
    has_result(page)
    page.get_by_role("button", name="Front").click()
    shape = page.locator("#shape")
    shape.scroll_into_view_if_needed()
    front = settled(page)
    box = shape.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 330, box["y"] + 230, steps=3)
    page.mouse.up()
    assert difference(front, settled(page)) > 2
    shape.focus()
    page.keyboard.press("Home")
    again = settled(page)
    assert difference(front, again) < 2
    page.keyboard.press("ArrowLeft")
    left = settled(page)
    assert difference(again, left) > 2
    page.mouse.wheel(0, -300)
    assert difference(left, settled(page)) > 2


def test_layers_of_the_shape(page: Any, photo_file: Path) -> None:
    upload(page, photo_file)
    has_result(page)
    before = settled(page)
    for label in ("Head axes", "Skin", "Landmarks"):
        page.get_by_role("checkbox", name=label).click()
        after = settled(page)
        assert difference(before, after) > 0.1, label
        before = after
    with page.expect_response(lambda answer: "volume=true" in answer.url):
        page.get_by_role("checkbox", name="Volume").check()
    expect(page.locator("#status")).to_have_text("The volume is shown.")
    assert difference(before, settled(page)) > 2


def test_every_download(page: Any, photo_file: Path, truth: Face) -> None:
    upload(page, photo_file)
    has_result(page)
    saved = {}
    for button in page.locator("#downloads button").all():
        with page.expect_download() as download:
            button.click()
        saved[button.get_attribute("data-format")] = download.value
        expect(page.locator("#status")).to_have_text(f"Saved {download.value.suggested_filename}.")
        page.wait_for_timeout(150)  # Chromium drops a page's downloads beyond ten in a second
    files = {name: Path(file.path()).read_bytes() for name, file in saved.items()}
    assert saved.keys() >= {*(name.value for name in FormatName), "json", "draw"}
    for name, ending in zip(FormatName, ENDINGS, strict=True):
        assert saved[name.value].suggested_filename == f"astro{ending}"
    face = Face.from_dict(json.loads(files["json"])["faces"][0])
    assert np.abs(face.landmarks - truth.landmarks).max() < 2e-3
    assert files["glb"][:4] == b"glTF"
    assert files["csv-points"].decode().count("\n") == 69
    assert np.load(io.BytesIO(files["npz"]))["landmarks"].shape == (1, 68, 3)
    assert PIL.Image.open(io.BytesIO(files["draw"])).format == "JPEG"


def test_the_table_is_copied(page: Any, photo_file: Path, truth: Face) -> None:
    upload(page, photo_file)
    has_result(page)
    page.get_by_role("button", name="Copy the table").click()
    expect(page.locator("#status")).to_contain_text("copied")
    header, *rows = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert header.split("\t") == ["landmark", "name", "x", "y", "z", "seen"]
    points = np.array([row.split("\t")[2:5] for row in rows], float)
    assert np.abs(points - truth.landmarks).max() < 2e-3


def test_an_error_is_shown_as_the_service_says_it(page: Any, server: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"this is no picture")
    request = urllib.request.Request(
        f"{server}/v1/faces?name=bad.jpg", bad.read_bytes(), {"Content-Type": "image/jpeg"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    upload(page, bad)
    expect(page.get_by_role("alert")).to_have_text(json.load(refused.value)["error"])
    expect(page.locator("#status")).to_be_empty()
    page.get_by_role("button", name="Try the astronaut").click()
    has_result(page)
    expect(page.locator("#error")).to_be_hidden()


def test_a_photo_without_a_face(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    PIL.Image.new("RGB", (120, 90), (120, 130, 140)).save(path)
    upload(page, path)
    expect(page.locator("#status")).to_have_text("No face found in wall.png.")
    expect(page.locator("#photo")).to_be_visible()
    expect(page.locator("#shape")).to_be_hidden()


def test_a_photo_over_the_limit_is_not_sent(visit: Any, tmp_path: Path) -> None:
    expect(visit.page.locator("#downloads button").first).to_be_attached()
    sent = visit.frames
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(20_100_000))
    upload(visit.page, large)
    expect(visit.page.get_by_role("alert")).to_have_text(
        "large.jpg has 20.1 MB; this server takes up to 20.0 MB. Choose a smaller photo."
    )
    assert visit.frames == sent


def test_several_faces(page: Any, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "two.png"
    PIL.Image.fromarray(np.hstack([photo, photo[:, ::-1]])).save(path)
    upload(page, path)
    has_result(page, 2)
    first = shown_points(page)
    faces = page.get_by_role("group", name="Faces").get_by_role("radio")
    assert faces.count() == 2
    faces.first.focus()
    page.keyboard.press("ArrowRight")
    second = shown_points(page)
    assert abs(first[:, 0].mean() - second[:, 0].mean()) > 80
    # A click on the left half of the picture takes the face there.
    box = page.locator("#photo").bounding_box()
    page.locator("#photo").click(position={"x": box["width"] / 4, "y": box["height"] / 2})
    assert shown_points(page)[:, 0].mean() < photo.shape[1]
    with page.expect_download() as download:
        page.locator("[data-format=pts]").click()
    assert f"{shown_points(page)[0, 0] + 1:.1f}"[:3] in Path(download.value.path()).read_text()


def give(page: Any, kind: str, photo: NDArray[np.uint8]) -> None:
    """A drop or a paste with a file, as a browser would announce it."""
    page.evaluate(
        """([kind, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], `${kind}.jpg`, {type: "image/jpeg"}));
            const event = kind === "paste"
                ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true})
                : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
            document.body.dispatchEvent(event);
        }""",
        [kind, list(jpeg(photo))],
    )


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_photo_is_dropped_or_pasted(page: Any, photo: NDArray[np.uint8], kind: str) -> None:
    give(page, kind, photo)
    expect(page.locator("#status")).to_contain_text(f"1 face found in {kind}.jpg")


def test_the_camera_sends_one_frame_after_the_other(visit: Any, page: Any) -> None:
    begin = visit.frames
    page.get_by_role("button", name="Use the camera").click()
    expect(page.locator("#rate")).to_contain_text("1 face")
    expect(page.locator("#rate")).to_contain_text(re.compile(r"\d frames a second"))
    # The face of the film: the astronaut's, 80 pixels from the left, less up to 24 of movement.
    centre = shown_points(page)[:, 0].mean()
    assert 224 + 80 - 24 - 10 < centre < 224 + 80 + 10
    page.get_by_role("button", name="Stop the camera").click()
    expect(page.locator("#status")).to_have_text("The camera is off. The last frame stays.")
    assert visit.frames >= begin + 2
    assert visit.most_open == 1
    sent = visit.frames
    page.wait_for_timeout(300)
    assert visit.frames == sent
    assert len(shown_points(page)) == 68


def test_a_phone(open_page: Open, photo_file: Path) -> None:
    visit = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = visit.page
    wide = "document.documentElement.scrollWidth > innerWidth"
    assert not page.evaluate(wide)
    upload(page, photo_file)
    has_result(page)
    assert not page.evaluate(wide)
    shape = page.locator("#shape")
    shape.scroll_into_view_if_needed()
    before, box = settled(page), shape.bounding_box()
    swipe(page, box["x"] + 60, box["y"] + 80, 140)
    assert difference(before, settled(page)) > 2


def swipe(page: Any, x: float, y: float, across: float) -> None:
    touch = page.context.new_cdp_session(page)
    for kind, points in (("touchStart", [x]), ("touchMove", [x + across / 2]), ("touchMove", [x + across])):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": at, "y": y} for at in points]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


NAMED = """() => {
    const at = document.activeElement;
    const label = at.labels?.[0]?.textContent ?? at.getAttribute("aria-label") ?? at.textContent;
    const ring = getComputedStyle(at).outlineStyle !== "none" || [at.nextElementSibling, at.closest("label")]
        .some((other) => other && getComputedStyle(other).outlineStyle !== "none");
    const place = at.id || at.dataset.format || at.dataset.layer || at.name || at.className || at.tagName;
    return [place, label.trim(), ring];
}"""


def tab(page: Any, until: str, most: int = 60) -> list[str]:
    """Press Tab until an element has the focus; each on the way has a name and shows its focus."""
    passed = []
    for _ in range(most):
        page.keyboard.press("Tab")
        place, name, ring = page.evaluate(NAMED)
        assert name and ring, f"{place}: name {name!r}, focus ring {ring}"
        passed.append(place)
        if place == until:
            return passed
    raise AssertionError(f"Tab does not reach {until}: {passed}")


def test_the_keyboard_is_enough(open_page: Open) -> None:
    page = open_page().page
    expect(page.locator("#downloads button").first).to_be_attached()
    assert tab(page, "sample") == ["file", "camera", "sample"]
    page.keyboard.press("Enter")
    has_result(page)
    assert tab(page, "shape") == ["extent", "BUTTON", "BUTTON", "BUTTON", "shape"]
    before = settled(page)
    page.keyboard.press("ArrowDown")
    assert difference(before, settled(page)) > 1
    tab(page, "cloud")
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_have_text("The volume is shown.")
    assert "copy" in tab(page, "obj")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "astronaut.obj"


CONTRASTS = """() => {
    const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const words = [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility()
        && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
    return words.map((element) => {
        const [a, b] = [parse(getComputedStyle(element).color), ground(element)].map(light).sort((x, y) => y - x);
        return [(a + 0.05) / (b + 0.05), element.textContent.trim().slice(0, 40)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_in_both_schemes(page: Any, photo_file: Path, scheme: str) -> None:
    """WCAG AA: 4.5 for every text."""
    page.emulate_media(color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0]
    assert (int(ground) < 60) == (scheme == "dark")
    upload(page, photo_file)
    has_result(page)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 300
    assert [pair for pair in contrasts if pair[0] < 4.5] == []


def test_a_token(open_page: Open, photo_file: Path, start_server: Any) -> None:
    with start_server("--token", "open sesame") as url:
        page = open_page(url).page
        expect(page.get_by_label("This server asks for a token")).to_be_visible()
        upload(page, photo_file)
        expect(page.get_by_role("alert")).to_contain_text("token")
        page.get_by_label("This server asks for a token").fill("open sesame")
        page.get_by_role("button", name="Use", exact=True).click()
        upload(page, photo_file)
        has_result(page)


def test_the_page_says_what_it_is(page: Any) -> None:
    footer = page.locator("footer")
    expect(footer).to_contain_text("For research only.")
    expect(footer).to_contain_text("research use only")
    expect(page.get_by_text("The photo goes to this server only, nothing else.").first).to_be_visible()
