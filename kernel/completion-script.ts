import type { Command } from "./command-line.js";

/** Shells that complete `tweedie …`. */
export const SHELLS: readonly string[] = ["bash", "zsh"];

/** The script by which a shell completes commands, options, their values, notebooks and folders. Without its own code for zsh:
 * that runs bash's. */
export function completionScript(shell: string, commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name).join(" ");
  const cases = commands.map(
    ({ name, options, choices = [] }) => `    ${name})
      options="${[...Object.keys(options).map((long) => `--${long}`), "--help"].join(" ")}"
      operands="${choices.join(" ")}"
      ;;`,
  );
  const values = commands.flatMap(({ name, options }) =>
    Object.entries(options).flatMap(([long, { short, value, choices }]) => {
      if (value === undefined) return [];
      const words = [`${name}:--${long}`, ...(short ? [`${name}:-${short}`] : [])].join(" | ");
      return [`    ${words}) ${choices ? `words="${choices.join(" ")}"` : valueKind(value)} ;;`];
    }),
  );
  return `${shell === "zsh" ? ZSH_HEAD : ""}_tweedie() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" command="\${COMP_WORDS[1]}"
  local options="" operands="" words="" kind=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${names} help --help --version" -- "$word"))
    return
  fi
  case "$command" in
    help) words="${names}"; COMPREPLY=($(compgen -W "$words" -- "$word")); return ;;
${cases.join("\n")}
    *) return ;;
  esac
  case "$command:$before" in
${values.join("\n")}
    *) if [ "$word" != "\${word#-}" ]; then words="$options"; elif [ "$COMP_CWORD" -eq 2 ] && [ -n "$operands" ]; then words="$operands"
       else kind=notebook; fi ;;
  esac
  if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$word")); fi
  local IFS=$'\\n'
  case "$kind" in
    notebook) COMPREPLY+=($(compgen -f -X '!*.ipynb' -- "$word") $(compgen -d -- "$word")) ;;
    file) COMPREPLY+=($(compgen -f -- "$word")) ;;
    folder) COMPREPLY+=($(compgen -d -- "$word")) ;;
  esac
}
${shell === "bash" ? "complete -o filenames -o bashdefault -F _tweedie tweedie" : "complete -o filenames -F _tweedie tweedie"}
`;
}

const ZSH_HEAD = `autoload -U +X compinit && { (( $+functions[compdef] )) || compinit; }
autoload -U +X bashcompinit && bashcompinit
`;

function valueKind(value: string): string {
  if (/folder/.test(value)) return /ipynb/.test(value) ? "kind=notebook" : "kind=folder";
  return /file/.test(value) ? "kind=file" : ":";
}
