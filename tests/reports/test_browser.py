"""Pages as a person meets them: in a browser, without a network, on a desk and on a phone."""

import itertools
import shutil
from pathlib import Path

import pytest

from reports.history.index import write_index
from tests.reports.conftest import write_small_runs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"
)

DESK, PHONE = (1280, 800), (390, 844)
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-dev-shm-usage",
    "--hide-scrollbars",
)  # fmt: skip

OVERLAPS = """
const boxes = [...document.querySelectorAll(arguments[0])]
  .filter((e) => e.checkVisibility() && e.textContent.trim())
  .map((e) => [e, e.getBoundingClientRect()]);
const found = [];
boxes.forEach(([a, r], i) => boxes.slice(i + 1).forEach(([b, s]) => {
  if (a.contains(b) || b.contains(a)) return;
  const x = Math.min(r.right, s.right) - Math.max(r.left, s.left);
  const y = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top);
  if (x > 1.5 && y > 1.5) found.push(`${a.textContent.trim()} | ${b.textContent.trim()}`);
}));
return found;
"""
WORDS = (
    "h1, h2, h3, .kicker, .switch, .badge, .lead, .diagnosis, .warning, dt, dd, li, th, td, "
    ".tabs button, .segments button, .aid, .legend span, .filters label, .keys > span"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium with a profile of its own and a log of what it asks for."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def visit(browser, tmp_path):
    """Opens a file; returns the browser. A screenshot of what was seen last stays in tmp_path."""
    from selenium.webdriver.common.by import By

    def open_page(path, size=DESK, scheme="light", part=""):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False},
        )
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"media": "", "features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )
        browser.get("about:blank")
        browser.get_log("browser"), browser.get_log("performance")
        browser.get(Path(path).as_uri() + part)
        browser.all = lambda selector: browser.find_elements(By.CSS_SELECTOR, selector)
        browser.one = lambda selector: browser.find_element(By.CSS_SELECTOR, selector)
        browser.save_screenshot(str(tmp_path / f"{scheme}-{size[0]}.png"))
        return browser

    return open_page


@pytest.fixture(params=[
    "passing", "failing", "benched", "beside", "empty", "deep", "index", "trends", "compare",
    "benches",
    "answered", "answered wrong",
])  # fmt: skip
def page(request, pages):
    """The path of a page of each kind."""
    return pages[request.param]


def visible(element, size=DESK):
    box = element.rect
    return element.is_displayed() and box["y"] + box["height"] <= size[1]


def test_a_page_opens_without_an_error_and_asks_for_nothing(visit, page):
    browser = visit(page)
    assert browser.get_log("browser") == []
    asked = [entry["message"] for entry in browser.get_log("performance")
             if '"Network.requestWillBeSent"' in entry["message"]]  # fmt: skip
    outside = [one for one in asked if '"url":"file:' not in one and '"url":"data:' not in one]
    assert outside == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overlaps_and_nothing_is_wider_than_the_screen(visit, page, size, scheme):
    browser = visit(page, size, scheme)
    tabs = browser.all("[role=tab]") or [None]
    for tab in tabs:
        if tab is not None:
            tab.click()
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= size[0], tab and tab.text
        assert browser.execute_script(OVERLAPS, WORDS) == []
        for chart in browser.all(".scroll > svg"):
            if chart.is_displayed():
                selector = f"#{chart.get_attribute('id')} text"
                assert browser.execute_script(OVERLAPS, selector) == []


def test_an_endpoint_shows_its_first_wrong_answer_on_the_first_screen(visit, pages):
    browser = visit(pages["answered wrong"])
    assert visible(browser.one(".badge"))
    seen = " ".join(one.text for one in browser.all(".facts dd, .facts + p") if visible(one))
    for what in ("a prompt of 129 tokens", "266 ' in'", "812 ' king'", "0.53", "[12, 7, 45, ...]"):
        assert what in seen


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_failing_run_shows_the_broken_place_on_the_first_screen(visit, pages, size):
    browser = visit(pages["failing"], size)
    (broken,) = browser.all(".cell.origin")
    assert visible(broken, size)
    assert "h.1.mlp.act" in broken.get_attribute("data-tip")
    assert visible(browser.one(".badge"), size)
    assert browser.one(".badge").text == "FAIL"
    assert visible(browser.one(".diagnosis"), size)
    colour = "return getComputedStyle(arguments[0]).backgroundColor"
    others = {
        browser.execute_script(colour, cell) for cell in browser.all(".map td .cell:not(.origin)")
    }
    assert browser.execute_script(colour, broken) not in others


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_benchmark_answers_on_the_first_screen(visit, pages, size):
    browser = visit(pages["beside"], size)
    assert visible(browser.one("h1"), size)
    assert "MAX" in browser.one("h1").text
    assert visible(browser.one(".lead"), size)
    assert "times as long as the fastest" in browser.one(".lead").text
    colour = "return getComputedStyle(arguments[0]).backgroundColor"
    seen = {says: browser.execute_script(colour, browser.one(f".matrix td.{says}"))
            for says in ("faster", "slower", "same")}  # fmt: skip
    assert len(set(seen.values())) == 3


