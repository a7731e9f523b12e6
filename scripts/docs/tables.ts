import { helpOf } from "../../kernel/command-line.js";
import { commands } from "../../kernel/commands/index.js";
import { magicsHelp } from "../../kernel/magics.js";
import { type DifferentiableOp, vjpRules } from "../../lib/autodiff/rules/index.js";
import { pipelineClasses, type SamplerName, samplerOrder, samplers, schedulerClasses } from "../../lib/diffusion/index.js";
import { inferRules } from "../../lib/onnx/index.js";
import { allDevices } from "../../lib/runtime/devices.js";
import type { Device } from "../../lib/runtime/index.js";
import { layers, type Reference } from "./reference.js";

/** Tables that are made of the sources themselves, as Markdown. */
export function generatedTables(reference: Reference): Readonly<Record<string, () => string>> {
  return {
    operators: operatorTable,
    models: modelTable,
    samplers: () => samplerTable(reference),
    schedulers: schedulerTable,
    devices: deviceTable,
    layers: () => layerTable(reference),
    magics: () => `\`\`\`text\n${magicsHelp()}\`\`\``,
    command: commandHelp,
  };
}

function operatorTable(): string {
  const names = [...new Set([...Object.keys(inferRules), ...Object.keys(vjpRules)])];
  const split = (name: string): readonly [domain: string, op: string] => {
    const dot = name.lastIndexOf(".");
    return dot < 0 ? ["", name] : [name.slice(0, dot), name.slice(dot + 1)];
  };
  const domains = [...new Set(names.map((name) => split(name)[0]))].sort();
  const mark = (table: object, name: string): string => (Object.hasOwn(table, name) ? "✓" : "");
  const [inferred, differentiated] = [inferRules, vjpRules as Record<DifferentiableOp, unknown>].map(
    (t) => Object.keys(t).length,
  );
  const parts = domains.map((domain) => {
    const rows = names
      .filter((name) => split(name)[0] === domain)
      .sort()
      .map((name) => `| \`${split(name)[1]}\` | ${mark(inferRules, name)} | ${mark(vjpRules, name)} |`);
    return [
      `## ${domain === "" ? "The default domain" : domain}`,
      "",
      "| operator | shape | gradient |",
      "| --- | :-: | :-: |",
      ...rows,
    ].join("\n");
  });
  return [`Shapes of ${inferred} operators are inferred, ${differentiated} have a gradient.`, ...parts].join("\n\n");
}

function modelTable(): string {
  const rows = Object.entries(pipelineClasses).map(
    ([name, { family, required, optional = [], controlled, inpaints, steps, guidanceScale }]) => {
      const abilities = [controlled && "follows ControlNets", inpaints && "may see a mask"].filter(Boolean).join(", ");
      return `| \`${name}\` | ${family} | ${required.join(", ")} | ${optional.join(", ")} | ${steps} | ${guidanceScale} | ${abilities} |`;
    },
  );
  const head = "| class | family | needs | takes | steps | guidance | |";
  return [head, "| --- | --- | --- | --- | --: | --: | --- |", ...rows].join("\n");
}

/** The function of a sampler; the reference has its page and its paper. */
function functionOf(sampler: SamplerName): string {
  return samplers[sampler].name;
}

function samplerTable({ pages, papers }: Reference): string {
  const classesOf = (sampler: string): string =>
    Object.entries(schedulerClasses)
      .filter(([, known]) => known.sampler === sampler)
      .map(([name]) => name.replace(/Scheduler$/, ""))
      .join(", ");
  const rows = (Object.keys(samplers) as SamplerName[]).map((sampler) => {
    const name = functionOf(sampler);
    const link = pages.has(name) ? `[\`${sampler}\`](api:${name})` : `\`${sampler}\``;
    return `| ${link} | ${samplerOrder[sampler] ?? "–"} | ${classesOf(sampler)} | ${(papers.get(name) ?? "").replaceAll("|", "\\|")} |`;
  });
  return ["| sampler | order | Diffusers' scheduler | source |", "| --- | :-: | --- | --- |", ...rows].join("\n");
}

function schedulerTable(): string {
  const rows = Object.entries(schedulerClasses).map(([name, { sampler, process, options }]) => {
    const defaults = Object.entries(options).map(([option, value]) => `${option} = ${JSON.stringify(value)}`);
    return `| \`${name}\` | \`${sampler}\` | ${process} | <details><summary>${defaults.length}</summary>${defaults.join("<br>")}</details> |`;
  });
  return ["| class | sampler | process | options |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

const devices: Readonly<Record<Device, readonly [what: string, needs: string]>> = {
  cpu: ["the processor; the reference that the others are compared with", "nothing"],
  cuda: ["NVIDIA GPUs on Linux and Windows", "CUDA's libraries: `tweedie doctor --install-cuda` fetches them, after asking"],
  webgpu: ["GPUs of any maker through Vulkan, Metal or Direct3D 12", "a graphics driver; the library is in the package"],
  dml: ["GPUs on Windows through DirectML", "Windows; the library is in the package"],
  coreml: ["Apple's GPU and neural engine", "macOS; the library is in the package"],
};

function deviceTable(): string {
  const rows = allDevices.map((device) => `| \`${device}\` | ${devices[device][0]} | ${devices[device][1]} |`);
  return ["| device | reaches | needs |", "| --- | --- | --- |", ...rows].join("\n");
}

function layerTable({ exports }: Reference): string {
  const rows = Object.entries(layers).map(
    ([layer, text]) => `| [\`tweedie/${layer}\`](api:tweedie/${layer}) | ${text} | ${exports.get(layer) ?? ""} |`,
  );
  const whole = `| [\`tweedie\`](api:tweedie) | What a notebook needs, from every layer. | ${exports.get("") ?? ""} |`;
  const shapes = `| [\`tweedie/shapes\`](api:tweedie/shapes) | The embedded world: scenes, captions, classifiers that judge pictures. | ${exports.get("shapes") ?? ""} |`;
  return ["| import from | holds | exports |", "| --- | --- | --: |", whole, ...rows, shapes].join("\n");
}

/** What every command says of itself. */
function commandHelp(): string {
  return commands.map((command) => `## tweedie ${command.name}\n\n\`\`\`text\n${helpOf(command).trimEnd()}\n\`\`\``).join("\n\n");
}
