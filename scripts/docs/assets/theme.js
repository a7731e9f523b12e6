// The reader's choice of light or dark, kept where the reference's pages keep theirs.
(() => {
  const key = "tsd-theme";
  const root = document.documentElement;
  const kept = () => {
    try {
      return localStorage.getItem(key) ?? "os";
    } catch {
      return "os";
    }
  };
  root.dataset.theme = kept();
  addEventListener("DOMContentLoaded", () => {
    document.querySelector(".theme")?.addEventListener("click", () => {
      const isDark = root.dataset.theme === "dark" || (root.dataset.theme === "os" && matchMedia("(prefers-color-scheme: dark)").matches);
      root.dataset.theme = isDark ? "light" : "dark";
      try {
        localStorage.setItem(key, root.dataset.theme);
      } catch {
        // Where nothing may be kept, the choice holds for this page.
      }
    });
    // On a narrow page the list of pages would stand before the text.
    if (matchMedia("(max-width: 939px)").matches) document.querySelector("nav.pages details")?.removeAttribute("open");
  });
})();
