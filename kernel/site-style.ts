/** Style of a site's index: cards of one height, as many beside each other as fit. */
export const SITE_STYLE = `
main.index { max-width: 1120px; }
.index ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 20px; padding: 0; list-style: none; }
.index li { display: flex; flex-direction: column; border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.index li[hidden] { display: none; }
.index li a { color: inherit; text-decoration: none; }
.index li a:hover h2 { color: var(--accent); }
.index li a:focus-visible { outline-offset: -2px; }
.index li img, .index .blank { display: block; width: 100%; height: 170px; object-fit: contain; background: #fff; border-bottom: 1px solid var(--line); }
.index .blank { background: var(--code); }
.index li h2 { margin: 12px 16px 0; padding: 0; font-size: 1.1rem; border: 0; }
.index li p { margin: 6px 16px 0; font-size: 14px; color: var(--soft); }
.index li p.tags { margin: auto 16px 14px; padding-top: 10px; font-size: 12px; }
.tags span, .filter button { padding: 2px 9px; color: var(--soft); background: var(--code); border: 1px solid var(--line); border-radius: 11px; }
.filter button { font: inherit; font-size: 14px; cursor: pointer; }
.filter button[aria-pressed=true] { color: var(--paper); background: var(--accent); border-color: var(--accent); }
`;

/** Shows the notebooks that carry every tag that is pressed. */
export const SITE_SCRIPT = `
const buttons = [...document.querySelectorAll(".filter button")];
for (const button of buttons) button.addEventListener("click", () => {
  button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
  const wanted = buttons.filter((one) => one.getAttribute("aria-pressed") === "true").map((one) => one.textContent);
  for (const card of document.querySelectorAll("li[data-tags]"))
    card.hidden = !wanted.every((tag) => JSON.parse(card.dataset.tags).includes(tag));
});
`;
