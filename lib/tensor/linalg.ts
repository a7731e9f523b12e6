/** Eigenvalues and eigenvectors of a symmetric matrix. */
export interface SymmetricEigen {
  /** Eigenvalues, largest first. */
  readonly values: Float64Array;
  /** Unit eigenvectors as rows [n, n], row-major, in the order of `values`. */
  readonly vectors: Float64Array;
}

/** A tridiagonal matrix similar to a symmetric one. */
interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** `below[i]` stands left of `diagonal[i]`; `below[0]` is 0. */
  readonly below: Float64Array;
  /** Rows of the orthogonal basis Q, A = Qᵀ T Q. */
  readonly basis: Float64Array;
}

/**
 * All eigenvalues and eigenvectors of a real symmetric matrix, in O(n³): Householder reduction to a tridiagonal
 * matrix, then QL iterations with implicit shifts. Signs of the vectors are what the algorithm gives.
 * @param matrix row-major [n, n], not changed; only the lower triangle is read
 * @throws RangeError on another length or a value that is not finite
 * @see Golub & Van Loan, Matrix Computations, §8.3; Wilkinson & Reinsch 1971, contributions II/2 and II/4
 */
export function symmetricEigen(matrix: Float64Array, n: number = Math.sqrt(matrix.length)): SymmetricEigen {
  if (!Number.isInteger(n) || n < 1 || matrix.length !== n * n) {
    throw new RangeError(`symmetricEigen: expected ${n}×${n} numbers, got ${matrix.length}; pass a square matrix`);
  }
  if (!matrix.every(Number.isFinite)) {
    throw new RangeError("symmetricEigen: the matrix holds NaN or infinity; look at the data it was made of");
  }
  const t = tridiagonalize(matrix, n);
  diagonalize(t, n);
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => t.diagonal[b]! - t.diagonal[a]!);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => {
    vectors.set(t.basis.subarray(from * n, (from + 1) * n), to * n);
  });
  return { values: Float64Array.from(order, (i) => t.diagonal[i]!), vectors };
}

/** Householder reflections from the last row upwards; each zeroes a row left of its subdiagonal entry. */
function tridiagonalize(matrix: Float64Array, n: number): Tridiagonal {
  const a = Float64Array.from(matrix);
  const diagonal = new Float64Array(n);
  const below = new Float64Array(n);
  const halfNorms = new Float64Array(n);
  const p = new Float64Array(n);
  for (let i = n - 1; i > 0; i--) {
    const row = a.subarray(i * n, i * n + i); // the reflection acts on coordinates 0…i−1
    let scale = 0;
    for (let k = 0; k < i - 1; k++) scale = Math.max(scale, Math.abs(row[k]!));
    if (scale === 0) {
      below[i] = row[i - 1]!;
      continue;
    }
    scale = Math.max(scale, Math.abs(row[i - 1]!));
    let h = 0;
    for (let k = 0; k < i; k++) {
      row[k] = row[k]! / scale;
      h += row[k]! * row[k]!;
    }
    const g = row[i - 1]! > 0 ? -Math.sqrt(h) : Math.sqrt(h);
    below[i] = scale * g;
    h -= row[i - 1]! * g;
    row[i - 1] = row[i - 1]! - g;
    halfNorms[i] = h; // |u|²/2 of the reflection vector u, which now stands in the row

    // A ← A − u qᵀ − q uᵀ with q = p − (uᵀp / 2h) u and p = A u / h, lower triangle only.
    p.fill(0, 0, i);
    for (let j = 0; j < i; j++) {
      let sum = a[j * n + j]! * row[j]!;
      const uj = row[j]!;
      for (let k = 0; k < j; k++) {
        const entry = a[j * n + k]!;
        sum += entry * row[k]!;
        p[k] = p[k]! + entry * uj;
      }
      p[j] = p[j]! + sum;
    }
    let along = 0;
    for (let j = 0; j < i; j++) {
      p[j] = p[j]! / h;
      along += p[j]! * row[j]!;
    }
    along /= 2 * h;
    for (let j = 0; j < i; j++) p[j] = p[j]! - along * row[j]!;
    for (let j = 0; j < i; j++) {
      const uj = row[j]!;
      const qj = p[j]!;
      for (let k = 0; k <= j; k++) a[j * n + k] = a[j * n + k]! - uj * p[k]! - qj * row[k]!;
    }
  }
  for (let i = 0; i < n; i++) diagonal[i] = a[i * n + i]!;

  // Q = the product of the reflections, applied to the identity; kept transposed so that rows are its columns.
  const basis = new Float64Array(n * n);
  for (let i = 0; i < n; i++) basis[i * n + i] = 1;
  for (let i = 1; i < n; i++) {
    const h = halfNorms[i]!;
    if (h === 0) continue;
    const u = a.subarray(i * n, i * n + i);
    for (let r = 0; r < i; r++) {
      const q = basis.subarray(r * n, r * n + i);
      let along = 0;
      for (let k = 0; k < i; k++) along += q[k]! * u[k]!;
      along /= h;
      for (let k = 0; k < i; k++) q[k] = q[k]! - along * u[k]!;
    }
  }
  return { diagonal, below, basis };
}

