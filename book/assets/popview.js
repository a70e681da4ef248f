// A link to something within a closed fold opens the fold, in browsers that do not do so themselves.
(() => {
  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    let closed = false;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) {
      closed ||= !fold.open;
      fold.open = true;
    }
    if (closed) target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  addEventListener("DOMContentLoaded", open);
  // A list of works, which docutils gives entries that are no items of a list to a screen reader.
  addEventListener("DOMContentLoaded", () => {
    for (const list of document.querySelectorAll(".citation-list")) list.removeAttribute("role");
  });
  // A frame that scrolls can be reached and scrolled by keyboard.
  addEventListener("DOMContentLoaded", () => {
    for (const frame of document.querySelectorAll(".pst-scrollable-table-container, figure:has(> img), pre")) frame.tabIndex = 0;
  });
})();
