import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";

export interface LinkReport {
  /** Links within the site that were followed. */
  readonly checked: number;
  /** `page: link` of those that lead nowhere. */
  readonly broken: readonly string[];
  /** Addresses outside of the site that pages name without asking them anything. */
  readonly outside: ReadonlySet<string>;
  /** `page: address` of what a page would load from elsewhere. */
  readonly loaded: readonly string[];
}

/** Follows every link of the site's pages: files must be there, and anchors in them.
 * @param files places below the folder */
export function checkLinks(folder: string, files: readonly string[]): LinkReport {
  const pages = files.filter((file) => file.endsWith(".html"));
  const ids = new Map<string, ReadonlySet<string>>();
  const idsOf = (file: string): ReadonlySet<string> => {
    const known = ids.get(file);
    if (known !== undefined) return known;
    const found = new Set(attributes(withoutScripts(readFileSync(file, "utf8")), /\s(?:id|name)="([^"]*)"/g));
    ids.set(file, found);
    return found;
  };
  const broken: string[] = [];
  const loaded: string[] = [];
  const outside = new Set<string>();
  let checked = 0;
  for (const page of pages) {
    const file = path.join(folder, page);
    const html = withoutScripts(readFileSync(file, "utf8"));
    for (const [tag] of html.matchAll(/<[a-z][^>]*\s(?:href|src)="[^"]*"[^>]*>/gi)) {
      const url = decode(/\s(?:href|src)="([^"]*)"/.exec(tag)![1]!);
      if (/^(data|blob|mailto|javascript):/.test(url)) continue;
      if (/^([a-z][a-z\d+.-]*:|\/\/)/i.test(url)) {
        if (/^<a\s/i.test(tag)) outside.add(url);
        else loaded.push(`${page}: ${url}`);
        continue;
      }
      checked++;
      const [target = "", anchor] = url.split("#") as [string, string?];
      const place = target === "" ? file : path.resolve(path.dirname(file), decodeURIComponent(target));
      const there = existsSync(place) && statSync(place).isFile() && !path.relative(folder, place).startsWith("..");
      const missing = !there || (anchor && place.endsWith(".html") && !idsOf(place).has(decodeURIComponent(anchor)));
      if (missing) broken.push(`${page}: ${url}`);
    }
  }
  return { checked, broken, outside, loaded };
}

function attributes(html: string, pattern: RegExp): string[] {
  return [...html.matchAll(pattern)].map((match) => decode(match[1]!));
}

/** Scripts and comments of a page hold texts that look like markup. */
function withoutScripts(html: string): string {
  return html.replace(/<script\b([^>]*)>[\s\S]*?<\/script>/gi, "<script$1></script>").replace(/<!--[\s\S]*?-->/g, "");
}

function decode(text: string): string {
  return text
    .replaceAll("&quot;", '"')
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&#39;", "'")
    .replaceAll("&amp;", "&");
}