const mostIterations = 50;

/** QL iterations with implicit Wilkinson shifts, in place; plane rotations are applied to the rows of the basis. */
function diagonalize({ diagonal: d, below, basis }: Tridiagonal, n: number): void {
  const e = below;
  e.copyWithin(0, 1);
  e[n - 1] = 0;
  for (let l = 0; l < n; l++) {
    for (let iteration = 0; ; iteration++) {
      let m = l;
      while (m < n - 1 && Math.abs(e[m]!) > Number.EPSILON * (Math.abs(d[m]!) + Math.abs(d[m + 1]!))) m++;
      if (m === l) break;
      if (iteration === mostIterations) throw new RangeError(`symmetricEigen: eigenvalue ${l} did not converge`);
      let g = (d[l + 1]! - d[l]!) / (2 * e[l]!);
      let r = Math.hypot(g, 1);
      g = d[m]! - d[l]! + e[l]! / (g + (g < 0 ? -r : r));
      let s = 1;
      let c = 1;
      let p = 0;
      let i = m - 1;
      for (; i >= l; i--) {
        const f = s * e[i]!;
        const b = c * e[i]!;
        r = Math.hypot(f, g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1] = d[i + 1]! - p;
          e[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1]! - p;
        r = (d[i]! - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        rotate(basis, i * n, (i + 1) * n, n, c, s);
      }
      if (r === 0 && i >= l) continue;
      d[l] = d[l]! - p;
      e[l] = g;
      e[m] = 0;
    }
  }
}

function rotate(rows: Float64Array, a: number, b: number, n: number, c: number, s: number): void {
  for (let k = 0; k < n; k++) {
    const x = rows[a + k]!;
    const y = rows[b + k]!;
    rows[b + k] = s * x + c * y;
    rows[a + k] = c * x - s * y;
  }
}

/**
 * An orthonormal basis of the space that rows span: modified Gram–Schmidt, twice. Rows that depend on earlier ones
 * come out as zeros.
 * @param rows row-major [count, n], not changed
 */
export function orthonormalRows(rows: Float64Array, count: number, n: number = rows.length / count): Float64Array {
  const basis = Float64Array.from(rows);
  for (let i = 0; i < count; i++) {
    const row = basis.subarray(i * n, (i + 1) * n);
    const before = norm(row);
    for (let pass = 0; pass < 2; pass++) {
      for (let j = 0; j < i; j++) {
        const other = basis.subarray(j * n, (j + 1) * n);
        let along = 0;
        for (let k = 0; k < n; k++) along += row[k]! * other[k]!;
        for (let k = 0; k < n; k++) row[k] = row[k]! - along * other[k]!;
      }
    }
    const length = norm(row);
    const dependent = length <= 1e-12 * before;
    for (let k = 0; k < n; k++) row[k] = dependent ? 0 : row[k]! / length;
  }
  return basis;
}

function norm(row: Float64Array): number {
  let sum = 0;
  for (const x of row) sum += x * x;
  return Math.sqrt(sum);
}
