import { isDType, type Tensor } from "../../tensor/index.js";

/**
 * A part of the picture: a box in fractions of its height and width, or how far the edit reaches each place, 0…1, as
 * float32 [y, x] of any size. Either is brought to the activation's grid by taking each cell's mean.
 */
export type Region = Tensor | { readonly top: number; readonly left: number; readonly bottom: number; readonly right: number };

/**
 * How much of each cell of a grid lies in the region, [y, x].
 * @throws RangeError on a mask that is not [y, x] in 0…1, or a box outside the picture
 */
export function coverage(region: Region, height: number, width: number, where: string): Float32Array {
  const isMask = "dtype" in region;
  const { top, left, bottom, right } = isMask ? { top: 0, left: 0, bottom: 1, right: 1 } : region;
  if (!(0 <= top && top < bottom && bottom <= 1 && 0 <= left && left < right && right <= 1)) {
    throw new RangeError(
      `${where}: a region is a box with 0 ≤ top < bottom ≤ 1 and 0 ≤ left < right ≤ 1, got ${JSON.stringify(region)}`,
    );
  }
  if (isMask && !(isDType(region, "float32") && region.shape.length === 2 && region.data.every((v) => v >= 0 && v <= 1))) {
    throw new RangeError(`${where}: a region mask is float32 [y, x] with values in 0…1, got ${region}`);
  }
  const [rows, columns] = isMask ? (region.shape as [number, number]) : [1, 1];
  const vertical = overlaps(height, rows, top, bottom);
  const horizontal = overlaps(width, columns, left, right);
  return Float32Array.from({ length: height * width }, (_, cell) => {
    let sum = 0;
    for (const [y, high] of vertical[Math.floor(cell / width)]!) {
      for (const [x, wide] of horizontal[cell % width]!)
        sum += high * wide * (isMask ? (region.data[y * columns + x] as number) : 1);
    }
    return sum;
  });
}

/**
 * Height and width of places in a row that are read as a grid of the region's proportions.
 * @throws RangeError if they are no such grid
 */
export function regionGrid(region: Region, places: number | undefined, where: string): [height: number, width: number] {
  const [high, wide] = "dtype" in region ? (region.shape as [number, number]) : [1, 1];
  const rows = places === undefined ? 0 : Math.sqrt((places * high) / wide);
  if (places !== undefined && Number.isInteger(rows) && Number.isInteger(places / rows)) return [rows, places / rows];
  throw new RangeError(
    `${where}: ${places ?? "unknown"} places are no grid of proportions ${high}:${wide}; give the region as a mask with the picture's height and width`,
  );
}

/** For each of `cells` cells of the unit interval, which of `parts` parts of [low, high] it overlaps, and by what share of itself. */
function overlaps(cells: number, parts: number, low: number, high: number): [part: number, share: number][][] {
  const edge = (part: number): number => snapped((low + ((high - low) * part) / parts) * cells);
  return Array.from({ length: cells }, (_, cell) => {
    const found: [number, number][] = [];
    for (let part = 0; part < parts; part++) {
      const share = Math.min(edge(part + 1), cell + 1) - Math.max(edge(part), cell);
      if (share > 0) found.push([part, share]);
    }
    return found;
  });
}

/** An edge that rounding put beside a cell's border lies on it. */
function snapped(edge: number): number {
  return Math.abs(edge - Math.round(edge)) < 1e-9 ? Math.round(edge) : edge;
}