@pytest.mark.parametrize("kind", ["passing", "benched"])
def test_tabs_work_by_mouse_and_by_keyboard_and_are_remembered(visit, kind, pages):
    from selenium.webdriver.common.keys import Keys

    path = pages[kind]
    browser = visit(path)
    tabs = browser.all("[role=tab]")
    for tab in tabs:
        tab.click()
        shown = [
            panel.get_attribute("id") for panel in browser.all(".panel") if panel.is_displayed()
        ]
        assert shown == [tab.get_attribute("aria-controls")]
    tabs[-1].send_keys(Keys.ARROW_LEFT)
    assert browser.switch_to.active_element == tabs[-2]
    assert tabs[-2].get_attribute("aria-selected") == "true"
    again = visit(path, part=f"#{tabs[1].get_attribute('data-name')}")
    assert again.all("[role=tab]")[1].get_attribute("aria-selected") == "true"


def test_checks_are_searched_filtered_and_sorted(visit, pages):
    from selenium.webdriver.support.ui import Select

    browser = visit(pages["failing"], part="#checks")
    table = browser.one("#panel-checks [data-table]")
    rows = lambda: [row for row in browser.all("#panel-checks tbody tr") if row.is_displayed()]  # noqa: E731
    total = len(rows())
    browser.one("#panel-checks [data-search]").send_keys("h.1.mlp.act stress")
    assert 0 < len(rows()) < total
    assert all("h.1.mlp.act" in row.text for row in rows())
    Select(table.find_elements("css selector", "select")[1]).select_by_visible_text("FAIL")
    assert {row.text.count("FAIL") for row in rows()} == {1}
    browser.one("#panel-checks [data-search]").clear()
    browser.one("#panel-checks [data-search]").send_keys(" ")
    used = browser.all("#panel-checks th button")[8]
    used.click()
    shown = [float(row.find_elements("css selector", "td")[8].get_attribute("data-value"))
             for row in rows()]  # fmt: skip
    assert shown == sorted(shown)


def test_a_cell_of_the_map_is_reached_by_keys_tells_itself_and_leads_to_its_checks(visit, pages):
    from selenium.webdriver.common.keys import Keys

    browser = visit(pages["failing"])
    broken = browser.one(".cell.origin")
    assert broken.get_attribute("tabindex") == "0"  # the Tab key comes here first
    browser.execute_script("arguments[0].focus()", broken)
    assert "h.1.mlp.act: FAIL" in browser.one("#tip").text
    broken.send_keys(Keys.ARROW_RIGHT)
    assert "h.2.mlp.act" in browser.one("#tip").text
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    rows = [row for row in browser.all("#panel-checks tbody tr") if row.is_displayed()]
    assert {row.text.split()[0] for row in rows} == {"h.2.mlp.act"}


def test_a_place_of_the_map_that_is_clicked_shows_all_of_its_cases(visit, pages):
    browser = visit(pages["failing"])
    (cell,) = browser.all(".cell[data-place='h.2.ln_2']")
    cell.click()
    choice = "return document.querySelector('[data-place-choice]').value"
    assert browser.execute_script(choice) == "h.2.ln_2"
    rows = [row.text.split() for row in browser.all(".case-bar")]
    assert rows == [[case, "40%", "1,500x"] for case in ("given-1x9", "given-2x33", "stress-1x9")]
    options = browser.all("[data-place-choice] option")
    next(option for option in options if option.text == "h.1.mlp.act").click()
    assert [row.text.split()[1] for row in browser.all(".case-bar.wrong")] == ["1,500x"] * 3


def test_the_whole_tensor_is_drawn_and_each_cell_tells_itself(visit, pages):
    from selenium.webdriver.common.action_chains import ActionChains

    browser = visit(pages["failing"])
    canvas = browser.one("#whole-error")
    pixels = "const c = arguments[0]; return [...c.getContext('2d').getImageData(0, 0, 1, 1).data]"
    assert browser.execute_script(pixels, canvas)[3] == 255
    size = browser.execute_script("return [arguments[0].height, arguments[0].width]", canvas)
    assert size == [66, 64]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    ActionChains(browser).move_to_element(canvas).perform()
    told = browser.one("#tip").text
    assert "of row 0, features 64 to 65, head 2" in told
    assert "of what an element may have" in told


