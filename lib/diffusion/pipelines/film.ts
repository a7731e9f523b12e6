import { Displayed, denoisedOverTime, type Figure, type MimeBundle } from "../../figures/index.js";
import type { Picture } from "../../tensor/index.js";

/** What the network took the picture to be, x̂₀, at every step of a generation. */
export class Film extends Displayed {
  readonly prompt: string;
  readonly denoised: readonly Picture[];
  readonly sigmas: Float64Array;
  readonly timesteps: Float64Array;

  constructor(prompt: string, denoised: readonly Picture[], sigmas: Float64Array, timesteps: Float64Array) {
    super();
    this.prompt = prompt;
    this.denoised = denoised;
    this.sigmas = sigmas;
    this.timesteps = timesteps;
  }

  /** A film with a slider over a strip of stills. */
  figure(): Figure {
    return denoisedOverTime(this, { title: `x̂₀ while denoising “${this.prompt}”` });
  }

  override mimeBundle(): MimeBundle | Promise<MimeBundle> {
    return this.figure().mimeBundle();
  }
}
