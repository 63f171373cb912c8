"use strict";
(() => {
  const table = document.getElementById("flows");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const filter = document.getElementById("filter");
  const decision = document.getElementById("decision");
  const sorter = document.getElementById("sort");
  const shown = document.getElementById("shown");
  const chips = [...document.querySelectorAll(".chip")];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const key = (row, at, number) => {
    const cell = row.cells[at];
    const text = cell.dataset.key ?? cell.textContent;
    return number ? Number(text) : text.toLowerCase();
  };
  const sort = (at, direction) => {
    const number = heads[at].classList.contains("number");
    const sorted = rows
      .map((row, place) => [key(row, at, number), place, row])
      .sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0) * direction || a[1] - b[1]);
    body.append(...sorted.map((entry) => entry[2]));
    heads.forEach((head, place) => {
      head.setAttribute("aria-sort", place === at ? (direction > 0 ? "ascending" : "descending") : "none");
    });
    sorter.selectedIndex = at;
  };
  const choose = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const lanes = chips.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset.lane);
    let count = 0;
    for (const row of rows) {
      const fits =
        (!lanes.length || lanes.includes(row.dataset.lane)) &&
        (!decision.value || row.dataset.decision === decision.value) &&
        words.every((word) => texts.get(row).includes(word));
      row.hidden = !fits;
      if (fits) count += 1;
    }
    shown.textContent = `${count} of ${rows.length}`;
  };
  heads.forEach((head, at) => {
    head.querySelector("button").addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const down = head.classList.contains("number") ? now !== "descending" : now === "ascending";
      sort(at, down ? -1 : 1);
    });
  });
  sorter.addEventListener("change", () => {
    const at = sorter.selectedIndex;
    sort(at, heads[at].classList.contains("number") ? -1 : 1);
  });
  filter.addEventListener("input", choose);
  decision.addEventListener("change", choose);
  chips.forEach((chip) => {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      choose();
    });
  });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  document.documentElement.dataset.ready = "yes";
})();
