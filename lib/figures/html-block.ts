import { jupyterDisplay, type MimeBundle } from "./document.js";

/** A piece of HTML that shows itself in a notebook. Its maker vouches that the text in it is escaped. */
export class HtmlBlock {
  readonly html: string;
  readonly text: string;

  /**
   * @param html markup, safe as it stands
   * @param text the same for a terminal
   */
  constructor(html: string, text: string) {
    this.html = html;
    this.text = text;
  }

  toString(): string {
    return this.text;
  }

  [jupyterDisplay](): MimeBundle {
    return { "text/html": this.html, "text/plain": this.text };
  }
}
