// Constants are signed (`| 0`) and sums truncated so that the whole round stays in 32-bit integer registers.
/** M0 = 0xD2511F53 and M1 = 0xCD9E8D57, the round multipliers, in 16-bit halves. */
const m0Low = 0x1f53;
const m0High = 0xd251;
const m1Low = 0x8d57;
const m1High = 0xcd9e;
const m0 = 0xd2511f53 | 0;
const m1 = 0xcd9e8d57 | 0;
/** Weyl steps of the key: 2³²/φ and 2³²·(√3 − 1). */
const keyStep0 = 0x9e3779b9 | 0;
const keyStep1 = 0xbb67ae85 | 0;

/**
 * Fills `out` with Philox4x32-10 blocks of the counters `counter`, `counter + 1`, …
 * A keyed bijection of a 128-bit counter: any part of a stream can be computed on its own.
 * @param out four words per block; its length is a multiple of 4
 * @param key two 32-bit words
 * @param counter four 32-bit words, lowest first; blocks advance the lower two
 * @see Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", doi:10.1145/2063384.2063405
 */
export function philox4x32(
  out: Uint32Array,
  key: readonly [number, number],
  counter: readonly [number, number, number, number],
): void {
  const first = counter[0] | 0;
  const second = counter[1] | 0;
  const third = counter[2] | 0;
  const fourth = counter[3] | 0;
  const key0 = key[0] | 0;
  const key1 = key[1] | 0;
  for (let i = 0; i < out.length; i += 4) {
    let x0 = (first + (i >> 2)) | 0;
    let x1 = (second + (x0 >>> 0 < first >>> 0 ? 1 : 0)) | 0;
    let x2 = third;
    let x3 = fourth;
    let k0 = key0;
    let k1 = key1;
    for (let round = 0; round < 10; round++) {
      // The high word of a 32×32-bit product from 16-bit halves; no partial sum reaches 2³².
      const low0 = x0 & 0xffff;
      const high0 = x0 >>> 16;
      const cross0 = (Math.imul(m0Low, high0) + (Math.imul(m0Low, low0) >>> 16)) | 0;
      const carry0 = (Math.imul(m0High, low0) + (cross0 & 0xffff)) | 0;
      const productHigh0 = (Math.imul(m0High, high0) + (cross0 >>> 16) + (carry0 >>> 16)) | 0;
      const low2 = x2 & 0xffff;
      const high2 = x2 >>> 16;
      const cross2 = (Math.imul(m1Low, high2) + (Math.imul(m1Low, low2) >>> 16)) | 0;
      const carry2 = (Math.imul(m1High, low2) + (cross2 & 0xffff)) | 0;
      const productHigh2 = (Math.imul(m1High, high2) + (cross2 >>> 16) + (carry2 >>> 16)) | 0;
      const productLow0 = Math.imul(m0, x0);
      const productLow2 = Math.imul(m1, x2);
      x0 = productHigh2 ^ x1 ^ k0;
      x2 = productHigh0 ^ x3 ^ k1;
      x1 = productLow2;
      x3 = productLow0;
      k0 = (k0 + keyStep0) | 0;
      k1 = (k1 + keyStep1) | 0;
    }
    out[i] = x0;
    out[i + 1] = x1;
    out[i + 2] = x2;
    out[i + 3] = x3;
  }
}
