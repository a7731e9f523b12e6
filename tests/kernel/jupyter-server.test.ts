import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLI, temporaryFolder } from "./compiled.js";
import { executeContent, JupyterClient } from "./jupyter-client.js";

const folder = temporaryFolder();
let client: JupyterClient;

beforeAll(async () => {
  client = await JupyterClient.start(folder);
});
afterAll(() => {
  client?.process.kill("SIGKILL");
});

test("kernel_info tells language, protocol and version", async () => {
  const { content } = await client.request("shell", "kernel_info_request");
  expect(content).toMatchObject({ status: "ok", protocol_version: "5.4", implementation: "tweedie" });
  expect(content.language_info).toMatchObject({
    name: "typescript",
    file_extension: ".ts",
    version: expect.stringMatching(/^5\.9/),
  });
});

describe("execute", () => {
  test("a cell is answered by busy, its input, its outputs in order, its result and idle, all with one count", async () => {
    const { reply, published } = await client.execute("console.log('out');\nconsole.error('err');\nconst a = 20;\na + 1");
    const count = reply.content.execution_count;
    expect(reply.content).toEqual({ status: "ok", execution_count: count, payload: [], user_expressions: {} });
    expect(published.map(({ type, content }) => [type, content])).toEqual([
      ["status", { execution_state: "busy" }],
      ["execute_input", { code: "console.log('out');\nconsole.error('err');\nconst a = 20;\na + 1", execution_count: count }],
      ["stream", { name: "stdout", text: "out\n" }],
      ["stream", { name: "stderr", text: "err\n" }],
      ["execute_result", { data: { "text/plain": "21" }, metadata: {}, execution_count: count }],
      ["status", { execution_state: "idle" }],
    ]);
    expect((await client.execute("a")).reply.content.execution_count).toBe(count + 1);
  });

  test("an error is published and replied with name, message and TypeScript lines", async () => {
    const { reply, published } = await client.execute("const b = 1;\nthrow new RangeError('bad ' + b);");
    const error = { ename: "RangeError", evalue: "bad 1" };
    expect(reply.content).toMatchObject({ status: "error", ...error });
    expect(reply.content.traceback[1]).toMatch(/^ {4}at cell\[\d+\], line 2$/);
    expect(published.find(({ type }) => type === "error")?.content).toMatchObject(error);
  });

  test("an error aborts the cells queued behind it, and only those", async () => {
    const ids = [];
    for (const code of ["await null; throw new Error('stop');", "1", "2"])
      ids.push(await client.send("shell", "execute_request", executeContent(code)));
    const states = await Promise.all(ids.map(async (id) => (await client.finished(id)).reply.content.status));
    expect(states).toEqual(["error", "aborted", "aborted"]);
    expect((await client.execute("'after'")).reply.content.status).toBe("ok");
  });

  test("with stop_on_error off the queue goes on", async () => {
    const first = await client.send(
      "shell",
      "execute_request",
      executeContent("throw new Error('go on');", { stop_on_error: false }),
    );
    const second = await client.send("shell", "execute_request", executeContent("'next'"));
    expect((await client.finished(first)).reply.content.status).toBe("error");
    expect((await client.finished(second)).reply.content.status).toBe("ok");
  });

  test("a silent cell publishes only its state and does not count", async () => {
    const before = (await client.execute("0")).reply.content.execution_count;
    const { reply, published } = await client.execute("console.log('hush'); 5", { silent: true });
    expect(published.map(({ type }) => type)).toEqual(["status", "status"]);
    expect(reply.content).toMatchObject({ status: "ok", execution_count: before });
  });

  test("user_expressions are evaluated behind the cell", async () => {
    const { reply } = await client.execute("const e = 6;", { user_expressions: { seven: "e + 1", wrong: "nothing" } });
    expect(reply.content.user_expressions).toMatchObject({
      seven: { status: "ok", data: { "text/plain": "7" } },
      wrong: { status: "error", ename: "TypeScriptError" },
    });
  });

  test("20 000 printed lines arrive complete and in order", async () => {
    const { published } = await client.execute("for (let i = 0; i < 20000; i++) console.log(i);");
    const text = published
      .filter(({ type }) => type === "stream")
      .map(({ content }) => content.text)
      .join("");
    expect(text).toBe(`${Array.from({ length: 20000 }, (_, i) => i).join("\n")}\n`);
  });

  test("displays carry their id, updates and clearing are passed on", async () => {
    const { published } = await client.execute(`
      const rt = (globalThis as unknown as Record<symbol, { display(d: object, u?: boolean): void; clear(w?: boolean): void }>)[Symbol.for("tweedie.notebook")];
      rt.display({ data: { "text/plain": "a" }, transient: { display_id: "x" } });
      rt.display({ data: { "text/plain": "b" }, transient: { display_id: "x" } }, true);
      rt.clear(true);`);
    expect(published.slice(2, -1).map(({ type, content }) => [type, content])).toEqual([
      ["display_data", { data: { "text/plain": "a" }, metadata: {}, transient: { display_id: "x" } }],
      ["update_display_data", { data: { "text/plain": "b" }, metadata: {}, transient: { display_id: "x" } }],
      ["clear_output", { wait: true }],
    ]);
  });
});

