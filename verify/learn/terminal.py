"""`python -m verify learn` in a terminal: checked at each save, and a key for the rest."""

from __future__ import annotations

import os
import queue
import time
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from reports.commands import UsageError, as_called
from verify.learn import displayed
from verify.learn.keyboard import Closed, Ended, Key, Saved
from verify.learn.learner_folder import CORE, MOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType

    from verify.learn.keyboard import Event, Events
    from verify.learn.learner_folder import Standing
    from verify.learn.learning_session import Session
    from verify.learn.step_check import Checked, StepCheck

TICK_S = 1.0
"""How often the seconds of a check that goes on are shown."""

FIRST_COMPILE = "MAX compiles it, about a minute the first time"


class Terminal:
    """The loop: an event, what it leads to, and the page that is drawn anew.

    Args:
        session: it is about.
        console: of the terminal.
        events: keys, saves, ends of checks.
        whole: verifies the whole model, prints what it does, and returns the verdict.
        fresh: whether the folder is begun now, so that a welcome is said.
    """

    def __init__(
        self,
        session: Session,
        console: Console,
        events: Events,
        *,
        whole: Callable[[], str],
        fresh: bool = False,
    ) -> None:
        self.session, self.console, self.events = session, console, events
        self.whole = whole
        self.view: RenderableType | None = None
        self.message = displayed.WELCOME if fresh else ""
        self.asked = ""
        self.running: StepCheck | None = None
        self.standby: StepCheck | None = None
        self.began = 0.0
        self.table: dict[str, str] = {}
        self.open = True
        self.actions = {
            "h": self._hint, "e": self._explain, "s": self._solution, "n": self._go_on,
            "l": self._list, "r": self._reset, "q": self._quit, "?": self._help,
            "\n": self._back,
        }  # fmt: skip

    def run(self) -> None:
        """Go on until `q`, the end of the terminal, or Ctrl-C."""
        try:
            self._guarded(self._look)
            while self.open:
                self._show()
                self._guarded(partial(self._take, self._next()))
        finally:
            self._end_checks()
            command = as_called(f"python -m verify learn {self.session.folder.path}")
            self.console.print(Text(f"\n{command} goes on from here", "dim"))

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do something; why it cannot be done is said on the page, and nothing ends."""
        try:
            act()
        except UsageError as error:
            self.message = str(error)

    def _next(self) -> Event:
        while self.running is not None:
            try:
                return self.events.get(timeout=TICK_S)
            except queue.Empty:
                self._say_seconds()
        return self.events.get()

    def _take(self, event: Event) -> None:
        match event:
            case Key(name):
                self._press(name)
            case Saved():
                before = self.running
                self._look()
                if self.running is not before:
                    self.message = self.asked = ""
            case Ended(check, found) if check is self.running:
                self._took(found)
            case Closed():
                self.open = False

    # ---- checks -------------------------------------------------------------------------------

    def _look(self) -> None:
        """Check what is new; a check of what has changed meanwhile is given up."""
        if self.running is not None:
            if self.session.table(self.running.file) == self.table:
                return
            self.running.end()
            self.running = None
        due = self.session.due()
        if due:
            self._start(due[0])
        else:
            self._stand_by()

    def _start(self, number: int, *, compiled: bool = False) -> None:
        check = self._made_ready(number, compiled=compiled)
        if check is None:
            return
        self.table = self.session.table(check.file)
        self.running, self.began = check, time.monotonic()
        check.start(self.table, lambda ended, found: self.events.put(Ended(ended, found)))

    def _made_ready(self, number: int, *, compiled: bool) -> StepCheck | None:
        """The check that stands by, where it is of this step; else a new one."""
        ready, self.standby = self.standby, None
        if ready is not None:
            file = self.session.folder.standing(number).file
            if not compiled and (ready.number, ready.file) == (number, file):
                return ready
            ready.end()
        return self.session.check(number, compiled=compiled)

    def _stand_by(self) -> None:
        number = self.session.number
        if self.standby is not None and self.standby.number != number:
            self.standby.end()
            self.standby = None
        if self.standby is None and number is not None:
            self.standby = self.session.check(number)

    def _took(self, found: Checked) -> None:
        if self.running is not None:
            self.running.end()
        self.running = None
        self.session.take(found)
        if found.number == self.session.number:
            self.view = None
        self._look()

    def _end_checks(self) -> None:
        for check in (self.running, self.standby):
            if check is not None:
                check.end()
        self.running = self.standby = None

    # ---- keys ---------------------------------------------------------------------------------

    def _press(self, name: str) -> None:
        self.asked, self.message = self.asked if self.asked == name else "", ""
        if name in self.actions:
            self.actions[name]()
        elif name.strip():
            self.message = f"{name!r} means nothing here; ? lists the keys"

    def _hint(self) -> None:
        found = self._last()
        self.view = None
        if found is None or found.failed_phase is None:
            self.message = "there is nothing to hint at: no phase of this step fails"
        elif not self.session.take_hint(found):
            self.message = (
                "that was the last hint; e explains the step, s shows one way to write it"
            )

    def _explain(self) -> None:
        standing = self.session.standing()
        if standing is None:
            self.message = "all twelve steps are done; n goes on"
            return
        passed = standing.done or self.session.waits_for_compile()
        self.view = displayed.explanation(standing.lesson, passed=passed)

    def _solution(self) -> None:
        standing = self.session.standing()
        if standing is None:
            self.message = "all twelve steps are done; n goes on"
            return
        if standing.kept.passed or self.session.waits_for_compile() or self.asked == "s":
            self.session.take_solution()
            self.view, self.asked = displayed.solution(standing.lesson), ""
        else:
            self.asked = "s"
            self.message = (
                "the solution is meant for after your own has passed; s again shows it now, "
                f"which {self.session.folder.state.path.name} will say"
            )

    def _go_on(self) -> None:
        standing = self.session.standing()
        self.view = None
        if self.running is not None:
            self.message = "the check is still going on"
        elif standing is None:
            self._verify_whole()
        elif standing.done:
            self._next_step()
        elif self.session.waits_for_compile():
            self._start(standing.number, compiled=True)
        else:
            self.message = f"step {standing.number} does not pass yet"

    def _next_step(self) -> None:
        if self.session.choose() is not None:
            one = self.session.standing()
            more = f"{one.file} is next: open it; e explains what it is about" if one else ""
            self.message = f"{self.message}\n{more}".strip()
        self._look()

    def _verify_whole(self) -> None:
        if self.session.whole:
            self.message = displayed.ALL_DONE
            return
        self._end_checks()
        verdict = self.whole()
        while not self.events.empty():  # keys that were pressed meanwhile
            self.events.get()
        self.message = displayed.whole_said(verdict, self.session.folder.path)
        self.console.print(Text(self.message, "yellow"))
        self.console.print(Text("Enter goes on", "dim"))
        while self.events.get() not in (Key("\n"), Closed()):
            pass
        if verdict == "PASS":
            self._next_step()

    def _list(self) -> None:
        self.view = displayed.listing(self.session.folder.all())

    def _reset(self) -> None:
        standing = self.session.standing()
        if standing is None:
            self.message = "all twelve steps are done: nothing is reset"
        elif self.asked == "r":
            self.asked, self.view = "", None
            copy = self.session.folder.begin_again(standing.number)
            file = self.session.folder.begin(standing.number)
            self.message = displayed.reset_said(copy, file)
            self._look()
        else:
            self.asked = "r"
            self.message = f"r again begins {standing.file} anew; a copy of it is kept"

    def _help(self) -> None:
        self.view = displayed.keys_help()

    def _back(self) -> None:
        self.view = None

    def _quit(self) -> None:
        self.open = False

    # ---- the page -----------------------------------------------------------------------------

    def _last(self) -> Checked | None:
        return self.session.found.get(self.session.number or 0)

    def _show(self) -> None:
        """The page; where the state cannot be read, why not, until it can be."""
        if self._moves:
            self.console.clear()
        try:
            self._draw()
        except UsageError as error:
            self.console.print(Text(str(error), "bold red"))
            self.console.print(Text("Enter, once it is mended; q quits", "dim"))

    def _draw(self) -> None:
        show = self.console.print
        standing = self.session.standing()
        show(displayed.heading(standing, self.session.done) if standing else _all_twelve())
        show(displayed.rule())
        for found in self.session.broken():
            show(displayed.broken(found))
        show(self.view or self._page(standing))
        if self.message:
            show(Text(self.message, "yellow"))
        show(displayed.rule())
        show(displayed.keys_line())
        if self.running is not None:
            line = Text(self._going_on(), no_wrap=True, overflow="crop")
            show(line, end="" if self._moves else "\n")

    def _page(self, standing: Standing | None) -> RenderableType:
        found = self._last()
        if standing is None:
            return Text(displayed.ALL_DONE if self.session.whole else displayed.WHOLE_IS_NEXT)
        if standing.file is None:
            return Text("its file is gone; r writes the skeleton again")
        if standing.done and (found is None or found.table != standing.table):
            return Group(displayed.afterwards(standing.lesson), _then(standing.number))
        if found is None:
            return Text("" if self.running else "save the file, and it is checked", "dim")
        shown = displayed.outcome(found, self.session.hints(found), self.session.level(found))
        if standing.done:
            return Group(
                shown, Text(), displayed.afterwards(standing.lesson), _then(standing.number)
            )
        if self.session.waits_for_compile():
            return Group(shown, Text(f"n: {FIRST_COMPILE}; then the step is done", "green"))
        return shown

    @property
    def _moves(self) -> bool:
        """Whether the terminal can be cleared and written over."""
        return self.console.is_terminal and os.environ.get("TERM", "dumb") != "dumb"

    def _going_on(self) -> str:
        if self.running is None:
            return ""
        how = f" ({FIRST_COMPILE})" if self.running.compiled else ""
        return f"checking {self.running.file.name}{how}: {time.monotonic() - self.began:.0f} s"

    def _say_seconds(self) -> None:
        if self._moves:
            text = self._going_on()[: self.console.width - 1]
            self.console.file.write(f"\r{text}")
            self.console.file.flush()


def _all_twelve() -> Text:
    return Text.assemble(("All twelve steps", "bold"), "  ", displayed.bar(CORE))


def _then(number: int) -> Text:
    following = {CORE: "your GPT-2 as a whole", MOST: "the last word"}
    what = following.get(number, f"step {number + 1}")
    return Text(f"Step {number} is done. n: {what}", "bold green")
