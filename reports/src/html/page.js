"use strict";
(() => {
  const $ = (s, from = document) => Array.from(from.querySelectorAll(s));
  const box = document.getElementById("q");
  $(".filter, .keys").forEach((e) => { e.hidden = false; });

  // Filter: words "status:a,b", "cell:x", "subject:y"; a plain word is looked for everywhere.
  const parse = (text) => text.trim().toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const at = word.indexOf(":");
    return at > 0 ? [word.slice(0, at), word.slice(at + 1).split(",")] : ["", [word]];
  });
  const matches = (terms, cell, subject, status) => terms.every(([key, values]) => {
    const text = { cell, subject, scenario: subject, status, "": `${cell} ${subject} ${status}` }[key];
    return text === undefined || values.some((v) => text.includes(v));
  });
  const apply = () => {
    const terms = parse(box.value);
    let cells = 0;
    $("article.cell").forEach((cell) => {
      let shown = 0;
      $("details.subject", cell).forEach((s) => {
        const is = matches(terms, cell.dataset.cell, s.dataset.subject, s.dataset.status);
        s.classList.toggle("off", !is);
        shown += is ? 1 : 0;
      });
      cell.classList.toggle("off", shown === 0);
      cells += shown > 0 ? 1 : 0;
    });
    const visible = new Set($("article.cell:not(.off)").map((c) => c.dataset.cell));
    $(".grid tbody tr").forEach((row) => {
      const known = document.getElementById(`cell-${row.dataset.cell}`);
      row.classList.toggle("off", known ? !visible.has(row.dataset.cell) : terms.length > 0 && !matches(terms.filter(([k]) => k !== "status" && k !== "subject"), row.dataset.cell, "", ""));
    });
    document.getElementById("q-n").textContent = terms.length ? `${cells} cells` : "";
  };
  // The filter stands in the fragment, so that a link shares it: #?status:failed
  const read = () => {
    const hash = decodeURIComponent(location.hash);
    if (box && hash.startsWith("#?")) { box.value = hash.slice(2); apply(); }
    else {
      const target = document.getElementById(hash.slice(1));
      const inside = target && target.closest("details");
      if (inside) { inside.open = true; target.scrollIntoView(); }
      if (target) target.focus({ preventScroll: true });
    }
  };
  if (box) {
    box.addEventListener("input", () => {
      apply();
      history.replaceState(null, "", box.value ? `#?${encodeURIComponent(box.value)}` : location.pathname + location.search);
    });
  }
  addEventListener("hashchange", read);
  if (location.hash.length > 1) read();

  // Keyboard: j and k walk over what is not green, / filters, Esc goes back to the top.
  let current = -1;
  addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const typing = e.target instanceof HTMLInputElement && e.target.type === "search";
    if (e.key === "Escape") {
      if (typing && box.value) { box.value = ""; box.dispatchEvent(new Event("input")); }
      else { document.activeElement.blur(); scrollTo(0, 0); current = -1; }
      return;
    }
    if (typing) return;
    if (e.key === "/" && box) { e.preventDefault(); box.focus(); box.select(); return; }
    if (e.key !== "j" && e.key !== "k") return;
    const stops = $("article.cause, details.subject[open]:not(.off)").filter((s) => s.offsetParent);
    if (!stops.length) return;
    current = (current + (e.key === "j" ? 1 : stops.length - 1) + (current < 0 && e.key === "k" ? 1 : 0)) % stops.length;
    const stop = stops[current];
    (stop.querySelector("summary") || stop).focus({ preventScroll: true });
    stop.scrollIntoView({ block: "center" });
  });

  // Arrows in the matrix: one stop for Tab, arrows inside it.
  $("table.grid").forEach((table) => {
    const links = $("tbody a", table);
    links.forEach((a, n) => { a.tabIndex = n === 0 ? 0 : -1; });
    table.addEventListener("keydown", (e) => {
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[e.key];
      const here = e.target.closest("td, th");
      if (!step || !here || e.target.tagName !== "A") return;
      e.preventDefault();
      let row = here.parentElement;
      let column = here.cellIndex + step[1];
      do { row = step[0] > 0 ? row.nextElementSibling : step[0] < 0 ? row.previousElementSibling : row; }
      while (step[0] && row && !row.offsetParent);
      const to = row && row.cells[column] && row.cells[column].querySelector("a");
      if (to) { links.forEach((a) => { a.tabIndex = -1; }); to.tabIndex = 0; to.focus(); }
    });
  });
})();
