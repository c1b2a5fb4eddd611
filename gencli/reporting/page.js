
"use strict";
{
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const filled = (made, facts, ...inside) => {
    for (const name in facts) made.setAttribute(name, facts[name]);
    made.append(...inside);
    return made;
  };
  const make = (tag, ...inside) => filled(document.createElement(tag), ...inside);
  const draw = (tag, ...inside) => filled(document.createElementNS("http://www.w3.org/2000/svg", tag), ...inside);

  // Tables: a click on a heading sorts by it, the third one goes back; a filter takes words, and limits of columns
  const sorted = (rows, column, sign) => {
    const key = row => row.cells[column].dataset.value;
    return [...rows].sort((a, b) => {
      const left = key(a), right = key(b);
      return left === "" || right === "" ? (left === "") - (right === "") : sign * (left - right);
    });
  };
  const signs = {"<": (a, b) => a < b, ">": (a, b) => a > b, "=": (a, b) => a === b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b};
  const accepts = (heads, words) => {
    const tests = words.toLowerCase().split(/\s+/).filter(word => !/[<>=]$/.test(word)).map(word => {
      const [, name, sign, limit] = word.match(/^([^<>=]+)(<=|>=|<|>|=)(-?[\d.]+(?:e[-+]?\d+)?)$/) ?? [];
      const told = heads.map(head => head.className === "number" ? head.textContent.toLowerCase().replaceAll(" ", "_") : "");
      const fits = told.filter(each => name && each.startsWith(name)), column = told.indexOf(fits.length > 1 ? name : fits[0]);
      if (column < 0) return row => row.textContent.toLowerCase().includes(word);
      return row => row.cells[column].dataset.value !== "" && signs[sign](+row.cells[column].dataset.value, +limit);
    });
    return row => tests.every(test => test(row));
  };
  for (const region of all(".scroll")) {
    const table = region.querySelector("table"), body = table.tBodies[0], rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    if (rows.length < 2) continue;
    heads.forEach((head, column) => {
      if (head.classList.contains("files")) return;
      const button = make("button", {type: "button"}, ...head.childNodes);
      head.dataset.name = button.textContent;  // for paper, where buttons are not repeated
      head.append(button);
      button.addEventListener("click", () => {
        const now = {ascending: "descending", descending: ""}[head.getAttribute("aria-sort")] ?? "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        if (now) head.setAttribute("aria-sort", now);
        body.append(...(now ? sorted(rows, column, now === "ascending" ? 1 : -1) : rows));
      });
    });
    if (rows.length < 8) continue;
    const example = heads.findLast(head => head.className === "number");
    const hint = "words" + (example ? `, or ${example.textContent.replaceAll(" ", "_")}>0.5` : "");
    const field = make("input", {type: "search", placeholder: hint, "aria-label": `Filter rows: ${hint}`});
    const count = make("span", {role: "status"});
    const filter = () => {
      const fits = accepts(heads, field.value);
      let shown = 0;
      for (const row of rows) shown += !(row.hidden = !fits(row));
      count.textContent = `${shown === rows.length ? "" : `${shown.toLocaleString("en")} of `}${rows.length.toLocaleString("en")} rows`;
    };
    field.addEventListener("input", filter);
    filter();
    region.before(make("div", {class: "tools"}, make("label", {}, "Filter ", field), count));
  }

  // Figures: values where the pointer is, or by arrow keys
  const split = text => text ? text.split(" ") : [];
  const within = (value, most) => Math.max(0, Math.min(most, value));
  const known = text => text !== "-" && Number.isFinite(+(text ?? NaN));
  const ticks = (low, high, log) => {
    const [start, end] = log ? [10 ** low, 10 ** high] : [low, high], found = [];
    for (let each = Math.ceil(low); log && each <= high; each += Math.ceil((high - low) / 6)) found.push([10 ** each, `1e${each}`]);
    if (found.length > 2) return found;
    const power = Math.floor(Math.log10((end - start) / 6)), step = [1, 2, 5, 10].find(k => k * 10 ** power >= (end - start) / 6) * 10 ** power;
    const word = value => Math.abs(value) < 1e6 && power > -5 ? value.toFixed(Math.max(0, -Math.floor(Math.log10(step)))) : +value.toPrecision(6);
    return Array.from({length: 12}, (_, n) => (Math.ceil(start / step) + n) * step).map(value => [value, word(value)]);
  };

  class Plot {
    constructor(box) {
      this.box = box;
      this.facts = box.dataset;
      this.svg = box.querySelector("svg");
      this.frame = this.svg.querySelector(".data") ?? this.svg;
      [this.left, this.top, this.width, this.height] = ["x", "y", "width", "height"].map(name => +this.frame.getAttribute(name));
      this.names = JSON.parse(this.facts.names ?? "[]");
      const scale = split(this.facts.scale).map(Number);
      [this.across, this.up] = [scale.slice(0, 3), scale.slice(3)];
      const label = `${box.getAttribute("aria-label")}; arrow keys read its values`;
      filled(box, {role: "application", "aria-roledescription": "figure", "aria-label": label, tabindex: 0});
      for (const kind of ["pointermove", "pointerdown"]) box.addEventListener(kind, event => this.show(this.near(...this.inside(event))));
      box.addEventListener("pointerleave", event => event.pointerType === "mouse" && this.hide());
      box.addEventListener("blur", () => this.hide());
      box.addEventListener("keydown", event => this.key(event));
    }
    load(names) {
      if (this.series) return;
      const facts = this.facts;
      this.series = all("g[data-s]", this.svg).map(g => ({
        g, name: names.get(g.dataset.s) ?? "", x: split(g.dataset.x ?? facts.x), y: split(g.dataset.y), d: split(g.dataset.d),
      }));
      if (facts.kind === "matrix") {
        this.cells = JSON.parse(facts.cells);
        [this.left, this.top, this.width] = split(facts.box).map(Number);
        this.height = this.width;
      }
      for (const each of this.series) {
        each.right = each.x.map(x => this.place(this.across, x) * this.width);
        each.down = each.y.map(y => known(y) ? (1 - this.place(this.up, y)) * this.height : NaN);
      }
    }
    place([low, high, log], text) {
      const value = log ? Math.log10(+text) : +text;
      return (value / 2 - low / 2) / (high / 2 - low / 2);
    }
    get visible() { return this.series.filter(each => !each.g.classList.contains("off")); }
    inside(event) {
      const shown = this.svg.getBoundingClientRect(), scale = this.svg.viewBox.baseVal.width / shown.width;
      return [(event.clientX - shown.left) * scale - this.left, (event.clientY - shown.top) * scale - this.top];
    }
    get stops() {
      if (!this.all) {
        const found = new Map();
        for (const each of this.visible) each.x.forEach((x, n) => Number.isFinite(each.right[n]) && found.set(x, each.right[n]));
        this.all = [...found].sort((a, b) => a[1] - b[1]);
      }
      return this.all;
    }
    // a reading: its place, a heading, and rows of a class, a name and a value
    near(x, y) {
      if (x < -8 || y < -8 || x > this.width + 8 || y > this.height + 8) return null;
      const kind = this.facts.kind, room = this.height / this.names.length;
      if (kind === "bars" || kind === "matrix") {
        const [column, row] = [x, y].map(each => within(Math.floor(each / room), this.names.length - 1));
        return this.state = {row, column, y};
      }
      if (kind === "lines") {
        const best = this.stops.reduce((best, stop, n, all) => Math.abs(stop[1] - x) < Math.abs(all[best]?.[1] - x) ? n : best, 0);
        return this.state = this.stops.length ? {stop: best, y: this.fitted ? (y - this.fitted[1]) / this.fitted[0] : y} : null;
      }
      let least = Infinity, found = null;
      for (const each of this.visible) each.right.forEach((right, n) => {
        const far = (right - x) ** 2 + (each.down[n] - y) ** 2;
        if (far < least) [least, found] = [far, {each, n}];
      });
      return this.state = found;
    }
    step(right, down, far) {
      const kind = this.facts.kind, state = this.state, most = this.names.length - 1;
      if (!state) return this.near(kind === "matrix" || kind === "bars" ? 0 : this.width / 2, kind === "lines" ? this.height / 2 : 0);
      if (kind === "bars") {
        const row = within(state.row + down * far, most), room = this.height / (most + 1);
        return this.state = {row, y: row === state.row ? within(state.y + right * room / 9, this.height) : (row + .5) * room};
      }
      if (kind === "matrix") {
        return this.state = {row: within(state.row + down * far, most), column: within(state.column + right * far, most)};
      }
      if (kind === "lines") {
        const stop = within(state.stop + right * far, this.stops.length - 1);
        return this.state = {stop, y: within(state.y + down * this.height / 10, this.height)};
      }
      const points = this.visible.flatMap(each => each.right.map((place, n) => ({each, n, place})))
        .filter(point => Number.isFinite(point.each.down[point.n])).sort((a, b) => a.place - b.place);
      const here = points.findIndex(point => point.each === state.each && point.n === state.n);
      return this.state = points[within(here + (right || -down) * far, points.length - 1)];
    }
    row(each, n) {
      const told = text => this.facts.share ? `${+(100 * text).toPrecision(4)} %` : text;
      const value = each.y[n] === "-" ? "no value" : told(each.y[n]);
      return {each, name: each.name, y: each.down[n], value: known(each.d[n]) ? `${value} \u00b1 ${told(each.d[n])}` : value};
    }
    read(state) {
      const {kind, across} = this.facts;
      if (kind === "matrix") {
        const row = this.cells[state.row], sum = Object.values(row).reduce((a, b) => a + b, 0), count = row[state.column] ?? 0;
        const room = this.height / this.names.length;
        const share = sum ? `${count.toLocaleString("en")} of ${sum.toLocaleString("en")}, ${(100 * count / sum).toFixed(2)} %` : "no rows";
        const head = `label ${this.names[state.row]}, predicted ${this.names[state.column]}`;
        return {x: (state.column + .5) * room, y: (state.row + .5) * room, head, rows: [{name: "", value: share}]};
      }
      if (kind === "scatter") {
        const {each, n} = state;
        return {x: each.right[n], y: each.down[n], head: `${across} ${each.x[n]}`, rows: [this.row(each, n)]};
      }
      const bars = kind === "bars", room = this.height / this.names.length, [x, right] = this.stops[state.stop] ?? [0, this.width / 2];
      const rows = bars ? this.visible.map(each => {
        const place = (this.series.indexOf(each) + .5) / this.series.length;
        return {...this.row(each, state.row), y: state.row * room + 4 + place * (room - 8)};
      }) : this.visible.flatMap(each => each.x.flatMap((own, n) => own === x ? [this.row(each, n)] : []));
      const far = row => Number.isFinite(row.y) ? Math.abs(row.y - state.y) : Infinity;
      const near = [...rows].sort((a, b) => far(a) - far(b)).slice(0, 8);
      if (rows.length > 1 && near[0]) near[0].near = true;
      const shown = rows.filter(row => near.includes(row));
      const head = bars ? this.names[state.row] : `${across} ${x}`;
      return {x: right, y: state.y, guide: !bars, head, rows: shown, more: rows.length - shown.length};
    }
    show(state, aloud) {
      this.clear();
      if (!state) return;
      const found = this.read(state), [k, t] = this.fitted ?? [1, 0];
      this.marks = [];
      const mark = (tag, facts) => {
        this.marks.push(draw(tag, facts));
        this.svg.append(this.marks.at(-1));
      };
      if (found.guide) mark("path", {class: "guide", d: `M${this.left + found.x} ${this.top}v${this.height}`});
      for (const row of found.rows) {
        if (!Number.isFinite(row.y) || this.facts.kind === "bars") continue;
        const look = `here ${row.each.g.getAttribute("class")}`;
        mark("circle", {class: look, cx: this.left + found.x, cy: this.top + k * row.y + t, r: row.near ? 5 : 3.5});
      }
      if (this.facts.kind === "matrix") {
        const width = this.height / this.names.length, [x, y] = [this.left + found.x - width / 2, this.top + found.y - width / 2];
        mark("rect", {class: "guide", x, y, width, height: width});
      }
      const lines = found.rows.map(row => {
        const key = row.each && make("span", {}, this.keys?.get(row.each.g.dataset.s)?.cloneNode(true) ?? "");
        return make("p", row.near ? {class: "near"} : {}, ...(key ? [key] : []), make("span", {}, row.name), make("span", {}, row.value));
      });
      if (found.more) lines.push(make("p", {}, `and ${found.more} more`));
      this.tip = make("div", {class: "tip"}, make("p", {}, found.head), ...lines);
      document.body.append(this.tip);
      const shown = this.svg.getBoundingClientRect(), scale = shown.width / this.svg.viewBox.baseVal.width;
      const x = shown.left + (this.left + found.x) * scale, y = shown.top + (this.top + k * found.y + t) * scale;
      const {offsetWidth: wide, offsetHeight: high} = this.tip, most = document.body.clientWidth - wide - 8;
      const left = [x + 14, x - 14 - wide].find(each => each >= 0 && each <= most);  // beside it, or else below the figure
      const top = left === undefined ? shown.bottom + 4 : within(y - high / 2, innerHeight - high);
      this.tip.style.left = `${scrollX + (left ?? within(x - wide / 2, most))}px`;
      this.tip.style.top = `${scrollY + top}px`;
      if (aloud) this.said.textContent = `${found.head}: ${found.rows.map(row => `${row.name} ${row.value}`).join(", ")}`;
    }
    clear() {
      for (const mark of this.marks ?? []) mark.remove();
      this.tip?.remove();
    }
    hide() {
      this.clear();
      this.state = null;
    }
    key(event) {
      const [right, down, far] = {
        ArrowLeft: [-1, 0, 1], ArrowRight: [1, 0, 1], ArrowUp: [0, -1, 1], ArrowDown: [0, 1, 1],
        Home: [-1, 0, 1e9], End: [1, 0, 1e9], PageUp: [-1, 0, 10], PageDown: [1, 0, 10],
      }[event.key] ?? [];
      if (event.key === "Escape") this.hide();
      if (right === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      if (!this.said) this.box.append(this.said = make("div", {class: "said", "aria-live": "polite"}));
      this.show(this.step(right, down, far), true);
    }
    // the curves that are left take the whole height
    fit() {
      if (!this.facts.free || this.facts.kind !== "lines") return;
      const group = this.svg.querySelector(".up");
      this.first ??= [...group.childNodes];
      const some = this.visible.length && this.visible.length < this.series.length, log = this.up[2];
      const ends = (some ? this.visible : []).flatMap(each => each.y.flatMap((y, n) => {
        const spread = known(each.d[n]) ? +each.d[n] : 0;
        return known(y) ? [+y - spread, +y + spread] : [];
      })).filter(end => end > 0 || !log).map(end => log ? Math.log10(end) : end);
      let [low, high] = ends.reduce(([a, b], end) => [Math.min(a, end), Math.max(b, end)], [Infinity, -Infinity]);
      const room = .04 * (high - low) || (high ? .05 * Math.abs(high) : .5);
      [low, high] = ends.length ? [low - room, high + room] : this.up;
      const k = (this.up[1] / 2 - this.up[0] / 2) / (high / 2 - low / 2);
      const t = this.height * (1 - k * (1 - this.place([...this.up.slice(0, 2), 0], low)));
      this.fitted = ends.length && Number.isFinite(k) && Number.isFinite(t) ? [k, t] : null;
      for (const {g} of this.series) g.setAttribute("transform", this.fitted ? `matrix(1 0 0 ${k} 0 ${t})` : "");
      const found = [];
      let path = "";
      if (this.fitted) for (const [tick, told] of ticks(low, high, log)) {
        const y = this.top + (1 - this.place([low, high, log], tick)) * this.height;
        if (!(y >= this.top - .5 && y <= this.top + this.height + .5)) continue;
        path += `M${this.left} ${y}h${this.width}`;
        found.push(draw("text", {x: this.left - 6, y: y + 4, "text-anchor": "end"}, told));
      }
      group.replaceChildren(...(this.fitted ? [draw("path", {class: "grid", d: path}), ...found] : this.first));
    }
  }

  // Legends: a click hides a curve in all panels, a double click all others
  for (const group of all(".group")) {
    const items = all(".legend li[data-s]", group), names = new Map(items.map(item => [item.dataset.s, item.textContent]));
    const keys = new Map(items.map(item => [item.dataset.s, item.querySelector(".key")]));
    const plots = all(".plot", group).map(box => new Plot(box));
    for (const plot of plots) {
      plot.keys = keys;
      for (const start of ["pointerenter", "focus"]) plot.box.addEventListener(start, () => plot.load(names));
    }
    if (items.length < 2) continue;
    const off = new Set();
    const every = make("button", {type: "button", class: "all", hidden: ""}, "show all");
    const update = () => {
      for (const item of items) item.firstChild.setAttribute("aria-pressed", !off.has(item.dataset.s));
      for (const g of all("g[data-s]", group)) g.classList.toggle("off", off.has(g.dataset.s));
      every.hidden = !off.size;
      for (const plot of plots) {
        plot.hide();
        plot.all = null;
        if (!plot.facts.free || !(off.size || plot.fitted)) continue;
        plot.load(names);
        plot.fit();
      }
    };
    for (const item of items) {
      const own = item.dataset.s, button = make("button", {type: "button", title: "hide or show; double click: only this"}, ...item.childNodes);
      item.append(button);
      const faint = on => { for (const g of all("g[data-s]", group)) g.classList.toggle("faint", on && g.dataset.s !== own); };
      button.addEventListener("click", () => {
        if (!off.delete(own)) off.add(own);
        update();
        faint(!off.has(own));
      });
      button.addEventListener("dblclick", () => {
        for (const other of items) if (other !== item) off.add(other.dataset.s);
        off.delete(own);
        update();
      });
      for (const [start, on] of [["pointerenter", true], ["pointerleave", false], ["focus", true], ["blur", false]]) {
        button.addEventListener(start, () => faint(on && !off.has(own)));
      }
    }
    every.addEventListener("click", () => {
      off.clear();
      update();
      items[0].firstChild.focus();
    });
    items[0].parentNode.append(make("li", {}, every));
    const note = group.querySelector("[data-most]");
    if (note) {
      note.querySelector("span").hidden = false;
      items.slice(+note.dataset.most).forEach(item => off.add(item.dataset.s));
    }
    update();
  }

  // Places: what is folded opens where it is gone to, and on paper; the contents show where the reader is
  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const fold = target && (target.tagName === "DETAILS" ? target : target.querySelector(":scope > details.fold"));
    if (fold) fold.open = true;
  };
  addEventListener("hashchange", open);
  open();
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const each of folded) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of folded) each.open = false; });
  const links = new Map(all("nav a").map(link => [link.hash.slice(1), link]));
  const seen = new Set(), watch = new IntersectionObserver(entries => {
    for (const {target, isIntersecting} of entries) seen[isIntersecting ? "add" : "delete"](target);
    const first = all("section").find(section => seen.has(section));
    for (const [id, link] of links) id === first?.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  }, {rootMargin: "0px 0px -60% 0px"});
  for (const section of all("section")) watch.observe(section);
}