describe("interrupt", () => {
  test.each([
    ["by message, while awaiting", "await new Promise(() => {});", "message"],
    ["by message, in a loop after an await", "await null; while (true) {}", "message"],
    ["by SIGINT", "while (true) {}", "signal"],
  ])("%s", async (_, code, how) => {
    const id = await client.send("shell", "execute_request", executeContent(code));
    await client.wait((message) => message.type === "execute_input" && message.parent === id);
    if (how === "signal") client.process.kill("SIGINT");
    else expect((await client.request("control", "interrupt_request")).content).toEqual({ status: "ok" });
    expect((await client.finished(id)).reply.content).toMatchObject({ status: "error", ename: "Interrupted" });
    expect((await client.execute("1 + 1")).reply.content.status).toBe("ok");
  });
});

test("a cell that ends its process gets an error, and the next cell a fresh engine", async () => {
  await client.execute("const lost = 1;");
  expect((await client.execute("process.exit(0)")).reply.content).toMatchObject({ status: "error", ename: "EngineDied" });
  expect((await client.execute("const found = 2; found")).reply.content.status).toBe("ok");
  expect((await client.execute("lost")).reply.content).toMatchObject({ status: "error", ename: "TypeScriptError" });
});

describe("requests around cells", () => {
  test("completion counts positions in code points", async () => {
    const { content } = await client.request("shell", "complete_request", { code: "'🙂'; [1].toSor", cursor_pos: 14 });
    expect(content).toMatchObject({ status: "ok", matches: ["toSorted"], cursor_start: 9, cursor_end: 14 });
  });

  test("inspection finds types, or says that there is nothing", async () => {
    await client.execute("const inspected: Map<string, number> = new Map();");
    const { content } = await client.request("shell", "inspect_request", { code: "inspected", cursor_pos: 3, detail_level: 0 });
    expect(content).toMatchObject({ found: true, data: { "text/plain": "const inspected: Map<string, number>" } });
    expect((await client.request("shell", "inspect_request", { code: "", cursor_pos: 0 })).content).toMatchObject({
      status: "ok",
      found: false,
    });
  });

  test("is_complete, history, comm_info and comm_open are answered", async () => {
    expect((await client.request("shell", "is_complete_request", { code: "if (1) {" })).content).toEqual({
      status: "incomplete",
      indent: "  ",
    });
    await client.execute("'remember me'");
    const { content } = await client.request("shell", "history_request", {
      hist_access_type: "tail",
      n: 1,
      output: false,
      raw: true,
    });
    expect(content.history).toEqual([[0, expect.any(Number), "'remember me'"]]);
    expect((await client.request("shell", "comm_info_request", {})).content).toEqual({ status: "ok", comms: {} });
    const id = await client.send("shell", "comm_open", { comm_id: "c", target_name: "unknown", data: {} });
    expect((await client.wait((message) => message.parent === id && message.type === "comm_close")).content.comm_id).toBe("c");
  });
});

describe("security", () => {
  test("forged, replayed and malformed messages are dropped, and the kernel goes on", async () => {
    const forged = await client.send("shell", "execute_request", executeContent("console.log('forged')"), "another key");
    const { id, frames } = client.pack("execute_request", executeContent("'once'"));
    await client.sendFrames(frames);
    await client.finished(id);
    await client.sendFrames(frames);
    await client.sendFrames(["nonsense"]);
    await client.execute("'afterwards'");
    expect(client.received.filter((message) => message.parent === forged)).toEqual([]);
    expect(client.received.filter((message) => message.parent === id && message.type === "execute_reply")).toHaveLength(1);
  });

  test("every message of the kernel is signed with the key", () => {
    expect(client.received.every(({ validSignature }) => validSignature)).toBe(true);
  });

  test("an address that other machines could reach is refused", () => {
    const file = path.join(folder, "open.json");
    writeFileSync(file, JSON.stringify({ transport: "tcp", ip: "0.0.0.0", key: "k", signature_scheme: "hmac-sha256" }));
    const { status, stderr } = spawnSync(process.execPath, [CLI, "kernel", file], { encoding: "utf8" });
    expect(status).toBe(2);
    expect(stderr).toContain("expected a loopback address, got 0.0.0.0");
  });
});

test("shutdown is answered and ends the process, even while a cell runs", async () => {
  await client.send("shell", "execute_request", executeContent("while (true) {}"));
  expect(await client.shutdown()).toBe(0);
});
