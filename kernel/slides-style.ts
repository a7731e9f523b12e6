/** One slide fills the window; the others keep their size, so that figures in them are drawn at the right one. */
export const SLIDES_STYLE = `
body { overflow: hidden; font-size: 20px; line-height: 1.5; }
.slide p, .slide ul, .slide ol { margin: 0.6em 0; }
.slide .cell { margin: 12px 0; }
main.deck { max-width: none; margin: 0; padding: 0; }
.slide { position: fixed; inset: 0; display: flex; overflow: auto; visibility: hidden; opacity: 0; transition: opacity 0.15s; padding: 4vh 6vw 56px; }
.slide > div { width: 100%; max-width: 1100px; margin: auto; }
.slide.now { visibility: visible; opacity: 1; }
.slide h1 { font-size: 2.4em; }
.slide h2 { font-size: 1.6em; margin: 0 0 0.4em; padding-right: 40px; }
.slide pre, .slide code { font-size: 16px; }
.slide table { font-size: 17px; }
.slide .outputs > pre { max-height: none; }
.fragment:not(.shown) { visibility: hidden; }
.notes { display: none; margin-top: 24px; padding: 8px 16px; font-size: 15px; color: var(--soft); border: 1px dashed var(--line); border-radius: 6px; }
.with-notes .notes { display: block; }
#place { position: fixed; right: 16px; bottom: 12px; font-size: 13px; color: var(--soft); font-variant-numeric: tabular-nums; }
#bar { position: fixed; left: 0; bottom: 0; height: 3px; width: 0; background: var(--accent); transition: width 0.15s; }
.overview { overflow: auto; }
.overview .deck { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 16px; padding: 24px; }
.overview .slide { position: relative; inset: auto; height: 180px; visibility: visible; opacity: 1; padding: 0; overflow: hidden; border: 1px solid var(--line); border-radius: 8px; cursor: pointer; }
.overview .slide > div { position: absolute; width: 1100px; padding: 24px; margin: 0; transform: scale(0.25); transform-origin: 0 0; pointer-events: none; }
.overview .slide.now { border: 2px solid var(--accent); }
.overview .fragment { visibility: visible; }
@media (prefers-reduced-motion: reduce) { .slide, #bar { transition: none; } }
@media print {
  @page { size: 280mm 158mm; margin: 0; }
  body { overflow: visible; font-size: 14pt; }
  .slide { position: relative; inset: auto; visibility: visible; opacity: 1; overflow: visible; min-height: 157mm; padding: 10mm 16mm; break-after: page; break-inside: avoid; }
  .slide > div { width: var(--width); max-width: none; zoom: var(--fit); }
  .slide:last-child { break-after: auto; }
  .fragment { visibility: visible !important; }
  #place, #bar { display: none; }
}
`;

/** Keys: → ↓ space PageDown n, ← ↑ PageUp p, Home, End, f full screen, o overview, s notes. The address holds the slide. */
export const SLIDES_SCRIPT = `
const slides = [...document.querySelectorAll(".slide")], root = document.documentElement;
let at = -1, step = 0;
const fragments = () => [...slides[at].querySelectorAll(".fragment")];
const show = (slide, steps) => {
  const next = Math.max(0, Math.min(slides.length - 1, slide));
  if (next !== at) {
    at = next;
    slides.forEach((one, i) => { one.classList.toggle("now", i === at); one.inert = i !== at && !root.classList.contains("overview"); });
    slides[at].scrollTop = 0;
  }
  step = Math.min(steps, fragments().length);
  fragments().forEach((one, i) => one.classList.toggle("shown", i < step));
  document.getElementById("place").textContent = (at + 1) + " / " + slides.length;
  document.getElementById("bar").style.width = (100 * (at + 1)) / slides.length + "%";
  history.replaceState(null, "", "#" + (at + 1));
};
const forward = () => step < fragments().length ? show(at, step + 1) : at < slides.length - 1 && show(at + 1, 0);
const back = () => step > 0 ? show(at, step - 1) : at > 0 && show(at - 1, Infinity);
const overview = (on) => {
  root.classList.toggle("overview", on);
  slides.forEach((one, i) => { one.inert = !on && i !== at; });
  if (on) slides[at].scrollIntoView({ block: "center" });
};
const keys = {
  ArrowRight: forward, ArrowDown: forward, " ": forward, PageDown: forward, n: forward, Enter: forward,
  ArrowLeft: back, ArrowUp: back, PageUp: back, p: back,
  Home: () => show(0, 0), End: () => show(slides.length - 1, Infinity),
  o: () => overview(!root.classList.contains("overview")), Escape: () => overview(false),
  s: () => root.classList.toggle("with-notes"),
  f: () => document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen(),
};
addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, textarea, [role=slider], [contenteditable]")) return;
  if ((event.key === " " || event.key === "Enter") && target.closest("button, a, summary, [tabindex]")) return;
  if (root.classList.contains("overview") && event.key === "Enter") return overview(false);
  const slide = slides[at], down = event.key === "ArrowDown" || event.key === "ArrowUp";
  // A slide that is higher than the window is read to its end first.
  if (down && slide.scrollHeight > slide.clientHeight + 1 && !root.classList.contains("overview")) {
    const end = event.key === "ArrowDown" ? slide.scrollTop + slide.clientHeight >= slide.scrollHeight - 2 : slide.scrollTop <= 0;
    if (!end) { slide.scrollBy({ top: (event.key === "ArrowDown" ? 0.8 : -0.8) * slide.clientHeight }); event.preventDefault(); return; }
  }
  const act = keys[event.key];
  if (act) { event.preventDefault(); act(); }
});
document.querySelector(".deck").addEventListener("click", (event) => {
  const slide = root.classList.contains("overview") && event.target.closest(".slide");
  if (slide) { overview(false); show(slides.indexOf(slide), 0); }
});
let touch;
addEventListener("touchstart", (event) => { touch = event.touches.length === 1 ? event.touches[0] : undefined; }, { passive: true });
addEventListener("touchend", (event) => {
  if (!touch || event.target.closest(".js-plotly-plot, input")) return;
  const dx = event.changedTouches[0].clientX - touch.clientX, dy = event.changedTouches[0].clientY - touch.clientY;
  if (Math.abs(dx) > 60 && Math.abs(dx) > 2 * Math.abs(dy)) dx < 0 ? forward() : back();
}, { passive: true });
// A page is 938 × 521 CSS pixels inside its margins; what does not fit is made smaller.
addEventListener("beforeprint", () => {
  overview(false);
  for (const { firstElementChild: inner } of slides) {
    const { offsetWidth: width, offsetHeight: height } = inner;
    inner.style.setProperty("--width", width + "px");
    inner.style.setProperty("--fit", Math.min(938 / width, 521 / height));
  }
});
addEventListener("hashchange", () => show(Number(location.hash.slice(1)) - 1 || 0, 0));
show(Number(location.hash.slice(1)) - 1 || 0, 0);
`;
