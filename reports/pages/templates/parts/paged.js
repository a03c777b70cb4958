// The table of all runs: what is asked for is laid out, a page at a time, from data in the page.
"use strict";
(() => {
  const one = (selector) => document.querySelector(selector);
  const size = Number(one("[data-paged]").dataset.paged);
  const { texts, rows } = JSON.parse(one("#packed").textContent);
  const body = one("#runs tbody");
  let found = rows, first = 0, column = -1, up = true;

  const cell = (tr, words, css) => {
    const td = tr.insertCell();
    td.className = css;
    td.textContent = words;
    return td;
  };
  const show = () => {
    body.replaceChildren();
    found.slice(first, first + size).forEach((row) => {
      const [verdict, title, lead, commit, version, machine] = row.slice(2).map((at) => texts[at]);
      const tr = body.insertRow();
      const name = cell(tr, row[1] ? "" : row[0], "name");
      if (row[1]) {
        const link = document.createElement("a");
        link.href = row[1];
        link.textContent = row[0];
        name.append(link);
      }
      const said = document.createElement("span");
      said.className = `said ${verdict}`;
      said.textContent = verdict;
      cell(tr, "", "").append(said);
      const words = cell(tr, lead ? `${title}. ` : title, "words");
      const quiet = document.createElement("span");
      quiet.className = "quiet";
      quiet.textContent = lead;
      words.append(quiet);
      cell(tr, commit, "name");
      cell(tr, version, "");
      cell(tr, machine, "");
    });
    const last = Math.min(first + size, found.length);
    one("[data-paged-count]").textContent = found.length
      ? `${first + 1} to ${last} of ${found.length} runs` : "no run has all of these words";
    one("[data-paged-back]").disabled = first === 0;
    one("[data-paged-on]").disabled = last >= found.length;
  };
  one("[data-paged-search]").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    const lower = texts.map((words) => words.toLowerCase());
    found = rows.filter((row) => {
      const all = [row[0].toLowerCase(), ...row.slice(2).map((at) => lower[at])];
      return words.every((word) => all.some((part) => part.includes(word)));
    });
    first = 0;
    show();
  });
  one("[data-paged-back]").addEventListener("click", () => { first = Math.max(0, first - size); show(); });
  one("[data-paged-on]").addEventListener("click", () => { first += size; show(); });
  document.querySelectorAll("#runs th button").forEach((button, at) => button.addEventListener("click", () => {
    up = column === at ? !up : true;
    column = at;
    document.querySelectorAll("#runs th").forEach((head) => head.removeAttribute("aria-sort"));
    button.closest("th").setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = at === 0 ? (row) => row[0] : (row) => texts[row[at === 2 ? 3 : at === 1 ? 2 : at + 2]];
    found = [...found].sort((a, b) => (up ? 1 : -1) * String(key(a)).localeCompare(String(key(b))));
    first = 0;
    show();
  }));
})();
