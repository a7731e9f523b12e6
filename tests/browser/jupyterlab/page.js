// What JupyterLab shows a notebook with and talks to kernels with, without the application around it.
import {
  CodeMirrorEditorFactory,
  CodeMirrorMimeTypeService,
  EditorExtensionRegistry,
  EditorLanguageRegistry,
} from "@jupyterlab/codemirror";
import { Notebook, NotebookModel, StaticNotebook } from "@jupyterlab/notebook";
import { OutputArea, OutputAreaModel } from "@jupyterlab/outputarea";
import { RenderMimeRegistry, standardRendererFactories } from "@jupyterlab/rendermime";
import { KernelManager, ServerConnection } from "@jupyterlab/services";
import { Widget } from "@lumino/widgets";
import "@jupyterlab/notebook/style/index.css";

const rendermime = new RenderMimeRegistry({ initialFactories: standardRendererFactories });

window.openNotebook = (content, trusted) => {
  const languages = new EditorLanguageRegistry();
  const editors = new CodeMirrorEditorFactory({ languages, extensions: new EditorExtensionRegistry() });
  const model = new NotebookModel();
  model.fromJSON(content);
  for (const cell of model.cells) cell.trusted = trusted;
  const notebook = new Notebook({
    rendermime,
    contentFactory: new Notebook.ContentFactory({ editorFactory: editors.newInlineEditor }),
    mimeTypeService: new CodeMirrorMimeTypeService(languages),
    // All of it at once, not what is in view.
    notebookConfig: { ...StaticNotebook.defaultNotebookConfig, windowingMode: "none" },
  });
  notebook.model = model;
  Widget.attach(notebook, document.body);
};

let kernel;

window.execute = async (code) => {
  const { origin } = location;
  const serverSettings = ServerConnection.makeSettings({ baseUrl: `${origin}/`, wsUrl: origin.replace("http", "ws") });
  kernel ??= await new KernelManager({ serverSettings }).startNew({ name: "tweedie" });
  const area = new OutputArea({ model: new OutputAreaModel({ trusted: true }), rendermime });
  Widget.attach(area, document.body);
  area.future = kernel.requestExecute({ code }, false);
  return (await area.future.done).content.status;
};
