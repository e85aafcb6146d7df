// Places the picture of a network, folds and unfolds its boxes, and moves the focus. pane.py makes its data.
// `open` has, for each item, whether it is an unfolded box.
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
    this.fit(0.7);
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
      for (const frame of group.querySelectorAll(":scope > .open > .face > .b")) frame.setAttribute("height", each.tall);
      this.show(each.box);
    }
  }

  scale(zoom) {
    this.zoom = Math.min(Math.max(zoom, 0.05), 6);
    this.svg.style.width = `${this.wide * this.zoom}px`;
    this.svg.style.height = `${this.tall * this.zoom}px`;
  }

  fit(least = 0) { // at least so large that the words can be read, when the page opens
    this.scale(Math.max(Math.min((this.scroll.clientWidth - 8) / this.wide, 1.4), least));
    this.scroll.scrollLeft = (this.scroll.scrollWidth - this.scroll.clientWidth) / 2;
  }

  fold(all) {
    this.open = this.data.items.map((item) => item.box && !all);
    if (!this.seen(this.current)) this.focus(this.outermost(this.current), false);
    this.place();
    say(all ? "all blocks are folded" : "all blocks are unfolded");
  }

  toggle(item, open = !this.open[item]) {
    if (!this.data.items[item].box || this.open[item] === open) return;
    this.open[item] = open;
    this.place();
    if (document.activeElement !== this.groups[item]) // else aria-expanded says it
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
