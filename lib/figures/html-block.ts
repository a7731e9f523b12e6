import { Displayed, type MimeBundle } from "./document.js";

/** A piece of HTML that shows itself in a notebook. Its maker vouches that the text in it is escaped. */
export class HtmlBlock extends Displayed {
  readonly html: string;
  readonly text: string;

  /**
   * @param html markup, safe as it stands
   * @param text the same for a terminal
   */
  constructor(html: string, text: string) {
    super();
    this.html = html;
    this.text = text;
  }

  override toString(): string {
    return this.text;
  }

  override mimeBundle(): MimeBundle {
    return { "text/html": this.html, "text/plain": this.text };
  }
}
