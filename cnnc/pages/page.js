"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
{ // a button with the id `theme` switches between light and dark; until then the page follows the system
  const button = document.getElementById("theme"), root = document.documentElement;
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  button?.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    button.setAttribute("aria-pressed", dark());
  });
  button?.setAttribute("aria-pressed", dark());
}
