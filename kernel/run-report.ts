import type { JobReport } from "./run-batch.js";
import type { CellReport } from "./runner.js";
import { duration } from "./time-left.js";

/** What ran, how it ended and where it is, as a table for people. */
export function summaryTable(reports: readonly JobReport[]): string {
  const rows = reports.map((report) => [report.file, report.status, cellCount(report), time(report), outcome(report)]);
  const table = [["notebook", "result", "cells", "time", ""], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  return table
    .map((row) =>
      row
        .map((text, column) => (column < 2 ? text.padEnd(widths[column]!) : text.padStart(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function cellCount({ cells }: JobReport): string {
  return cells.length > 0 ? `${cells.filter(hasRun).length}/${cells.length}` : "";
}

function time({ seconds, cells }: JobReport): string {
  return cells.length > 0 ? duration(seconds) : "";
}

function outcome(report: JobReport): string {
  const { status, target, written, cells, earlierSeconds } = report;
  if (status === "reused") return `${target}${earlierSeconds === undefined ? "" : `, which took ${duration(earlierSeconds)}`}`;
  if (status === "waiting") return "not run";
  const ended = endOf(report);
  if (ended) return `cell ${ended.number}: ${ended.error!.ename}: ${ended.error!.evalue.split("\n", 1)[0]}`;
  const allowed = cells.filter((cell) => cell.status === "allowed").length;
  return `${written.join(" ")}${allowed > 0 ? ` (${allowed} failed cells allowed)` : ""}`;
}

/** The cell that ended a run before its end. */
export function endOf({ cells }: JobReport): CellReport | undefined {
  return cells.find(({ status }) => status !== "ok" && status !== "allowed" && status !== "skipped");
}

function hasRun({ status }: CellReport): boolean {
  return status !== "skipped";
}

/** The same for programs. */
export function jsonReport(reports: readonly JobReport[]): string {
  return JSON.stringify({ notebooks: reports }, null, 2);
}

/** JUnit's XML, as CI systems read it: a notebook is a suite, a cell is a test. */
export function junitReport(reports: readonly JobReport[]): string {
  const suites = reports.map((report) => {
    const { file, cells, seconds } = report;
    const name = `name="${xml(file)}"`;
    if (cells.length === 0)
      return `  <testsuite ${name} tests="1" failures="0" errors="0" skipped="1" time="0.000">
    <testcase name="notebook" classname="${xml(file)}" time="0.000"><skipped message="${report.status}"/></testcase>
  </testsuite>`;
    return `  <testsuite ${name} ${counts(cells)} time="${seconds.toFixed(3)}">
${cells.map((cell) => testcase(file, cell)).join("\n")}
  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="tweedie run">\n${suites.join("\n")}\n</testsuites>\n`;
}

/** JUnit knows failures, which a test finds, and errors, which keep it from finding anything. */
const ELEMENT: Readonly<Partial<Record<CellReport["status"], string>>> = {
  failed: "failure",
  timeout: "error",
  interrupted: "error",
};

function counts(cells: readonly CellReport[]): string {
  const count = (wanted: (cell: CellReport) => boolean): number => cells.filter(wanted).length;
  const [failures, errors] = ["failure", "error"].map((name) => count(({ status }) => ELEMENT[status] === name));
  return `tests="${cells.length}" failures="${failures}" errors="${errors}" skipped="${count((cell) => !hasRun(cell))}"`;
}

function testcase(file: string, { number, title, status, seconds, error }: CellReport): string {
  const head = `    <testcase name="${xml(`cell ${number}: ${title}`)}" classname="${xml(file)}" time="${seconds.toFixed(3)}"`;
  if (status === "skipped") return `${head}><skipped/></testcase>`;
  const element = ELEMENT[status];
  if (!element) return `${head}/>`;
  const { ename, evalue, traceback } = error!;
  return `${head}><${element} type="${xml(ename)}" message="${xml(evalue)}">${xml(traceback.join("\n"))}</${element}></testcase>`;
}

/** Text for XML, which has no place for control characters, nor for halves of surrogate pairs. */
function xml(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, "\ufffd")
      .replace(/[&<>"\n]/g, (character) => `&#${character.charCodeAt(0)};`)
  );
}
