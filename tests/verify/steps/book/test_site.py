"""The site is built of chapters that have run, works without a network, and names what fails."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from verify.steps.book.site.make_site import NEEDED

ROOT = Path(__file__).parents[4]
ELSEWHERE = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//""")
"""What a page would load from another machine."""

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


@pytest.fixture
def book(tmp_path):
    """A book of one chapter, which a test may write anew."""
    for name in NEEDED:
        pytest.importorskip(name, reason="`tox -e book` installs what makes the site")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "README.md").write_text(
        "# A book\n\n[The first](ch00_small.py), and [a file](../elsewhere.py).\n"
    )
    (tmp_path / "book" / "ch00_small.py").write_text(SMALL)
    return tmp_path


@pytest.mark.book
def test_a_site_has_formulas_pictures_and_collapsed_solutions_and_loads_nothing(book):
    code, said, errors = make(book)
    assert (code, errors) == (0, "")
    site = book / "out" / "site"
    assert f"The book: {site / 'index.html'}" in said
    page = (site / "ch00_small.html").read_text()
    assert "<mfrac>" in page
    assert 'alt="A line &amp; its &lt;end&gt;"' in page
    assert re.search(r"<details[^>]*>\s*<summary", page)
    assert "the quokka is found" in page
    first = (site / "index.html").read_text()
    assert 'href="ch00_small.html"' in first
    assert "elsewhere.py" not in first
    assert "quokka" in (site / "searchindex.js").read_text()
    for file in site.glob("*.html"):
        assert not ELSEWHERE.search(file.read_text()), file.name


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
    (book / "book" / "ch00_small.py").write_text(
        "# %% [markdown]\n# # 0. Small\n# $\\notalatex x$\n"
    )
    code, _, errors = make(book)
    assert code == 1
    assert "\\notalatex is not known" in errors


def test_a_chapter_that_is_not_there_is_a_sentence(book):
    assert make(book, "ch00", "ch77") == (2, "", "there is no chapter ch77; there are ch00\n")


def test_without_sphinx_a_sentence_says_what_installs_it():
    code = (
        "import sys; from importlib import util; util.find_spec = lambda name: None\n"
        "from verify.steps.book.site.make_site import main; sys.exit(main([]))"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert found.stderr.startswith("not installed: sphinx, ")
    assert found.stderr.endswith("`tox -e book` installs it\n")
