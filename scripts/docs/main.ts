import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { galleryPage } from "./gallery.js";
import { checkLinks, type LinkReport } from "./links.js";
import { renderPage } from "./markdown.js";
import { readPages } from "./pages.js";
import { type ApiPages, writeReference } from "./reference.js";
import { Runs } from "./runs.js";
import { bundleHtml } from "./stills.js";
import { generatedTables } from "./tables.js";
import { pageHtml, sectionLinks } from "./template.js";

export interface SiteOptions {
  readonly out: string;
  /** Whether notebooks and examples are run for their pictures. */
  readonly figures: boolean;
  /** Whether notebooks are run as they are, which takes minutes each, and not with small parameters. */
  readonly fullNotebooks?: boolean;
}

export interface SiteReport extends LinkReport {
  readonly pages: number;
  /** What examples and notebooks threw. */
  readonly failed: readonly string[];
}

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Makes the site anew in a folder and follows its links. Examples and notebooks that fail are told in the report, all of them.
 * @throws RangeError if there is anything but a site in the folder */
export async function buildSite({ out, figures, fullNotebooks = false }: SiteOptions): Promise<SiteReport> {
  if (existsSync(out) && readdirSync(out).length > 0 && !existsSync(path.join(out, "assets", "site.css")))
    throw new RangeError(`docs: expected an empty folder, or one with an earlier site, got ${out}; choose another with --out`);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(path.join(out, "assets", "figures"), { recursive: true });
  const assets = path.join(root, "scripts", "docs", "assets");
  for (const file of readdirSync(assets)) cpSync(path.join(assets, file), path.join(out, "assets", file));
  cpSync(path.join(root, "docs", "look-inside.png"), path.join(out, "assets", "look-inside.png"));

  const { home, sections } = readPages(path.join(root, "docs"));
  const all = [home, ...sections.flatMap(({ pages }) => pages)];
  const runs = figures ? new Runs(root) : undefined;
  // Notebooks and examples run in processes of their own, while the reference is made in this one.
  const gallery = galleryPage({ root, out, runs, full: fullNotebooks });
  const failed: string[] = [];
  const examples = new Map(
    [...(runs?.examples(all) ?? [])].map(([name, shown]) => [
      name,
      shown.catch((error: Error) => {
        failed.push(error.message);
        return [];
      }),
    ]),
  );
  const reference = await writeReference({
    root,
    out: path.join(out, "api"),
    style: path.join(assets, "reference.css"),
    links: sectionLinks,
  });
  const inserts = generatedTables(reference);
  const found: { title: string; url: string; kind: string }[] = [];
  const put = (name: string, title: string, body: string, headings: Parameters<typeof pageHtml>[0]["headings"]): void => {
    const file = path.join(out, `${name}.html`);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, pageHtml({ name, title, body, headings }, sections));
    for (const { level, text, id } of headings) {
      found.push({ title: text, url: level === 1 ? `${name}.html` : `${name}.html#${id}`, kind: level === 1 ? "" : title });
    }
  };
  for (const page of all) {
    const outputs = new Map<number, string>();
    for (const [line, bundle] of (await examples.get(page.name)) ?? []) {
      const still = (bytes: Uint8Array | string, extension: string): string => {
        const place = `assets/figures/${page.name.replaceAll("/", "-")}-${line + 1}.${extension}`;
        writeFileSync(path.join(out, place), bytes);
        return path.posix.relative(path.posix.dirname(page.name), place);
      };
      outputs.set(line, bundleHtml(bundle, still));
    }
    const { html, headings } = renderPage(page.markdown, { page: page.name, api: reference.pages, inserts, outputs });
    put(page.name, page.title, html, headings);
  }
  const { html, headings, failed: failedNotebooks } = await gallery;
  put("gallery", "Gallery", html, headings);
  writeFileSync(path.join(out, "assets", "index.js"), searchIndex(found, reference.pages));

  const files = readdirSync(out, { recursive: true, encoding: "utf8" }).map((file) => file.replaceAll(path.sep, "/"));
  return { ...checkLinks(out, files), pages: all.length + 1, failed: [...failed, ...failedNotebooks] };
}

/** What the search looks through: titles of pages and their parts, and names of the public API. */
function searchIndex(found: readonly { title: string; url: string; kind: string }[], api: ApiPages): string {
  const names = new Map([...api].filter(([name]) => !/[./]/.test(name) || /^[A-Z]\w*\.\w+$/.test(name)));
  const entries = [
    ...found.map(({ title, url, kind }) => [title, url, kind]),
    ...[...names].map(([name, url]) => [name, url, url.split("/")[1]!.replace(/(?<=s)es$|(?<!s)s$/, "")]),
  ];
  return `window.siteIndex = ${JSON.stringify(entries)};\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      out: { type: "string", default: path.join(root, "out", "docs") },
      "no-figures": { type: "boolean", default: false },
      "full-notebooks": { type: "boolean", default: false },
    },
  });
  const started = performance.now();
  const { pages, checked, broken, loaded, failed } = await buildSite({
    out: path.resolve(values.out),
    figures: !values["no-figures"],
    fullNotebooks: values["full-notebooks"],
  });
  for (const failure of failed) console.error(failure);
  for (const link of broken) console.error(`broken link in ${link}`);
  for (const url of loaded) console.error(`loaded from elsewhere by ${url}`);
  console.log(
    `${pages} pages and the API's in ${values.out}; ${checked} links followed, ${broken.length} broken; ${((performance.now() - started) / 1000).toFixed(0)} s`,
  );
  if (failed.length + broken.length + loaded.length > 0) process.exitCode = 1;
}
