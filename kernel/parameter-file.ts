import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { reasonOf } from "./file-trouble.js";

/** Parameters from a file that holds an object of names and values: JSON in one called `.json`, YAML 1.2 in any other.
 * @throws RangeError for what is not such an object, and for numbers that JSON does not have */
export function readParameterFile(file: string): Record<string, unknown> {
  const [format, read] = /\.json$/i.test(file) ? (["JSON", JSON.parse] as const) : (["YAML", parse] as const);
  let values: unknown;
  try {
    values = read(readFileSync(file, "utf8"), (name: unknown, value: unknown) => {
      if (typeof value !== "number" || Number.isFinite(value)) return value;
      throw new RangeError(`expected finite numbers, got ${value} for ${name}`);
    });
  } catch (error) {
    throw new RangeError(`parameters: cannot read ${file} as ${format}: ${reasonOf(error).trim()}`);
  }
  if (typeof values !== "object" || values === null || Array.isArray(values))
    throw new RangeError(
      `parameters: expected names and values in ${file}, for instance steps: 50, got ${JSON.stringify(values)}`,
    );
  return values as Record<string, unknown>;
}
