"""The site is built of chapters that have run, works without a network, and names what fails."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from verify.steps.book.site.make_site import NEEDED

ROOT = Path(__file__).parents[4]
ELSEWHERE = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//""")
"""What a page would load from another machine."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")

SMALL = """# %% [markdown]
# # 0. Small
#
# The mean is $\\frac{1}{n} \\sum_i x_i$.

# %%
import sys

sys.path += [".", "../../.."]
from verify.steps.book.shared.pictures import figure, show

drawn, axes = figure(size=(2, 2))
axes.plot([0, 1])
show(drawn, "A line & its <end>")

# %% tags=["solution", "hide-input"]
print("the quokka is found")
"""


def make(book, *arguments):
    """The command, as tox runs it: exit code, output, and what it complains of."""
    command = [sys.executable, "-m", "verify.steps.book.site.make_site"]
    command += ["--book", str(book / "book"), "--out", str(book / "out"), *arguments]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.returncode, found.stdout, found.stderr


def write_book(folder):
    """A book of one chapter; skipped where what makes sites is not installed."""
    for name in NEEDED:
        pytest.importorskip(name, reason="`tox -e book` installs what makes the site")
    (folder / "book").mkdir()
    (folder / "book" / "README.md").write_text(
        "# A book\n\n[The first](ch00_small.py), and [a file](../elsewhere.py).\n"
    )
    (folder / "book" / "ch00_small.py").write_text(SMALL)
    return folder


@pytest.fixture
def book(tmp_path):
    return write_book(tmp_path)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The small book's site, built once."""
    folder = write_book(tmp_path_factory.mktemp("small"))
    code, said, errors = make(folder)
    assert (code, errors) == (0, "")
    assert f"The book: {folder / 'out' / 'site' / 'index.html'}" in said
    return folder / "out" / "site"


@pytest.mark.book
def test_a_site_has_formulas_pictures_and_collapsed_solutions_and_loads_nothing(site):
    page = (site / "ch00_small.html").read_text()
    assert "<mfrac>" in page
    assert 'alt="A line &amp; its &lt;end&gt;"' in page
    assert re.search(r"<details[^>]*>\s*<summary", page)
    assert "the quokka is found" in page
    first = (site / "index.html").read_text()
    assert 'href="ch00_small.html"' in first
    assert "elsewhere.py" not in first
    for file in site.glob("*.html"):
        assert not ELSEWHERE.search(file.read_text()), file.name


@pytest.mark.book
@pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
@pytest.mark.parametrize(("word", "pages"), [("quokka", ["ch00_small.html"]), ("wombat", [])])
def test_a_search_finds_a_page_where_files_are_opened_without_a_server(site, word, pages, tmp_path):
    address = f"{(site / 'search.html').as_uri()}?q={word}"
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}")
    command = [CHROMIUM, *options, "--virtual-time-budget=5000", "--dump-dom", address]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    results = shown.partition('id="search-results"')[2]
    assert re.findall(r'href="(\w+\.html)[^"]*"', results.partition("</ul>")[0]) == pages


@pytest.mark.book
def test_a_chapter_that_fails_is_named_with_its_cell_and_the_site_is_kept(book):
    kept = book / "out" / "site" / "index.html"
    kept.parent.mkdir(parents=True)
    kept.write_text("as it was")
    chapter = book / "book" / "ch00_small.py"
    chapter.write_text(SMALL + "\n# %%\nx = 1\nassert x == 2, 'x is not two'\n")
    code, _, errors = make(book)
    assert code == 1
    assert errors == "ch00_small.py: code cell 3 of 3 ('x = 1'): AssertionError: x is not two\n"
    assert kept.read_text() == "as it was"


@pytest.mark.book
def test_a_formula_that_cannot_be_drawn_is_named(book):
    text = "# %% [markdown]\n# # 0. Small\n# $\\notalatex x$\n"
    (book / "book" / "ch00_small.py").write_text(text)
    code, _, errors = make(book)
    assert code == 1
    assert "\\notalatex is not known, in " in errors


def test_lines_of_a_formula_stand_below_each_other_and_an_unknown_environment_is_refused():
    pytest.importorskip("latex2mathml", reason="`tox -e book` installs what makes the site")
    pytest.importorskip("sphinx", reason="`tox -e book` installs what makes the site")
    from verify.steps.book.site.mathml import FormulaError, mathml

    lines = r"a &= b \\ c &= d"
    drawn = mathml(rf"\begin{{aligned}} {lines} \end{{aligned}}", block=True)
    assert drawn.count("<mtr>") == 2
    with pytest.raises(FormulaError, match="& is not known"):
        mathml(rf"\begin{{gather}} {lines} \end{{gather}}", block=True)


def test_a_chapter_that_is_not_there_is_a_sentence(book):
    assert make(book, "ch00", "ch77") == (2, "", "book: there is no chapter ch77; there are ch00\n")


def test_without_sphinx_a_sentence_says_what_installs_it():
    code = (
        "import sys; from importlib import util; util.find_spec = lambda name: None\n"
        "from verify.steps.book.site.make_site import main; sys.exit(main([]))"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert found.stderr.startswith("book: not installed: sphinx, ")
    assert found.stderr.endswith("`tox -e book` installs it\n")
