// What is beside the pictures of a page: facts, tables, memory, search, buttons. html.py makes DATA, picture.js has Picture.
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

// Show the facts of an item, and mark it in the picture and in the table; a screen reader says them in a sentence.
function choose(picture, item, first = null, before = "") {
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
  say(before + (shown.length && !about.box ? inWords(shown[0]) : `${about.path || "input"}: ${count(about.params)} parameters, ${count(about.macs)} MACs`));
}

function inWords(node) {
  const about = [`${node.path}: ${node.label}`, `output ${node.shape}`, `${count(node.params)} parameters`, `${count(node.macs)} MACs`];
  return [...about, ...(node.at ? [`line ${node.at[1]}`] : []), ...(node.mark ? [node.mark] : [])].join(", ");
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
    ["memory", node.memory === null ? "" : `${count(node.memory)} bytes`],
    ["activations in use", node.alive === null ? "" : `${(node.alive / 1e6).toFixed(2)} MB while it runs`], ["change", node.mark], ...Object.entries(node.facts)])];
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
function chooseNode(picture, node, before = "") {
  picture.reveal(node.item);
  picture.focus(node.item, false);
  choose(picture, node.item, node, before);
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
    const button = element("button");
    button.append(...node.path.split(/(?<=[._])/).flatMap((part) => [part, document.createElement("wbr")]));
    button.addEventListener("click", () => chooseNode(picture, node));
    const cell = element("th", "", { scope: "row" });
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
    const cells = [element("td"), element("th", "", { scope: "row" }), element("td", each.what)];
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
  const at = next++ % hits.length;
  chooseNode(...hits[at], `${at + 1} of ${hits.length}: `);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !["INPUT", "TEXTAREA"].includes(document.activeElement.tagName)) {
    event.preventDefault();
    byId("search").focus();
  }
});
