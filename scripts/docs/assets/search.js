// Search in titles, headings and names of the API; the index is fetched when it is first needed.
(() => {
  const { root } = document.currentScript.dataset;
  const input = document.querySelector(".search input");
  const list = document.querySelector(".search ol");
  let loading;

  const load = () => {
    loading ??= new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = `${root}assets/index.js`;
      script.onload = () => resolve(window.siteIndex);
      document.head.append(script);
    });
    return loading;
  };

  /** Better where the title begins with what is looked for, or a word of it does; 0 where it is not in there. */
  const score = (title, wanted) => {
    const text = title.toLowerCase();
    const at = text.indexOf(wanted);
    if (at < 0) return wanted.split(/\s+/).every((word) => text.includes(word)) ? 1 : 0;
    if (text === wanted) return 5;
    return at === 0 ? 4 : /\W/.test(text[at - 1]) ? 3 : 2;
  };

  const item = ([title, url, kind]) => {
    const link = document.createElement("a");
    link.href = root + url;
    link.append(title);
    const small = document.createElement("small");
    small.append(kind);
    link.append(small);
    const row = document.createElement("li");
    row.append(link);
    return row;
  };

  const search = async () => {
    const wanted = input.value.trim().toLowerCase();
    if (wanted === "") {
      list.hidden = true;
      return;
    }
    const index = await load();
    const found = index
      .map((entry) => ({ entry, score: score(entry[0], wanted) }))
      .filter((hit) => hit.score > 0)
      .sort((a, b) => b.score - a.score || a.entry[0].length - b.entry[0].length)
      .slice(0, 14);
    const none = document.createElement("li");
    none.className = "none";
    none.append("Nothing of that name");
    list.replaceChildren(...(found.length > 0 ? found.map(({ entry }) => item(entry)) : [none]));
    list.hidden = false;
  };

  input.addEventListener("focus", load);
  input.addEventListener("input", search);
  const box = input.parentElement;
  box.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "Escape") {
      list.hidden = true;
      input.focus();
    } else if (event.key === "Enter" && document.activeElement === input) links[0]?.click();
    else if (event.key === "ArrowDown") links[Math.min(at + 1, links.length - 1)]?.focus();
    else if (event.key === "ArrowUp") (links[at - 1] ?? input).focus();
    else return;
    event.preventDefault();
  });
  box.addEventListener("focusout", (event) => {
    if (!box.contains(event.relatedTarget)) list.hidden = true;
  });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(input|textarea)$/i.test(document.activeElement.tagName)) {
      event.preventDefault();
      input.focus();
    }
  });
})();
