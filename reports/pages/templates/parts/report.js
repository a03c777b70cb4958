// Tooltips, tabs, filters, sorting and canvases of a report. Works from file://, asks for nothing.
"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const one = (selector, from = document) => from.querySelector(selector);

  // ---- light and dark: the system's, until someone chooses
  const themes = ["auto", "light", "dark"];
  const remembered = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const setTheme = (name) => {
    root.dataset.theme = name;
    one("#theme").textContent = `Colours: ${name}`;
    try { localStorage.setItem("theme", name); } catch { /* file:// may refuse */ }
  };
  setTheme(themes.includes(remembered()) ? remembered() : "auto");
  one("#theme").addEventListener("click", () =>
    setTheme(themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length]));

  // ---- tooltips
  const tip = one("#tip");
  const showTip = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = !text;
    if (!text) return;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - width - 8))}px`;
    tip.style.top = `${y + 16 + height > innerHeight ? Math.max(4, y - height - 10) : y + 16}px`;
  };
  document.addEventListener("mousemove", (event) => {
    if (event.target.tagName === "CANVAS") return;
    const owner = event.target.closest("[data-tip]");
    showTip(owner ? owner.dataset.tip : "", event.clientX, event.clientY);
  });
  document.addEventListener("focusin", (event) => {
    const owner = event.target.closest("[data-tip]");
    const box = event.target.getBoundingClientRect();
    showTip(owner ? owner.dataset.tip : "", box.left, box.bottom - 10);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") showTip(""); });
  addEventListener("scroll", () => showTip(""), { passive: true });

  // ---- arrow keys within a group of cells or tabs: one stop of the Tab key for all of them
  const roving = (items, columns, choose) => items.forEach((item, index) => {
    item.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
      const ends = { Home: 0, End: items.length - 1 }[event.key];
      const to = items[ends ?? index + (step ?? NaN)];
      if (!to) return;
      event.preventDefault();
      items.forEach((other) => { other.tabIndex = other === to ? 0 : -1; });
      to.focus();
      if (choose) choose(to);
    });
  });

  // ---- tabs
  const tabs = all("[role=tab]");
  const open = (tab) => {
    tabs.forEach((other) => {
      const chosen = other === tab;
      other.setAttribute("aria-selected", chosen);
      other.tabIndex = chosen ? 0 : -1;
      one(`#${other.getAttribute("aria-controls")}`).classList.toggle("open", chosen);
    });
    try { history.replaceState(null, "", `#${tab.dataset.name}`); } catch { /* file:// may refuse */ }
  };
  tabs.forEach((tab) => tab.addEventListener("click", () => open(tab)));
  roving(tabs, 1, open);
  const wanted = tabs.find((tab) => `#${tab.dataset.name}` === location.hash);
  if (tabs.length && wanted) open(wanted);

  // ---- figures that come in several versions
  all("[data-variants]").forEach((group) => {
    const buttons = all(".segments button", group);
    buttons.forEach((button) => button.addEventListener("click", () => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
      all(".variant", group).forEach((variant) =>
        variant.classList.toggle("open", variant.dataset.variant === button.dataset.variant));
    }));
  });

  // ---- the map of the model
  all("[data-grid]").forEach((grid) => {
    const cells = all(".cell[data-tip]", grid);
    cells.forEach((cell, index) => { cell.tabIndex = index ? -1 : 0; });
    const first = cells.find((cell) => cell.classList.contains("origin"));
    if (first) cells.forEach((cell) => { cell.tabIndex = cell === first ? 0 : -1; });
    roving(cells, Number(grid.dataset.grid) || 1);
    cells.forEach((cell) => cell.addEventListener("click", () => filterPlace(cell.dataset.place)));
    cells.forEach((cell) => cell.addEventListener("keydown", (event) => {
      if (event.key === "Enter") filterPlace(cell.dataset.place);
    }));
  });
  const filterPlace = (place) => {
    const tab = tabs.find((other) => other.dataset.name === "checks");
    const search = one(tab ? "#panel-checks [data-search]" : "[data-cases] [data-search]");
    if (!search || !place) return;
    if (tab) open(tab);
    const folded = search.closest("details");
    if (folded) folded.open = true;
    search.value = place;
    showCases(place);
    search.dispatchEvent(new Event("input"));
    search.scrollIntoView({ block: "center" });
    search.focus();
  };

  // ---- tables: filters and sorting
  all("[data-table]").forEach((box) => {
    const body = one("tbody", box);
    const rows = all("tr", body);
    const search = one("[data-search]", box);
    const selects = all("select[data-column]", box);
    const count = one("[data-count]", box);
    const filter = () => {
      const words = (search ? search.value : "").toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        const fits = words.every((word) => text.includes(word)) && selects.every((select) =>
          !select.value || row.cells[Number(select.dataset.column)].textContent.trim() === select.value);
        row.hidden = !fits;
        shown += fits;
      });
      if (count) count.textContent = `${shown} of ${rows.length} rows`;
    };
    if (search) search.addEventListener("input", filter);
    selects.forEach((select) => select.addEventListener("change", filter));
    all("th button", box).forEach((button) => button.addEventListener("click", () => {
      const head = button.closest("th");
      const up = head.getAttribute("aria-sort") !== "ascending";
      all("th", box).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => {
        const cell = row.cells[head.cellIndex];
        const value = cell.dataset.value ?? cell.textContent.trim();
        const number = Number(value);
        return value === "" || Number.isNaN(number) ? value : number;
      };
      rows.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        const order = typeof x === "number" && typeof y === "number" ? x - y
          : typeof x === typeof y ? String(x).localeCompare(String(y)) : typeof x === "number" ? 1 : -1;
        return up ? order : -order;
      });
      body.append(...rows);
    }));
  });

  // ---- canvases
  const STEPS = 65534;
  const stops = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"]
    .map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const viridis = (share) => {
    const at = share * (stops.length - 1), low = Math.min(stops.length - 2, Math.floor(at));
    return stops[low].map((value, i) => Math.round(value + (stops[low + 1][i] - value) * (at - low)));
  };
  const unpack = (text) => {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Uint16Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i, true));
  };
  const paint = (canvas, values, rows, columns, start = 0, below = false) => {
    canvas.width = columns;
    canvas.height = rows;
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
      const value = values[start + row * columns + column];
      const [r, g, b] = value > STEPS ? [255, 123, 84] : viridis(value / STEPS);
      image.data.set([r, g, b, below && column > row ? 0 : 255], 4 * (row * columns + column));
    }
    context.putImageData(image, 0, 0);
  };
  const pointing = (canvas, rows, columns, text) => {
    canvas.addEventListener("mousemove", (event) => {
      const box = canvas.getBoundingClientRect();
      const row = Math.min(rows - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * rows)));
      const column = Math.min(columns - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * columns)));
      showTip(text(row, column), event.clientX, event.clientY);
    });
    canvas.addEventListener("mouseleave", () => showTip(""));
  };
  const percent = (value) => value < 10 ? `${Number((100 * value).toPrecision(3))}%` : `${Math.round(value)}x`;
  all("script[data-heat]").forEach((script) => {
    const heat = JSON.parse(script.textContent);
    const canvas = one(`#${heat.name}`);
    const values = unpack(heat.data);
    const [rows, columns] = [heat.rows.length, heat.columns.length];
    paint(canvas, values, rows, columns);
    pointing(canvas, rows, columns, (row, column) => {
      const value = values[row * columns + column] / STEPS;
      const real = heat.log ? heat.low * (heat.high / heat.low) ** value : heat.low + (heat.high - heat.low) * value;
      const written = heat.form === "number" ? real.toExponential(2) : percent(real);
      const shown = value > 1 ? "not a number" : `${value ? "" : "at most "}${written}`;
      return `${heat.rows[row]}, ${heat.columns[column]}\n${shown} ${heat.unit}`;
    });
  });

  // ---- every case of a place
  let showCases = () => {};
  all("[data-cases-of-place]").forEach((figure) => {
    const told = JSON.parse(one("[data-shares]", figure).textContent);
    const values = unpack(told.data);
    const [choice, bars] = [one("[data-place-choice]", figure), one("[data-bars]", figure)];
    const shareAt = (mode, place, index) => {
      const value = values[(mode * told.places.length + place) * told.cases.length + index];
      if (!value) return NaN;
      return value > STEPS ? Infinity : value > 1 ? told.low * (told.high / told.low) ** ((value - 1) / (STEPS - 1)) : 0;
    };
    const written = (share) => Number.isNaN(share) ? "" : share === Infinity ? "no number"
      : share < 10 ? `${Math.round(100 * share)}%` : share < 1e6 ? `${Math.round(share).toLocaleString("en")}x`
      : `${share.toExponential(0)}x`;
    const part = (kind, css, text = "") => Object.assign(document.createElement(kind), { className: css, textContent: text });
    const draw = (place) => {
      const found = told.cases.map((name, index) => [name, shareAt(0, place, index), shareAt(1, place, index)])
        .filter((row) => !Number.isNaN(row[1])).sort((a, b) => b[1] - a[1]);
      bars.replaceChildren(...found.map(([name, alone, free]) => {
        const row = part("div", alone > 1 ? "case-bar wrong" : "case-bar");
        const [track, bar] = [part("span", "track"), part("i", "")];
        bar.style.setProperty("--v", Math.min(1, alone));
        track.append(bar);
        row.append(part("span", "who", name), track, part("span", "number", written(alone)),
          part("span", "number quiet", written(free)));
        return row;
      }));
    };
    choice.addEventListener("change", () => draw(choice.selectedIndex));
    showCases = (name) => {
      const place = told.places.indexOf(name);
      if (place < 0) return;
      choice.selectedIndex = place;
      draw(place);
    };
  });

  // ---- attention
  all("script[data-attention]").forEach((script) => {
    const data = JSON.parse(script.textContent);
    const box = script.closest("figure");
    const size = data.tokens.length;
    const sides = Object.fromEntries(Object.entries(data.sides).map(([name, text]) => [name, unpack(text)]));
    const startOf = (layer, head) => (layer * data.heads + head) * size * size;
    let side = one("[data-side-button][aria-pressed=true]", box).dataset.sideButton;
    const buttons = all(".heads button", box);
    const thumbnails = () => buttons.forEach((button) => paint(one("canvas", button), sides[side],
      size, size, startOf(Number(button.dataset.layer), Number(button.dataset.head)), true));
    const enlarge = (button) => {
      const [layer, head] = [Number(button.dataset.layer), Number(button.dataset.head)];
      buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
      one("[data-which]", box).textContent =
        `h.${layer}, head ${head}: largest difference ${data.largest[layer][head].toExponential(1)}`;
      all(".large canvas", box).forEach((canvas) => {
        const values = sides[canvas.dataset.side];
        paint(canvas, values, size, size, startOf(layer, head), true);
        canvas.dataset.at = startOf(layer, head);
      });
    };
    all(".large canvas", box).forEach((canvas) => pointing(canvas, size, size, (row, column) => {
      if (column > row) return "";
      const share = sides[canvas.dataset.side][Number(canvas.dataset.at) + row * size + column] / STEPS;
      const value = canvas.dataset.side === "difference"
        ? (share ? `differ by ${(1e-9 * 1e9 ** share).toExponential(1)}` : "differ by at most 1e-9")
        : percent(share);
      return `${data.tokens[row]} → ${data.tokens[column]}\n${value}`;
    }));
    buttons.forEach((button, index) => {
      button.tabIndex = index ? -1 : 0;
      button.addEventListener("click", () => enlarge(button));
    });
    roving(buttons, data.heads, enlarge);
    all("[data-side-button]", box).forEach((button) => button.addEventListener("click", () => {
      side = button.dataset.sideButton;
      all("[data-side-button]", box).forEach((other) => other.setAttribute("aria-pressed", other === button));
      thumbnails();
    }));
    thumbnails();
    const worst = buttons.reduce((best, button) => data.largest[button.dataset.layer][button.dataset.head] >
      data.largest[best.dataset.layer][best.dataset.head] ? button : best, buttons[0]);
    enlarge(worst);
  });
})();
