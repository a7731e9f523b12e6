/** float16 bit patterns as numbers; every float16 value is exact in float32. */
export function float16ToFloat32(halves: Uint16Array): Float32Array {
  const out = new Uint32Array(halves.length);
  for (let i = 0; i < out.length; i++) {
    const half = halves[i]!;
    const sign = (half & 0x8000) << 16;
    const magnitude = half & 0x7fff;
    if (magnitude >= 0x7c00) out[i] = sign | 0x7f800000 | ((magnitude & 0x3ff) << 13);
    else if (magnitude >= 0x400) out[i] = sign | ((magnitude << 13) + 0x38000000);
    else out[i] = sign | bitsOf(magnitude * 2 ** -24);
  }
  return new Float32Array(out.buffer);
}

/** Numbers rounded to the nearest float16, ties to even; beyond ±65504 (and the rounding step above it) they become ±∞. */
export function float32ToFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const sign = (bits[i]! >>> 16) & 0x8000;
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude > 0x7f800000) out[i] = sign | 0x7e00;
    else if (magnitude >= 0x477ff000) out[i] = sign | 0x7c00;
    else if (magnitude >= 0x38800000) out[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    // Below 2⁻¹⁴ the step is 2⁻²⁴: adding ½ aligns float32's own step to it, so the addition rounds for us.
    else out[i] = sign | (bitsOf(numberOf(magnitude) + 0.5) & 0x7fff);
  }
  return out;
}

/** bfloat16 bit patterns (the upper half of a float32) as numbers. */
export function bfloat16ToFloat32(halves: Uint16Array): Float32Array {
  const out = new Uint32Array(halves.length);
  for (let i = 0; i < out.length; i++) out[i] = halves[i]! << 16;
  return new Float32Array(out.buffer);
}

/** Numbers rounded to the nearest bfloat16, ties to even. */
export function float32ToBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const word = bits[i]!;
    const isNan = (word & 0x7fffffff) > 0x7f800000;
    out[i] = isNan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}

const word = new Uint32Array(1);
const number = new Float32Array(word.buffer);

function bitsOf(value: number): number {
  number[0] = value;
  return word[0]!;
}

function numberOf(bits: number): number {
  word[0] = bits;
  return number[0]!;
}
