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
 * talk through a comm, for which the panel opens a line of its own to the Jupyter server that the page comes from: JupyterLab,
 * Notebook, whatever its version. In other pages (VS Code, exported ones) the panel says so; with `frames` it needs no kernel.
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
  // New in every kernel: a page may hold widgets of an earlier one.
  const target = crypto.randomUUID();
  runtime.comms?.register(target, (comm) => {
    comm.onMessage = async (message) => {
      try {
        showResult(await bundleOf(await draw(message as Message)), result, true);
        comm.send({ done: true });
      } catch (error) {
        comm.send({ error: String(error) });
      }
    };
  });
  // Where no page can reach the kernel, as in a run without one, outputs are the same every time.
  const line = runtime.kernelId === undefined ? undefined : { kernel: runtime.kernelId, target };
  runtime.display({ data: { "text/html": widgetHtml(id, spec, "", line), "text/plain": spec.label } });
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

// `ask` sends one message at a time, and after an answer the last that was asked for meanwhile. Where Jupyter's server is, and
// the token that it wants, stand in the page: JupyterLab and Notebook 7 have them in an element, classic Notebook on the body.
const connectScript = `function(root,kernel,target,frames){
var say=root.querySelector("[role=status]"),socket=null,comm="",busy=false,next=null;
function uuid(){return crypto.randomUUID?crypto.randomUUID():Date.now().toString(16)+Math.random().toString(16).slice(2)}
var session=uuid();
function address(){
var e=document.getElementById("jupyter-config-data"),b=document.body.dataset,c=e?JSON.parse(e.textContent):b;
if(!kernel||!c.baseUrl)return null;
var base=e?new URL(c.wsUrl||c.baseUrl,location.href):new URL(c.baseUrl,c.wsUrl||location.href);
base.protocol=base.protocol.replace("http","ws");
var u=new URL("api/kernels/"+kernel+"/channels",base.href.replace(/\\/*$/,"/")),token=c.token||c.jupyterApiToken;
u.searchParams.set("session_id",session);
if(token)u.searchParams.set("token",token);
return u}
function send(type,content){
socket.send(JSON.stringify({channel:"shell",header:{msg_id:uuid(),msg_type:type,session:session,username:"",version:"5.3",date:new Date().toISOString()},parent_header:{},metadata:{},content:content,buffers:[]}))}
function closed(){
if(!socket)return;
socket.onclose=null;socket.close();socket=null;busy=false;next=null;
say.textContent="The kernel that drew this is gone: run the cell again."}
function heard(e){
var m=typeof e.data==="string"?JSON.parse(e.data):null;
if(!m||m.channel!=="iopub"||m.content.comm_id!==comm)return;
if(m.header.msg_type==="comm_close")return closed();
if(m.header.msg_type!=="comm_msg")return;
busy=false;say.textContent=m.content.data.error||"";
if(next!==null){var n=next;next=null;ask(n)}}
function reach(then){
if(socket)return then();
var url=address();
if(!url)return false;
socket=new WebSocket(url);comm=uuid();
socket.onmessage=heard;socket.onclose=closed;
socket.onopen=function(){send("comm_open",{comm_id:comm,target_name:target,data:{}});then()}}
function ask(m){
if(frames){root.querySelectorAll("[data-frame]").forEach(function(f){f.hidden=+f.dataset.frame!==m});return}
if(busy){next=m;return}
if(reach(function(){send("comm_msg",{comm_id:comm,data:m})})===false){
say.textContent="No kernel can be reached from this page. Run the cell again with other values, or pass precompute: true.";return}
busy=true;say.textContent="drawing…"}
return ask}`;

type Page = Pick<WidgetSpec<unknown>, "label" | "panel" | "script" | "data" | "frames">;

function widgetHtml(
  id: string,
  { label, panel, script, data, frames }: Page,
  stills: string,
  line = { kernel: "", target: "" },
): string {
  const style = "font:13px system-ui,sans-serif;font-variant-numeric:tabular-nums";
  return [
    `<div id="${id}" role="group" aria-label="${escapeHtml(label)}" style="${style}">${panel}`,
    `<div role="status" style="min-height:1.4em;opacity:.75"></div>${stills}</div>`,
    `<script>(function(){var root=document.querySelector('#${id}:not([data-alive])');if(!root)return;root.setAttribute("data-alive","");`,
    `(${script})(root,(${connectScript})(root,"${line.kernel}","${line.target}",${frames !== undefined}),${scriptJson(data)})})()</script>`,
  ].join("");
}
