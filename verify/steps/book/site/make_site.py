"""`tox -e book`: the chapters are run, and become pages that are read without a network.

    python -m verify.steps.book.site.make_site [--open] [--out FOLDER] [--book FOLDER] [CHAPTER ...]

Each chapter runs in a kernel of its own, as Jupyter would run it, and is given to Sphinx with what
its cells have printed and drawn. Exit codes: 0 built, 1 a chapter or a page failed, 2 not possible.
"""

from __future__ import annotations

import os
import re
import sys
import time
import webbrowser
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from reports.commands import UsageError, cannot_run, exit_code_of, how_stopped, terminable

if TYPE_CHECKING:
    from collections.abc import Sequence

BOOK = Path(__file__).parents[1]
ROOT = BOOK.parents[2]
OUT = ROOT / ".cache" / "book"
NEEDED = ("sphinx", "furo", "myst_nb", "jupytext", "nbclient", "ipykernel", "latex2mathml")
CELL_S = 600
"""A cell that takes longer is stopped."""

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)")
"""A link of Markdown to a file."""

SETTINGS: dict[str, Any] = {
    "project": "GPT-2 from the ground up",
    "html_title": "GPT-2 from the ground up",
    "copyright": "2026 the maintainers",
    "extensions": ["myst_nb", "verify.steps.book.site.mathml"],
    "myst_enable_extensions": ["dollarmath", "amsmath"],
    "myst_heading_anchors": 3,
    "nb_execution_mode": "off",  # they have been run, where a failure names its cell
    "nb_merge_streams": True,
    "nb_output_stderr": "remove",
    "nb_code_prompt_show": "Show the solution",
    "nb_code_prompt_hide": "Hide the solution",
    "html_theme": "furo",
    "html_math_renderer": "mathml",
    "html_static_path": [str(BOOK / "site" / "style.css")],
    "html_css_files": ["style.css"],
    "html_copy_source": False,
    "html_show_sourcelink": False,
    "html_show_sphinx": False,
}


class ChapterError(Exception):
    """A chapter or a page that fails, in a sentence that names it."""


def chapters(book: Path, names: Sequence[str] = ()) -> list[Path]:
    """A book's chapters, in order; those of `names` (`ch02`, or a file) where there are any.

    Raises:
        UsageError: for a name that is not a chapter's, or a folder without one.
    """
    every = sorted(book.glob("ch[0-9][0-9]_*.py"))
    if not every:
        raise UsageError(f"there is no chapter in {book}")
    if not names:
        return every
    wanted = {Path(name).stem for name in names}
    found = [file for file in every if {file.stem, file.stem.partition("_")[0]} & wanted]
    known = {name for file in found for name in (file.stem, file.stem.partition("_")[0])}
    if unknown := sorted(wanted - known):
        raise UsageError(
            f"there is no chapter {', '.join(unknown)}; "
            f"there are {', '.join(file.stem.partition('_')[0] for file in every)}"
        )
    return found


def run_chapter(file: Path) -> tuple[Any, float]:
    """The notebook of a chapter with what its cells put out, and the seconds that it took.

    Raises:
        ChapterError: names the chapter, the cell, its first line and the error.
    """
    import jupytext
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = jupytext.read(file)
    client = NotebookClient(
        notebook,
        timeout=CELL_S,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # it warns of its own ports, which are loopback's
        resources={"metadata": {"path": str(file.parent)}},
    )
    began = time.perf_counter()
    try:
        client.execute(env=_environment())
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise ChapterError(f"{file.name}: {_where(notebook, error)}") from None
    return notebook, time.perf_counter() - began


def _environment() -> dict[str, str]:
    """Of the kernels: this repository is found, and no hub is asked."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    ours = {
        "HF_HUB_OFFLINE": "1",
        "MODULAR_TELEMETRY_ENABLED": "false",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONPATH": path,
    }
    return {"OMP_NUM_THREADS": "1", **os.environ, **ours}


def _where(notebook: Any, error: Exception) -> str:
    """Which cell failed, and how."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    started = [place for place, cell in enumerate(code) if "execution" in cell.metadata]
    place = started[-1] if started else 0
    lines = [line for line in code[place].source.splitlines() if line.strip()]
    name, value = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", "")
    what = f"{name}: {value}".rstrip(": ")
    return f"code cell {place + 1} of {len(code)} ({lines[0] if lines else 'empty'!r}): {what}"


