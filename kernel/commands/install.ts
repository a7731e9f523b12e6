import { type Command, command, say, UsageError } from "../command-line.js";
import { type InstallTarget, installKernel, KERNEL_NAME, uninstallKernel } from "../install.js";

const WHERE = {
  user: { help: "for you, in every Jupyter (this is what happens without an option)" },
  prefix: { value: "<folder>", help: "under <folder>/share/jupyter" },
  "sys-prefix": { help: "in the active Python environment (VIRTUAL_ENV or CONDA_PREFIX)" },
  name: { value: "<name>", default: KERNEL_NAME, help: "name of the kernelspec, which notebooks record" },
} as const;

export const install: Command = command({
  name: "install",
  summary: "registers the TypeScript kernel with Jupyter",
  operands: "",
  most: 0,
  examples: [
    ["tweedie install && jupyter lab", 'then choose "TypeScript (tweedie)"'],
    ["tweedie install --sys-prefix", "only in the active virtual or conda environment"],
    ['tweedie install --name tweedie-dev --display-name "TypeScript (dev)"', "beside another version"],
    ["tweedie install --prefix /usr/local", "for everybody, with the right to write there"],
  ],
  about: `Writes a kernelspec: a folder that tells Jupyter, VS Code and nbconvert how to start the kernel. Needs no Python.
It names this Node.js and this copy of tweedie, so run it again when one of them moves. tweedie doctor checks that.`,
  options: { ...WHERE, "display-name": { value: "<text>", help: "what people choose in Jupyter" } },
  run({ values }) {
    const { name, "display-name": displayName } = values;
    const folder = installKernel(target("install", values), { name, ...(displayName !== undefined && { displayName }) });
    return say(`installed ${folder}\nNow: jupyter lab, and choose "${displayName ?? "TypeScript (tweedie)"}".`);
  },
});

export const uninstall: Command = command({
  name: "uninstall",
  summary: "takes the kernel away from Jupyter again",
  operands: "",
  most: 0,
  examples: [
    ["tweedie uninstall", "what tweedie install wrote"],
    ["tweedie uninstall --sys-prefix --name tweedie-dev", "with the options that it was installed with"],
  ],
  about: `Removes the files that tweedie install wrote and no other. A kernel of that name that is not tweedie's is left alone.`,
  options: WHERE,
  run({ values }) {
    const folder = uninstallKernel(target("uninstall", values), values);
    return say(folder ? `removed ${folder}` : "there was nothing to remove");
  },
});

interface Where {
  readonly user: boolean;
  readonly prefix: string | undefined;
  readonly "sys-prefix": boolean;
}

function target(name: string, { user, prefix, "sys-prefix": environment }: Where): InstallTarget {
  if ([user, prefix !== undefined, environment].filter(Boolean).length > 1)
    throw new UsageError(`${name}: expected one of --user, --prefix and --sys-prefix`);
  if (prefix !== undefined) return { kind: "prefix", prefix };
  return { kind: environment ? "sys-prefix" : "user" };
}
