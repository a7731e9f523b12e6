import type { Command, Option } from "./command-line.js";

/** Shells that complete `tweedie …`. */
export const SHELLS: readonly string[] = ["bash", "zsh"];

/** What may stand at some place of the command line. */
interface Offer {
  readonly words?: readonly string[];
  readonly files?: "notebooks" | "files" | "folders";
}

/** The script by which a shell completes commands, options, their values, notebooks and folders. */
export function completionScript(shell: string, commands: readonly Command[]): string {
  return shell === "zsh" ? zsh(commands) : bash(commands);
}

/** Installed in a project, tweedie is not among the shell's commands, and `npx tweedie …` is npx's to complete. */
const BY_NPX = 'type tweedie > /dev/null 2>&1 || tweedie() { npx tweedie "$@"; }\n';

function bash(commands: readonly Command[]): string {
  const action = ({ words, files }: Offer): string => {
    if (words) return `words="${words.join(" ")}"`;
    return files ? `files=${files}` : ":";
  };
  return `_tweedie() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" command="\${COMP_WORDS[1]}" words="" files=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    ${action(first(commands))}
  else
${cases(commands, "$COMP_CWORD", 2, action)}
  fi
  if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$word")); fi
  [ -n "$files" ] && compopt -o filenames 2>/dev/null
  local IFS=$'\\n'
  case "$files" in
    notebooks) COMPREPLY=($(compgen -f -X '!*.ipynb' -- "$word") $(compgen -d -- "$word")) ;;
    files) COMPREPLY=($(compgen -f -- "$word")) ;;
    folders) COMPREPLY=($(compgen -d -- "$word")) ;;
  esac
}
complete -F _tweedie tweedie
${BY_NPX}`;
}

function zsh(commands: readonly Command[]): string {
  const globs = { notebooks: " -g '*.ipynb(-.)'", files: "", folders: " -/" } as const;
  const action = ({ words, files }: Offer): string => {
    if (words) return `compadd -- ${words.join(" ")}`;
    return files ? `_files${globs[files]}` : ":";
  };
  return `#compdef tweedie
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
_tweedie() {
  local word="$words[CURRENT]" before="$words[CURRENT-1]" command="$words[2]"
  if [ "$CURRENT" -eq 2 ]; then
    ${action(first(commands))}
  else
${cases(commands, "$CURRENT", 3, action)}
  fi
}
compdef _tweedie tweedie
${BY_NPX}`;
}

function first(commands: readonly Command[]): Offer {
  return { words: [...commands.map(({ name }) => name), "help", "--help", "--version"] };
}

/** One `case` for both shells: by the option that waits for its value, else by the command.
 * @param position variable that counts words, which is `operand` at the first one behind the command */
function cases(commands: readonly Command[], position: string, operand: number, action: (offer: Offer) => string): string {
  const values = commands.flatMap(({ name, options }) =>
    Object.entries(options).flatMap(([long, option]) => {
      if (option.value === undefined) return [];
      const names = [`${name}:--${long}`, ...(option.short ? [`${name}:-${option.short}`] : [])].join(" | ");
      return [`      ${names}) ${action(argumentOf(option))} ;;`];
    }),
  );
  const rest = commands.flatMap(({ name, options, choices }) => {
    const long = Object.keys(options).map((option) => `--${option}`);
    return [
      `          ${name}:-*) ${action({ words: [...long, "--help"] })} ;;`,
      ...(choices
        ? [
            `          ${name}:*) if [ "${position}" -eq ${operand} ]; then ${action({ words: choices })}; else ${action(operandsOf(name))}; fi ;;`,
          ]
        : []),
    ];
  });
  return `    case "$command:$before" in
${values.join("\n")}
      *)
        case "$command:$word" in
          help:*) ${action({ words: commands.map(({ name }) => name) })} ;;
${rest.join("\n")}
          *) ${action({ files: "notebooks" })} ;;
        esac ;;
    esac`;
}

function operandsOf(name: string): Offer {
  return name === "completion" ? {} : { files: "notebooks" };
}

function argumentOf({ value = "", choices }: Option): Offer {
  if (choices) return { words: choices };
  if (value.includes("ipynb")) return { files: "notebooks" };
  if (value.includes("folder")) return { files: "folders" };
  return value.includes("file") ? { files: "files" } : {};
}