def test_the_switch_changes_the_colours_whatever_the_system_says(visit, pages):
    path = pages["passing"]
    paper = "return getComputedStyle(document.body).backgroundColor"
    seen = {
        scheme: visit(path, scheme=scheme).execute_script(paper) for scheme in ("light", "dark")
    }
    assert seen["light"] != seen["dark"]
    browser = visit(path, scheme="dark")
    browser.one("#theme").click()
    assert browser.one("#theme").text == "Colours: light"
    assert browser.execute_script(paper) == seen["light"]
    browser.execute_script("localStorage.clear()")


def test_versions_of_a_figure_take_turns(visit, pages):
    browser = visit(pages["passing"])
    group = browser.one("[data-variants]")
    buttons = group.find_elements("css selector", ".segments button")
    for index, button in enumerate(buttons):
        button.click()
        shown = [v.get_attribute("data-variant") for v in
                 group.find_elements("css selector", ".variant") if v.is_displayed()]  # fmt: skip
        assert shown == [str(index)]


def test_attention_is_drawn_and_enlarged(visit, pages):
    browser = visit(pages["passing"], part="#inside")
    heads = browser.all(".heads button")
    assert len(heads) == 6
    pixels = "const c = arguments[0]; return [...c.getContext('2d').getImageData(0, 0, 1, 1).data]"
    large = browser.all(".large canvas")
    assert [browser.execute_script(pixels, canvas)[3] for canvas in large] == [255, 255, 255]
    heads[-1].click()
    assert "h.2, head 1" in browser.one("[data-which]").text
    first, second = (browser.execute_script(pixels, canvas) for canvas in large[:2])
    assert first == second == [253, 231, 37, 255]  # a first token looks at itself alone


def test_everything_is_printed(visit, pages):
    browser = visit(pages["passing"])
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    panels = browser.all(".panel")
    assert panels
    assert all(panel.is_displayed() for panel in panels)
    assert not browser.one("#theme").is_displayed()


def test_without_a_script_everything_is_there(visit, pages):
    path = pages["failing"]
    text = path.read_text(encoding="utf-8")
    bare = path.with_name("bare.html")
    bare.write_text(text.replace('classList.add("ready")', 'classList.add("no")'), encoding="utf-8")
    browser = visit(bare)
    assert all(panel.is_displayed() for panel in browser.all(".panel"))


def test_text_has_enough_contrast_in_both_schemes(visit, pages):
    path = pages["failing"]
    for scheme, name in itertools.product(("light", "dark"), (".aid", ".lead", ".kicker", "dt")):
        browser = visit(path, scheme=scheme)
        text, paper = (
            luminance(browser.execute_script(f"return getComputedStyle({where}).{what}"))
            for where, what in ((f"document.querySelector('{name}')", "color"),
                                ("document.body", "backgroundColor"))
        )  # fmt: skip
        light, dark = max(text, paper), min(text, paper)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (scheme, name)  # WCAG 2.1, level AA


def luminance(colour):
    """Relative luminance by WCAG 2.1 of `rgb(r, g, b)`."""
    parts = colour.partition("(")[2].rstrip(")").split(",")[:3]
    linear = [
        v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4
        for v in (float(part) / 255 for part in parts)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_all_runs_can_be_searched_and_turned_over_a_page_at_a_time(visit, tmp_path):
    write_small_runs(tmp_path, 130)
    browser = visit(write_index(tmp_path))
    count = browser.one("[data-paged-count]")
    newest = browser.one("#runs tbody tr").text
    assert (len(browser.all("#runs tbody tr")), count.text) == (100, "1 to 100 of 130 runs")
    browser.one("[data-paged-on]").click()
    assert (len(browser.all("#runs tbody tr")), count.text) == (30, "101 to 130 of 130 runs")
    assert not browser.one("[data-paged-on]").is_enabled()
    browser.one("[data-paged-back]").click()
    assert browser.one("#runs tbody tr").text == newest  # laid out by script as by the template
    browser.one("[data-paged-search]").send_keys("measured 0000000042")
    assert count.text == "1 to 1 of 1 runs"
    assert "2026-0042-bench" in browser.one("#runs tbody tr").text
    browser.one("[data-paged-search]").send_keys(" nothing")
    assert count.text == "no run has all of these words"


def test_all_runs_are_sorted_by_a_column(visit, tmp_path):
    write_small_runs(tmp_path, 130)
    browser = visit(write_index(tmp_path))
    browser.one("#runs th button").click()
    assert "2026-0000-bench" in browser.one("#runs tbody tr").text
    assert browser.one("#runs th").get_attribute("aria-sort") == "ascending"
