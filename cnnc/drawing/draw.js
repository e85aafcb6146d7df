// Places the pictures of a page, folds and unfolds them, and shows the facts of nodes. DATA is made by pane.py and html.py.
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const say = (words) => { byId("said").textContent = words; };
const count = (number) => number === null || number === undefined ? "?" : number.toLocaleString("en");

// Return a number with three digits and a unit, as in 6.07 M.
function short(number) {
  if (number === null) return "?";
  for (const [limit, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]])
    if (number >= limit * 0.9995) return `${Number((number / limit).toPrecision(3))}${unit}`;
  return String(number);
}

function element(name, content = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = content;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// One picture: `open` tells which boxes are unfolded.
class Picture {
  constructor(data, number) {
    Object.assign(this, { data, number, zoom: 1, chosen: null });
    this.svg = byId(`p${number}`);
    this.groups = data.items.map((_, item) => byId(`p${number}i${item}`));
    this.open = data.items.map((item) => item.box && (data.depth === null || item.depth < data.depth));
    this.around = data.items.map(() => null);
    this.enter(data.tree, null);
    this.current = 0;
    this.place();
    this.groups[0].tabIndex = 0;
    this.svg.addEventListener("click", (event) => this.click(event));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    this.svg.addEventListener("focusin", (event) => { // a screen reader may move the focus
      const item = this.groups.indexOf(event.target);
      if (item >= 0 && item !== this.current) this.focus(item, false);
    });
    this.scroll = this.svg.closest(".scroll");
    this.scroll.addEventListener("wheel", (event) => {
      if (event.ctrlKey) { event.preventDefault(); this.scale(this.zoom * (event.deltaY < 0 ? 1.1 : 1 / 1.1)); }
    }, { passive: false });
    this.fit();
  }

  enter(box, around) {
    for (const each of box.items) {
      if (each.item !== undefined) this.around[each.item] = around;
      if (each.box) this.enter(each.box, each.item);
    }
  }

  // Set y of everything in a box, as stacking.py does, and return the height of the box.
  stack(box) {
    const ranks = [];
    const { ranks: gap, ports, padding } = this.data.sizes;
    for (const each of box.items) {
      each.tall = each.box && this.open[each.item] ? this.stack(each.box) : each.port ? 0 : each.height;
      (ranks[each.rank] ||= []).push(each);
    }
    const bare = (rank) => rank.every((each) => each.port);
    let y = box.top;
    box.levels = ranks.map((rank, index) => {
      const height = Math.max(...rank.map((each) => each.tall));
      for (const each of rank) each.y = y + (height - each.tall) / 2;
      const level = [y, y + height];
      y += height + (index + 1 === ranks.length ? 0 : bare(rank) || bare(ranks[index + 1]) ? ports : gap);
      return level;
    });
    return box.tall = y + (bare(ranks.at(-1)) ? 0 : padding);
  }

  // Return the line of an edge, as paths.py does.
  line(box, [from, to, start, lane, end]) {
    const source = box.items[from], target = box.items[to];
    const within = (each, x) => {
      if (!each.box || this.open[each.item]) return x;
      const half = each.width / 2 - 9;
      return Math.min(Math.max(x, each.x - half), each.x + half);
    };
    const x0 = within(source, start), x1 = within(target, end);
    const curve = (a, b, c, d) => Math.abs(a - c) < 0.5 ? `V${d}` : `C${a} ${(b + d) / 2} ${c} ${(b + d) / 2} ${c} ${d}`;
    const first = box.levels[source.rank], last = box.levels[target.rank];
    const down = (y0, y1) => y1 - y0 > 0.05 ? `V${y1}` : "";
    const y0 = source.y + source.tall;
    let path = `M${x0} ${y0}${down(y0, first[1])}`;
    if (lane === null) path += curve(x0, first[1], x1, last[0]);
    else {
      const top = box.levels[source.rank + 1][0], bottom = box.levels[target.rank - 1][1];
      path += curve(x0, first[1], lane, top) + down(top, bottom) + curve(lane, bottom, x1, last[0]);
    }
    return path + down(last[0], target.y);
  }

  place() {
    const height = this.stack(this.data.tree) + 8, { left, right } = this.data.tree;
    this.show(this.data.tree);
    this.wide = left + right + 16;
    this.tall = height + 16;
    this.svg.setAttribute("viewBox", `${-left - 8} -8 ${this.wide} ${this.tall}`);
    this.scale(this.zoom);
  }

  show(box) {
    for (const edge of box.edges) {
      byId(`p${this.number}e${edge[5]}`).setAttribute("d", this.line(box, edge));
      const source = box.items[edge[0]];
      byId(`p${this.number}s${edge[5]}`)?.setAttribute("y", source.y + source.tall + 11);
    }
    for (const each of box.items) {
      if (each.port) continue;
      const group = this.groups[each.item];
      group.setAttribute("transform", `translate(${each.x},${each.y})`);
      if (!each.box) continue;
      const open = this.open[each.item];
      group.setAttribute("aria-expanded", open);
      group.classList.toggle("is-open", open);
      group.classList.toggle("is-folded", !open);
      if (!open) continue;
      for (const frame of group.querySelectorAll(":scope > .open > .b")) frame.setAttribute("height", each.tall);
      this.show(each.box);
    }
  }

  scale(zoom) {
    this.zoom = Math.min(Math.max(zoom, 0.05), 6);
    this.svg.style.width = `${this.wide * this.zoom}px`;
    this.svg.style.height = `${this.tall * this.zoom}px`;
  }

  fit() {
    this.scale(Math.min((this.scroll.clientWidth - 8) / this.wide, 1.4));
  }

  fold(all) {
    this.open = this.data.items.map((item) => item.box && !all);
    if (!this.seen(this.current)) this.focus(this.outermost(this.current), false);
    this.place();
  }

  toggle(item, open = !this.open[item]) {
    if (!this.data.items[item].box || this.open[item] === open) return;
    this.open[item] = open;
    this.place();
    say(`${this.data.items[item].path} ${open ? "unfolded" : "folded"}`);
  }

  // Whether no box around an item is folded.
  seen(item) {
    for (let box = this.around[item]; box !== null; box = this.around[box]) if (!this.open[box]) return false;
    return true;
  }

  outermost(item) {
    return this.around[item] === null ? item : this.outermost(this.around[item]);
  }

  reveal(item) {
    for (let box = this.around[item]; box !== null; box = this.around[box]) this.open[box] = true;
    this.place();
    this.groups[item].scrollIntoView({ block: "center", inline: "center" });
  }

  focus(item, really = true) {
    this.groups[this.current].tabIndex = -1;
    this.current = item;
    this.groups[item].tabIndex = 0;
    if (really) this.groups[item].focus();
  }

  click(event) {
    const group = event.target.closest("[role=treeitem]");
    if (!group) return;
    const item = this.groups.indexOf(group);
    this.focus(item);
    const onHead = this.data.items[item].box;
    if (onHead && this.chosen === item) this.toggle(item);
    choose(this, item);
  }

  key(event) {
    const item = this.current, box = this.data.items[item].box;
    const seen = this.data.items.map((_, each) => each).filter((each) => this.seen(each));
    const at = seen.indexOf(item);
    const inside = seen.find((each) => this.around[each] === item);
    const moves = {
      ArrowDown: () => seen[at + 1], ArrowUp: () => seen[at - 1], Home: () => seen[0], End: () => seen.at(-1),
      ArrowRight: () => { if (box && !this.open[item]) this.toggle(item, true); else return inside; },
      ArrowLeft: () => { if (box && this.open[item]) this.toggle(item, false); else return this.around[item]; },
      Enter: () => { choose(this, item); }, " ": () => { choose(this, item); this.toggle(item); },
    };
    if (!(event.key in moves) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = moves[event.key]();
    if (next !== undefined && next !== null) this.focus(next);
  }
}

// Show the facts of an item, and mark it in the picture and in the table.
function choose(picture, item, first = null) {
  document.querySelectorAll(".chosen").forEach((each) => each.classList.remove("chosen"));
  picture.chosen = item;
  picture.groups[item].classList.add("chosen");
  const about = picture.data.items[item];
  const nodes = picture.data.nodes.filter((node) => node.item === item);
  const facts = byId("facts");
  facts.replaceChildren(element("h2", about.path || "input"));
  if (about.box) facts.append(boxFacts(picture, about));
  const shown = first ? [first, ...nodes.filter((node) => node !== first)] : nodes;
  for (const node of shown.slice(0, 4)) facts.append(...nodeFacts(picture, node));
  if (shown.length > 4) facts.append(element("p", `and ${shown.length - 4} more nodes, which repeat these`, { class: "muted" }));
  facts.scrollTop = 0;
  for (const node of nodes) node.row?.classList.add("chosen");
  const row = (first ?? nodes[0])?.row, table = row?.closest(".table");
  if (row && !table.contains(document.activeElement)) table.scrollTop = row.offsetTop - 60;
  mirror(picture, nodes);
}

function list(pairs) {
  const made = document.createElement("dl");
  for (const [name, value] of pairs) if (value !== "" && value !== null) made.append(element("dt", name), element("dd", value));
  return made;
}

function boxFacts(picture, about) {
  const fold = element("p");
  const button = element("button", "Fold or unfold");
  button.addEventListener("click", () => picture.toggle(picture.chosen));
  fold.append(list([["block", about.block], ["repeats", about.count > 1 ? `${about.count} times` : ""],
    ["parameters", count(about.params)], ["MACs", share(about.macs, picture.data.macs)]]), button);
  return fold;
}

const share = (part, whole) => part ? `${count(part)} (${(100 * part / whole).toPrecision(3)} %)` : count(part);

function nodeFacts(picture, node) {
  const { data } = picture;
  const parts = [element("h3", `${node.path}: ${node.label}`), list([
    ["output", node.shape], ["parameters", share(node.params, data.params)], ["MACs", share(node.macs, data.macs)],
    ["memory", node.memory === null ? "" : `${count(node.memory)} bytes`], ["change", node.mark], ...Object.entries(node.facts)])];
  const [file, line] = node.at ?? [null, 0];
  if (file) {
    const text = data.files[file].split("\n");
    const lines = element("pre", "", { class: "spec", tabindex: 0, "aria-label": `${file}, line ${line}` });
    for (let at = Math.max(1, line - 2); at <= Math.min(text.length, line + 2); at++)
      lines.append(element("span", `${String(at).padStart(4)}  ${text[at - 1]}`, at === line ? { class: "here" } : {}));
    parts.push(element("p", `${file}:${line}`, { class: "muted mono" }), lines);
  }
  return parts;
}

// Choose a node by its index: unfold what hides it.
function chooseNode(picture, node) {
  picture.reveal(node.item);
  picture.focus(node.item, false);
  choose(picture, node.item, node);
}

// In a page with two networks, scroll the other one to the same node.
function mirror(picture, nodes) {
  const change = DATA.changes?.find((each) => nodes.some((node) => node.path === each[picture.number ? "new" : "old"]));
  const other = pictures[1 - picture.number];
  if (!other) return;
  const paths = nodes.map((node) => node.path);
  const twin = change ? change[picture.number ? "old" : "new"] : paths[0];
  const found = other.data.nodes.find((node) => node.path === twin);
  if (!found) return;
  other.reveal(found.item);
  other.groups[found.item].classList.add("chosen");
}

function fillTable(picture) {
  const table = byId("nodes");
  if (!table) return;
  const body = table.tBodies[0];
  for (const node of picture.data.nodes) {
    const row = node.row = document.createElement("tr");
    const button = element("button", node.path);
    button.addEventListener("click", () => chooseNode(picture, node));
    const cell = document.createElement("td");
    cell.append(button);
    row.append(cell, element("td", node.shape));
    for (const key of ["macs", "params", "memory"]) row.append(element("td", node[key] === 0 ? "" : short(node[key]), { class: "number", title: count(node[key]) }));
  }
  const heads = [...table.querySelectorAll("[data-sort]")];
  const sort = (key) => {
    const sorted = key === "order" ? picture.data.nodes : [...picture.data.nodes].sort((a, b) => (b[key] ?? 0) - (a[key] ?? 0));
    body.replaceChildren(...sorted.map((node) => node.row));
    for (const head of heads) head.parentElement.setAttribute("aria-sort",
      head.dataset.sort !== key ? "none" : key === "order" ? "ascending" : "descending");
  };
  for (const head of heads) head.addEventListener("click", () => sort(head.dataset.sort));
  sort("order");
}

function drawMemory(picture) {
  const place = byId("memory"), nodes = picture.data.nodes.filter((node) => node.alive !== null);
  if (!place) return;
  if (!nodes.length) { place.append(element("p", "unknown, because a size is open", { class: "muted" })); return; }
  const most = nodes.reduce((a, b) => (b.alive > a.alive ? b : a));
  const words = `at most ${(most.alive / 1e6).toFixed(2)} MB of activations, while ${most.path} runs`;
  const steps = nodes.map((node, at) => `${at},${100 - 96 * node.alive / most.alive} ${at + 1},${100 - 96 * node.alive / most.alive}`);
  const chart = document.createElementNS(SVG, "svg");
  chart.setAttribute("viewBox", `0 0 ${nodes.length} 100`);
  chart.setAttribute("preserveAspectRatio", "none");
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", `Bytes of activations node by node: ${words}`);
  const area = document.createElementNS(SVG, "polygon");
  area.setAttribute("points", `0,100 ${steps.join(" ")} ${nodes.length},100`);
  area.setAttribute("class", "area");
  area.setAttribute("vector-effect", "non-scaling-stroke");
  chart.append(area);
  const note = element("p", words, { class: "muted" });
  const at = (event) => {
    const box = chart.getBoundingClientRect();
    return nodes[Math.min(nodes.length - 1, Math.floor(nodes.length * (event.clientX - box.left) / box.width))];
  };
  chart.addEventListener("mousemove", (event) => {
    const node = at(event);
    note.textContent = `${node.path}: ${(node.alive / 1e6).toFixed(2)} MB`;
  });
  chart.addEventListener("mouseleave", () => { note.textContent = words; });
  chart.addEventListener("click", (event) => chooseNode(picture, at(event)));
  place.append(chart, note);
}

function fillChanges() {
  for (const each of DATA.changes ?? []) {
    const row = document.createElement("tr");
    const button = element("button", each.new ?? each.old);
    const picture = pictures[each.new ? 1 : 0];
    button.addEventListener("click", () => chooseNode(picture, picture.data.nodes.find((node) => node.path === (each.new ?? each.old))));
    const cells = [element("td"), element("td"), element("td", each.what)];
    cells[0].append(element("span", "", { class: `mark k-${each.kind}` }), each.kind);
    cells[1].append(button);
    row.append(...cells);
    byId("changes").tBodies[0].append(row);
  }
}

const pictures = DATA.panes.map((data, number) => new Picture(data, number));
fillTable(pictures[0]);
drawMemory(pictures[0]);
fillChanges();
for (const [id, act] of Object.entries({
  fold: (each) => each.fold(true), unfold: (each) => each.fold(false), fit: (each) => each.fit(),
  in: (each) => each.scale(each.zoom * 1.25), out: (each) => each.scale(each.zoom / 1.25),
})) byId(id).addEventListener("click", () => pictures.forEach(act));

let hits = [], next = 0;
byId("search").addEventListener("input", (event) => {
  const words = event.target.value.trim().toLowerCase();
  document.querySelectorAll(".hit").forEach((each) => each.classList.remove("hit"));
  hits = words ? pictures.flatMap((picture) => picture.data.nodes
    .filter((node) => `${node.path} ${node.label} ${node.op}`.toLowerCase().includes(words)).map((node) => [picture, node])) : [];
  for (const [picture, node] of hits) {
    let item = node.item;
    while (!picture.seen(item)) item = picture.around[item];
    picture.groups[item].classList.add("hit");
  }
  next = 0;
  byId("found").textContent = words ? `${count(hits.length)} found${hits.length ? ", Enter shows them" : ""}` : "";
});
byId("search").addEventListener("keydown", (event) => {
  if (event.key === "Escape") { event.target.value = ""; event.target.dispatchEvent(new Event("input")); }
  if (event.key !== "Enter" || !hits.length) return;
  chooseNode(...hits[next++ % hits.length]);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !["INPUT", "TEXTAREA"].includes(document.activeElement.tagName)) {
    event.preventDefault();
    byId("search").focus();
  }
});
