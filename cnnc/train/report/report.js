{ // while the run goes on, a box reloads the page; the address remembers it
  const box = document.getElementById("reload"), mark = "#reload";
  let timer;
  const set = () => { clearTimeout(timer); if (box.checked) timer = setTimeout(() => location.reload(), 10000); };
  if (box) {
    box.checked = location.hash === mark;
    box.addEventListener("change", () => { history.replaceState(null, "", box.checked ? mark : "#"); set(); });
    set();
  }
}
