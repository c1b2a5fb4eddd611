
"use strict";
{
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const make = (tag, facts, ...inside) => {
    const made = document.createElement(tag);
    for (const name in facts) made.setAttribute(name, facts[name]);
    made.append(...inside);
    return made;
  };
  const draw = (tag, facts) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const name in facts) made.setAttribute(name, facts[name]);
    return made;
  };

  // Tables: a click on a heading sorts by it, the third one goes back; a filter takes words, and limits of columns
  const sorted = (rows, column, sign) => {
    const key = row => row.cells[column].dataset.value;
    return [...rows].sort((a, b) => {
      const left = key(a), right = key(b);
      return left === "" || right === "" ? (left === "") - (right === "") : sign * (left - right);
    });
  };
  const accepts = (heads, words) => {
    const tests = words.toLowerCase().split(/\s+/).filter(word => !/[<>=]$/.test(word)).map(word => {
      const [, name, sign, limit] = word.match(/^([^<>=]+)(<=|>=|<|>|=)(-?[\d.]+(?:e[-+]?\d+)?)$/) ?? [];
      const column = name ? heads.findIndex(head => head.className === "number" &&
        head.textContent.toLowerCase().replaceAll(" ", "_").startsWith(name)) : -1;
      if (column < 0) return row => row.textContent.toLowerCase().includes(word);
      return row => {
        const text = row.cells[column].dataset.value, value = +text, end = +limit;
        return text !== "" && (sign === "<" ? value < end : sign === ">" ? value > end :
          sign === "=" ? value === end : sign === "<=" ? value <= end : value >= end);
      };
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
  const known = text => text !== undefined && text !== "-" && text !== "nan" && text !== "inf" && text !== "-inf";
  const written = value => {
    const size = Math.abs(value), short = +value.toPrecision(6);
    return size && (size >= 1e6 || size < 1e-4) ? short.toExponential().replace("e+", "e") : String(short);
  };
  const ticks = (low, high, log) => {
    const decades = [], found = [];
    for (let each = Math.ceil(low); log && each <= high; each++) decades.push(each);
    if (decades.length > 2) return decades.filter((_, n) => n % Math.ceil(decades.length / 5) === 0).map(each => 10 ** each);
    const start = log ? 10 ** low : low, end = log ? 10 ** high : high, rough = (end - start) / 5;
    const power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map(k => k * power).find(each => each >= rough);
    for (let n = Math.ceil(start / step); n * step <= end && found.length < 12; n++) found.push(n * step);
    return found;
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
      box.setAttribute("role", "application");
      box.setAttribute("aria-roledescription", "figure");
      box.setAttribute("aria-label", `${box.getAttribute("aria-label")}; arrow keys read its values`);
      box.tabIndex = 0;
      box.addEventListener("pointermove", event => this.show(this.near(...this.inside(event))));
      box.addEventListener("pointerdown", event => this.show(this.near(...this.inside(event))));
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
        each.at = new Map(each.x.map((x, n) => [x, n]));
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
    stops() {
      const found = new Map();
      for (const each of this.visible) each.x.forEach((x, n) => Number.isFinite(each.right[n]) && found.set(x, each.right[n]));
      return [...found].sort((a, b) => a[1] - b[1]);
    }
    // a reading: its place, a heading, and rows of a class, a name and a value
    near(x, y) {
      if (x < -8 || y < -8 || x > this.width + 8 || y > this.height + 8) return null;
      const kind = this.facts.kind, room = this.height / this.names.length;
      if (kind === "bars") return this.state = {row: within(Math.floor(y / this.facts.row), this.names.length - 1)};
      if (kind === "matrix") {
        const [column, row] = [x, y].map(each => within(Math.floor(each / room), this.names.length - 1));
        return this.state = {row, column};
      }
      if (kind === "lines") {
        const stops = this.stops();
        let best = 0;
        stops.forEach((stop, n) => { if (Math.abs(stop[1] - x) < Math.abs(stops[best][1] - x)) best = n; });
        return this.state = stops.length ? {stop: best, y: this.back(y)} : null;
      }
      let least = Infinity, found = null;
      for (const each of this.visible) each.right.forEach((right, n) => {
        const far = (right - x) ** 2 + (each.down[n] - y) ** 2;
        if (far < least) [least, found] = [far, {each, n}];
      });
      return this.state = found;
    }
    back(y) { return this.fitted ? (y - this.fitted[1]) / this.fitted[0] : y; }
    step(right, down, far) {
      const kind = this.facts.kind, state = this.state, most = this.names.length - 1;
      if (!state) return this.near(kind === "matrix" || kind === "bars" ? 0 : this.width / 2, kind === "lines" ? this.height / 2 : 0);
      if (kind === "bars") return this.state = {row: within(state.row + (down || right) * far, most)};
      if (kind === "matrix") return this.state = {row: within(state.row + down, most), column: within(state.column + right, most)};
      if (kind === "lines") {
        return this.state = {stop: within(state.stop + right * far, this.stops().length - 1), y: within(state.y + down * this.height / 10, this.height)};
      }
      const points = this.visible.flatMap(each => each.right.map((place, n) => ({each, n, place})))
        .filter(point => Number.isFinite(point.each.down[point.n])).sort((a, b) => a.place - b.place);
      const here = points.findIndex(point => point.each === state.each && point.n === state.n);
      return this.state = points[within(here + (right || -down) * far, points.length - 1)];
    }
    value(each, n) {
      const told = text => this.facts.share ? `${+(100 * text).toPrecision(4)} %` : text;
      const gap = each.y[n] === "-" ? "none" : told(each.y[n]);
      return known(each.d[n]) ? `${gap} \u00b1 ${told(each.d[n])}` : gap;
    }
    read(state) {
      const kind = this.facts.kind, across = this.facts.across;
      if (kind === "matrix") {
        const row = this.cells[state.row], sum = Object.values(row).reduce((a, b) => a + b, 0), count = row[state.column] ?? 0;
        const room = this.height / this.names.length;
        const share = sum ? `${count.toLocaleString("en")} of ${sum.toLocaleString("en")}, ${(100 * count / sum).toFixed(2)} %` : "no rows";
        return {x: (state.column + .5) * room, y: (state.row + .5) * room, head: `label ${this.names[state.row]}, predicted ${this.names[state.column]}`, rows: [{name: "", value: share}]};
      }
      if (kind === "bars") {
        const rows = this.visible.map(each => ({each, name: each.name, value: this.value(each, state.row)}));
        return {y: (state.row + .5) * this.facts.row, x: this.width / 2, head: this.names[state.row], rows};
      }
      if (kind === "scatter") {
        const {each, n} = state;
        return {x: each.right[n], y: each.down[n], head: `${across} ${each.x[n]}`, rows: [{each, name: each.name, value: this.value(each, n), y: each.down[n]}]};
      }
      const [x, right] = this.stops()[state.stop] ?? [];
      const rows = this.visible.filter(each => each.at.has(x)).map(each => {
        const n = each.at.get(x);
        return {each, name: each.name, value: this.value(each, n), y: each.down[n]};
      });
      const far = row => Number.isFinite(row.y) ? Math.abs(row.y - state.y) : Infinity;
      const near = [...rows].sort((a, b) => far(a) - far(b)).slice(0, 12);
      if (rows.length > 1 && near[0]) near[0].near = true;
      return {x: right, y: state.y, guide: true, head: `${across} ${x}`, rows: rows.filter(row => near.includes(row)), more: rows.length - near.length};
    }
    show(state, aloud) {
      this.clear();
      if (!state) return;
      const found = this.read(state), [k, t] = this.fitted ?? [1, 0], where = this.svg.viewBox.baseVal;
      this.marks = [];
      const mark = (tag, facts) => {
        this.marks.push(draw(tag, facts));
        this.svg.append(this.marks.at(-1));
      };
      if (found.guide) mark("path", {class: "guide", d: `M${this.left + found.x} ${this.top}v${this.height}`});
      for (const row of found.rows) {
        if (!Number.isFinite(row.y)) continue;
        mark("circle", {class: `here ${row.each.g.getAttribute("class")}`, cx: this.left + found.x, cy: this.top + k * row.y + t, r: row.near ? 5 : 3.5});
      }
      if (this.facts.kind === "matrix") {
        const room = this.height / this.names.length;
        mark("rect", {class: "guide", x: this.left + found.x - room / 2, y: this.top + found.y - room / 2, width: room, height: room});
      }
      const lines = found.rows.map(row => {
        const key = row.each && make("span", {}, this.keys?.get(row.each.g.dataset.s)?.cloneNode(true) ?? "");
        return make("p", row.near ? {class: "near"} : {}, ...(key ? [key] : []), make("span", {}, row.name), make("span", {}, row.value));
      });
      if (found.more) lines.push(make("p", {}, `and ${found.more} more: go up or down`));
      this.tip = make("div", {class: "tip"}, make("p", {}, found.head), ...lines);
      this.box.append(this.tip);
      const scale = this.box.clientWidth / where.width, x = (this.left + found.x) * scale, y = (this.top + k * found.y + t) * scale;
      const room = this.box.clientWidth - this.tip.offsetWidth, right = x + 14 <= room ? x + 14 : x - 14 - this.tip.offsetWidth;
      this.tip.style.left = `${within(right, Math.max(0, room))}px`;
      this.tip.style.top = `${right < 0 ? y + 18 : within(y - this.tip.offsetHeight / 2, Math.max(0, this.box.clientHeight - this.tip.offsetHeight))}px`;
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
      this.first ??= [...this.svg.querySelector(".up").childNodes];
      const some = this.visible.length && this.visible.length < this.series.length, log = this.up[2];
      const ends = (some ? this.visible : []).flatMap(each => each.y.flatMap((y, n) => {
        const spread = known(each.d[n]) ? +each.d[n] : 0;
        return known(y) ? [+y - spread, +y + spread] : [];
      })).filter(end => end > 0 || !log).map(end => log ? Math.log10(end) : end);
      let [low, high] = ends.reduce(([a, b], end) => [Math.min(a, end), Math.max(b, end)], [Infinity, -Infinity]);
      const room = .04 * (high - low) || (high ? .05 * Math.abs(high) : .5);
      [low, high] = ends.length ? [low - room, high + room] : this.up;
      const k = (this.up[1] / 2 - this.up[0] / 2) / (high / 2 - low / 2), t = this.height * (1 - k * (1 - this.place([this.up[0], this.up[1], 0], low)) ) ;
      this.fitted = ends.length && Number.isFinite(k) && Number.isFinite(t) ? [k, t] : null;
      for (const {g} of this.series) {
        if (this.fitted) g.setAttribute("transform", `matrix(1 0 0 ${k} 0 ${t})`); else g.removeAttribute("transform");
        for (const star of all(".star", g)) {
          const y = star.getAttribute("y") - 6;
          star.setAttribute("transform", this.fitted ? `translate(0 ${y}) scale(1 ${1 / k}) translate(0 ${-y})` : "");
        }
      }
      const group = this.svg.querySelector(".up");
      if (!this.fitted) return group.replaceChildren(...this.first);
      const grid = draw("path", {class: "grid"}), found = [grid];
      let path = "";
      for (const tick of ticks(low, high, log)) {
        const y = this.top + (1 - this.place([low, high, log], tick)) * this.height;
        if (!(y >= this.top - .5 && y <= this.top + this.height + .5)) continue;
        path += `M${this.left} ${y}h${this.width}`;
        const word = draw("text", {x: this.left - 6, y: y + 4, "text-anchor": "end"});
        word.textContent = written(tick);
        found.push(word);
      }
      grid.setAttribute("d", path);
      group.replaceChildren(...found);
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
        if (!plot.facts.free) continue;
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
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
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
