import { describe, expect, test } from "vitest";
import { BUILT_IN } from "../../kernel/cell-options.js";
import { CellVariables } from "../../kernel/cell-variables.js";

const builtIn = { input: () => "typed" };
const cell = (names: string[], declarations: string) => ({ names, declarations, lastExpressionVar: "last" });

test("a cell that ran is known with everything it declares", () => {
  const variables = new CellVariables(builtIn);
  const defining = variables.define(cell(["a", "later", "last"], "declare let a: number, later: string;\n"));
  Object.assign(defining.exports, { a: 1, last: 7 });
  defining.complete();
  expect(defining.result).toBe(7);
  expect(variables.declarations).toBe("declare let a: number, later: string;\n");
  expect(variables.own()).toEqual([
    ["a", 1],
    ["later", undefined],
  ]);
  variables.reset();
  expect(variables.own()).toEqual([]);
  expect(variables.values.input).toBe(builtIn.input);
  expect(variables.declarations).toBe(BUILT_IN);
});

describe("of a cell that failed,", () => {
  /** Variables after a cell with the `first` declarations, and another one that sets only `values`. */
  function afterFailure(first: string, second: string, names: string[], values: object): CellVariables {
    const variables = new CellVariables(builtIn);
    variables.define(cell([], first)).complete();
    const defining = variables.define(cell(names, second));
    Object.assign(defining.exports, values);
    defining.abandon();
    return variables;
  }

  test("what it initialized is known, what it did not get to stays what it was", () => {
    const first = 'declare const a: string;\ndeclare const b: string;\nimport { old as c, other } from "m";\n';
    const second =
      'declare const a: number, b: number;\nimport d, { c } from "n";\nimport * as e from "n";\nimport { other } from "m";\n';
    const { declarations, values } = afterFailure(first, second, ["a", "b", "c", "d", "e"], { a: 1, d: 2 });
    expect(declarations.split("\n").filter(Boolean).sort()).toEqual([
      "declare const a: number;",
      "declare const b: string;",
      'import d from "n";',
      'import { old as c } from "m";',
      'import { other } from "m";',
    ]);
    expect(values).toMatchObject({ a: 1, d: 2 });
    expect("b" in values).toBe(false);
  });

  test("its types are known, and of classes and enums those it got to", () => {
    const first = "declare class K {\n    old: string;\n}\ndeclare class L {\n}\n";
    const second =
      "interface T {\n    x: number;\n}\ntype U = T;\ndeclare class K {\n}\ndeclare enum E {\n    A = 0\n}\ndeclare enum F {\n}\n";
    const { declarations } = afterFailure(first, second, ["K", "E", "F"], { E: {} });
    expect(declarations).toBe(
      "interface T {\n    x: number;\n}\ntype U = T;\ndeclare enum E {\n    A = 0\n}\ndeclare class K {\n    old: string;\n}\n",
    );
  });

  test("values that TypeScript gives as getters count as initialized", () => {
    const variables = new CellVariables(builtIn);
    const defining = variables.define(cell(["load"], 'import { load } from "m";\n'));
    Object.defineProperty(defining.exports, "load", { enumerable: true, get: () => 5 });
    defining.abandon();
    expect(variables.own()).toEqual([["load", 5]]);
    expect(variables.declarations).toBe('import { load } from "m";\n');
  });
});