def stage(book: Path, files: Sequence[Path], notebooks: Sequence[Any], folder: Path) -> None:
    """Write what Sphinx reads: the chapters as notebooks, and the book's README as their index."""
    import nbformat

    names = {file.name: file.stem for file in files}
    for file, notebook in zip(files, notebooks, strict=True):
        for cell in notebook.cells:
            tags = cell.metadata.get("tags", [])
            if cell.cell_type == "markdown":
                cell.source = _links_within(cell.source, names)
            elif "hide-input" in tags and "solution" not in tags:
                cell.metadata["mystnb"] = {
                    "code_prompt_show": "Show the code",
                    "code_prompt_hide": "Hide the code",
                }
        nbformat.write(notebook, folder / f"{file.stem}.ipynb")
    index = _links_within((book / "README.md").read_text(encoding="utf-8"), names)
    listed = "\n".join(names.values())
    index += f"\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{listed}\n```\n"
    (folder / "index.md").write_text(index, encoding="utf-8")


def _links_within(text: str, names: dict[str, str]) -> str:
    """Links to chapters stay, those to other files of the repository become their words."""

    def linked(found: re.Match[str]) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        name = names.get(Path(target).name)
        return f"[{words}]({name}.ipynb{anchor})" if name else words

    return LINK.sub(linked, text)


def make_pages(source: Path, site: Path) -> bool:
    """Let Sphinx make the site, and say whether it had nothing to object to."""
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    try:
        with patch_docutils(), docutils_namespace():
            app = Sphinx(
                srcdir=source,
                confdir=None,
                outdir=site,
                doctreedir=source.parent / "doctrees",
                buildername="html",
                confoverrides=SETTINGS,
                status=None,
                warning=sys.stderr,
                warningiserror=True,
            )
            app.build(force_all=True)
    except SphinxError as error:
        print(f"{error.category}: {error}", file=sys.stderr)
        return False
    return int(app.statuscode) == 0


def build(book: Path, names: Sequence[str], out: Path) -> Path:
    """Run chapters, make the site anew, and say where it lies and how large it is.

    Args:
        book: the folder with the chapters and README.md.
        names: of chapters; all where there are none.
        out: a folder for the site, and beside it what Sphinx works with.

    Returns:
        The first page.

    Raises:
        ChapterError: where a chapter or a page fails; the site that was there stays as it was.
        UsageError: for a name that is not a chapter's.
    """
    files = chapters(book, names)
    print(f"{len(files)} chapters are run, {_workers()} at once", flush=True)
    notebooks = []
    with ThreadPoolExecutor(_workers()) as pool:
        for file, (notebook, seconds) in zip(files, pool.map(run_chapter, files), strict=True):
            print(f"  {file.stem:<32} {seconds:5.1f} s", flush=True)
            notebooks.append(notebook)
    work, made, site = out / "work", out / "made", out / "site"
    for folder in (work, made):
        rmtree(folder, ignore_errors=True)
    (work / "source").mkdir(parents=True)
    stage(book, files, notebooks, work / "source")
    if not make_pages(work / "source", made):
        raise ChapterError("the pages were not made: see above")
    for name in ("objects.inv", ".buildinfo"):
        (made / name).unlink(missing_ok=True)
    rmtree(site, ignore_errors=True)
    made.rename(site)
    rmtree(work)
    sizes = [file.stat().st_size for file in site.rglob("*") if file.is_file()]
    largest = max(site.glob("*.html"), key=lambda page: page.stat().st_size)
    print(
        f"The book: {site / 'index.html'}\n"
        f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB; the largest page, {largest.name}, "
        f"{largest.stat().st_size / 1e3:.0f} kB"
    )
    return site / "index.html"


def _workers() -> int:
    return max(1, min(4, os.cpu_count() or 1))


def main(argv: Sequence[str] | None = None) -> int:
    """Build the site, and open it where that is asked for.

    Returns:
        0 built, 1 a chapter or a page failed, 2 it could not be tried.
    """
    parser = ArgumentParser(prog="tox -e book --", description="the book as a static site")
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help="ch02, ... (default: all)")
    parser.add_argument("--book", type=Path, default=BOOK, help="folder of the chapters")
    parser.add_argument("--out", type=Path, default=OUT, help="folder (default: .cache/book)")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    options = parser.parse_args(argv)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        return cannot_run("book", f"not installed: {', '.join(missing)}; `tox -e book` installs it")
    try:
        with terminable():
            first = build(options.book, options.chapters, options.out.resolve())
    except ChapterError as error:
        print(error, file=sys.stderr)
        return 1
    except UsageError as error:
        return cannot_run("book", error)
    except OSError as error:
        return cannot_run("book", f"the site cannot be written to {options.out}: {error}")
    except KeyboardInterrupt as stop:
        print(f"book: {how_stopped(stop)}; the site is as it was", file=sys.stderr)
        return exit_code_of(stop)
    if options.open and not webbrowser.open(first.as_uri()):
        print("no browser could be opened", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
