import { type Command, command, didYouMean, say, UsageError } from "../command-line.js";
import { completionScript, SHELLS } from "../completion-script.js";

/** @param commands what there is to complete, itself included */
export const completionOf = (commands: () => readonly Command[]): Command =>
  command({
    name: "completion",
    summary: "prints the script by which bash or zsh completes tweedie with Tab",
    operands: "<bash|zsh>",
    most: 1,
    choices: SHELLS,
    examples: [
      ["source <(tweedie completion bash)", "in this shell"],
      ["echo 'source <(tweedie completion bash)' >> ~/.bashrc", "in every new one"],
      ["echo 'source <(tweedie completion zsh)' >> ~/.zshrc", "the same for zsh"],
    ],
    about: `Completes commands, options, their values, notebooks and folders. Where tweedie is installed in a project only, the script also
makes tweedie a word for npx tweedie: source <(npx tweedie completion bash).`,
    options: {},
    run({ positionals: [shell = ""] }) {
      if (!SHELLS.includes(shell))
        throw new UsageError(
          `completion: expected ${SHELLS.join(" or ")}, got ${shell || "nothing"}${didYouMean(shell, SHELLS)}`,
        );
      return say(completionScript(shell, commands()));
    },
  });
