import { sparkline } from "./array-summary.js";
import { Displayed, type MimeBundle } from "./document.js";
import { escapeHtml } from "./escape.js";
import { numberText } from "./text.js";

/** Sound with a player. */
export class Audio extends Displayed {
  readonly channels: readonly Float32Array[];
  readonly rate: number;
  readonly title: string;

  constructor(channels: readonly Float32Array[], rate: number, title: string) {
    super();
    this.channels = channels;
    this.rate = rate;
    this.title = title;
  }

  override toString(): string {
    const clipped = this.channels.some((channel) => channel.some((v) => Math.abs(v) > 1));
    const seconds = numberText(this.channels[0]!.length / this.rate);
    const count = this.channels.length === 1 ? "mono" : `${this.channels.length} channels`;
    return `${this.title}: ${seconds} s at ${numberText(this.rate)} Hz, ${count}${clipped ? ", clipped at ±1" : ""}`;
  }

  override mimeBundle(): MimeBundle {
    const label = escapeHtml(String(this));
    const sound = Buffer.from(wav(this.channels, this.rate)).toString("base64");
    const player = `<audio controls preload="metadata" aria-label="${label}" src="data:audio/wav;base64,${sound}"></audio>`;
    return {
      "text/html": `<figure style="margin:4px 0;font:13px system-ui,sans-serif"><figcaption>${label}</figcaption>${sparkline(this.channels[0]!, `wave form of ${this}`)}${player}</figure>`,
      "text/plain": String(this),
    };
  }
}

/**
 * Sound that is played in the notebook, as 16-bit WAV.
 * @param samples in −1…1, one array or one per channel; what is louder is clipped
 * @param rate samples per second
 * @throws RangeError for no samples, channels of different lengths, or a rate that is no positive whole number
 */
export function audio(
  samples: ArrayLike<number> | readonly ArrayLike<number>[],
  rate: number,
  { title = "audio" }: { readonly title?: string } = {},
): Audio {
  const first = samples[0];
  const given = (typeof first === "object" ? samples : [samples]) as readonly ArrayLike<number>[];
  const lengths = given.map(({ length }) => length);
  if (!(lengths[0]! > 0) || lengths.some((length) => length !== lengths[0]))
    throw new RangeError(`audio: expected samples, equally many in every channel, got ${lengths.join(", ")}`);
  if (!Number.isSafeInteger(rate) || rate < 1)
    throw new RangeError(`audio: rate must be a whole number of samples per second, got ${rate}`);
  return new Audio(
    given.map((channel) => Float32Array.from(channel)),
    rate,
    title,
  );
}

/** @see Microsoft and IBM 1991, Multimedia Programming Interface and Data Specifications 1.0: the WAVE form */
function wav(channels: readonly Float32Array[], rate: number): Uint8Array {
  const [count, length] = [channels.length, channels[0]!.length];
  const bytes = 2 * count * length;
  const view = new DataView(new ArrayBuffer(44 + bytes));
  const text = (at: number, s: string): void => {
    for (let i = 0; i < s.length; i++) view.setUint8(at + i, s.charCodeAt(i));
  };
  text(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, count, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * count * rate, true);
  view.setUint16(32, 2 * count, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, bytes, true);
  for (let i = 0; i < length; i++) {
    for (let c = 0; c < count; c++) {
      const v = Math.max(-1, Math.min(1, channels[c]![i]!));
      view.setInt16(44 + 2 * (i * count + c), Math.round(v * 32767), true);
    }
  }
  return new Uint8Array(view.buffer);
}
