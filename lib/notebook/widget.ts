import { documentId, forgetLibrary, type MimeBundle, withoutLibrary } from "../figures/document.js";
import { escapeHtml, scriptJson } from "../figures/escape.js";
import { stillOf } from "../figures/figure.js";
import { bundleOf } from "./display-value.js";
import { htmlOf } from "./result-grid.js";
import { notebookRuntime } from "./runtime.js";

/** What a person moves, and what is drawn for it. */
export interface WidgetSpec<Message> {
  /** For screen readers. */
  readonly label: string;
  /** The controls, as HTML that is safe as it stands. */
  readonly panel: string;
  /** A JavaScript function expression `(root, ask, data) => void`, fixed text: it calls `ask(message)` when something was moved. */
  readonly script: string;
  readonly data: unknown;
  readonly draw: (message: Message) => unknown;
  /** What is drawn at first. */
  readonly first: Message;
  /** Drawn ahead, where nobody is there to draw: `ask` gets an index into these. */
  readonly frames?: readonly Message[] | undefined;
}

/**
 * A widget without any extension of Jupyter's: a panel of controls, and below it an output that the kernel draws anew. They
 * talk through a comm where a page lets its outputs have one: classic Notebook, and JupyterLab or Notebook 7 started with
 * `--expose-app-in-browser`. Elsewhere the panel says so; with `frames` it needs no kernel at all.
 */
export async function showWidget<Message>(spec: WidgetSpec<Message>): Promise<unknown> {
  const { frames, draw } = spec;
  const first = await draw(spec.first);
  const runtime = notebookRuntime();
  if (runtime === undefined) return first;
  const id = documentId("tweedie-widget");
  if (frames !== undefined) {
    const stills: string[] = [];
    for (const frame of frames) stills.push(still(await bundleOf(frame === spec.first ? first : await draw(frame))));
    const at = frames.indexOf(spec.first);
    const html = stills.map((one, i) => `<div data-frame="${i}"${i === at ? "" : " hidden"}>${one}</div>`).join("");
    runtime.display({ data: { "text/html": widgetHtml(id, spec, html), "text/plain": spec.label } });
    return first;
  }
  const result = `${id}-result`;
  runtime.comms?.register(id, (comm) => {
    comm.onMessage = async (message) => {
      try {
        showResult(await bundleOf(await draw(message as Message)), result, true);
        comm.send({ done: true });
      } catch (error) {
        comm.send({ error: String(error) });
      }
    };
  });
  const target = runtime.comms === undefined ? "" : id;
  runtime.display({ data: { "text/html": widgetHtml(id, spec, "", target), "text/plain": spec.label } });
  showResult(await bundleOf(first), result, false);
  return first;
}

/** Shows a bundle that later ones replace: plotly.js, if it comes with it, gets an output of its own, which stays. */
export function showResult(bundle: MimeBundle, display_id: string, update: boolean): void {
  const runtime = notebookRuntime();
  const html = bundle["text/html"];
  const bare = typeof html === "string" ? withoutLibrary(html) : html;
  if (bare !== html && update) {
    // What answers the page belongs to no cell: it cannot have outputs of its own.
    forgetLibrary();
    runtime?.display({ data: bundle, metadata: {}, transient: { display_id } }, update);
    return;
  }
  if (bare !== html) {
    const library = String(html).slice(0, String(html).length - String(bare).length);
    runtime?.display({ data: { "text/html": library, "text/plain": "" }, metadata: {}, transient: {} });
  }
  const data = bare === undefined ? bundle : { ...bundle, "text/html": bare };
  runtime?.display({ data, metadata: {}, transient: { display_id } }, update);
}

/** A bundle as it looks without scripts. */
function still(bundle: MimeBundle): string {
  const { "text/html": html, ...rest } = bundle;
  const svg = stillOf(String(html ?? ""));
  if (svg !== undefined) return htmlOf({ ...rest, "image/svg+xml": svg });
  return rest["image/png"] !== undefined || rest["image/svg+xml"] !== undefined ? htmlOf(rest) : htmlOf(bundle);
}

// `ask` sends one message at a time, and after an answer the last that was asked for meanwhile.
const connectScript = `function(root,target,frames){
var say=root.querySelector("[role=status]"),comm=null,busy=false,next=null;
function closed(){comm=null;busy=false;say.textContent="The kernel that drew this is gone: run the cell again."}
function answered(m){busy=false;var d=m.content.data;say.textContent=d.error||"";if(next!==null){var n=next;next=null;ask(n)}}
function reach(){
var J=window.Jupyter,k=J&&J.notebook&&J.notebook.kernel,c;
if(k&&k.comm_manager){c=k.comm_manager.new_comm(target,{});c.on_msg(answered);c.on_close(closed);return c}
var app=window.jupyterapp||window.jupyterlab,w=app&&app.shell&&app.shell.currentWidget,s=w&&w.sessionContext&&w.sessionContext.session;
if(s&&s.kernel){c=s.kernel.createComm(target);c.onMsg=answered;c.onClose=closed;c.open({});return c}
return null}
function ask(m){
if(frames){root.querySelectorAll("[data-frame]").forEach(function(f){f.hidden=+f.dataset.frame!==m});return}
if(busy){next=m;return}
comm=comm||(target&&reach());
if(!comm){say.textContent="The kernel cannot be reached from this page (JupyterLab lets it when started with --expose-app-in-browser). Run the cell again with other values, or pass precompute: true.";return}
busy=true;say.textContent="drawing…";comm.send(m)}
return ask}`;

type Page = Pick<WidgetSpec<unknown>, "label" | "panel" | "script" | "data" | "frames">;

function widgetHtml(id: string, { label, panel, script, data, frames }: Page, stills: string, target = ""): string {
  const style = "font:13px system-ui,sans-serif;font-variant-numeric:tabular-nums";
  return [
    `<div id="${id}" role="group" aria-label="${escapeHtml(label)}" style="${style}">${panel}`,
    `<div role="status" style="min-height:1.4em;opacity:.75"></div>${stills}</div>`,
    `<script>(function(){var root=document.querySelector('#${id}:not([data-alive])');if(!root)return;root.setAttribute("data-alive","");`,
    `(${script})(root,(${connectScript})(root,"${target}",${frames !== undefined}),${scriptJson(data)})})()</script>`,
  ].join("");
}
