import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryFolder } from "./compiled.js";
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
    mimetype: "text/typescript",
    codemirror_mode: { name: "javascript", typescript: true },
  });
  expect(content.banner).toMatch(/^tweedie .*TypeScript 5\.9/);
  expect(content.help_links[0].url).toMatch(/^https:/);
  expect(content.debugger).toBe(false);
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

  test("a cell that is not to be stored is shown but neither counted nor remembered", async () => {
    const before = (await client.execute("'counted'")).reply.content.execution_count;
    const { reply, published } = await client.execute("'not stored'", { store_history: false });
    expect(reply.content.execution_count).toBe(before);
    expect(published.map(({ type }) => type)).toEqual(["status", "execute_input", "execute_result", "status"]);
    const { content } = await client.request("shell", "history_request", { hist_access_type: "tail", n: 1, raw: true });
    expect(content.history[0][2]).toBe("'counted'");
    expect((await client.execute("0")).reply.content.execution_count).toBe(before + 1);
  });

  test("cells sent while one runs are run in their order, and help is answered between them", async () => {
    const codes = [
      "await new Promise((r) => setTimeout(r, 200)); let order = ['a'];",
      "order.push('b');",
      "order.push('c'); order",
    ];
    const ids: string[] = [];
    for (const code of codes) ids.push(await client.send("shell", "execute_request", executeContent(code)));
    const info = await client.send("shell", "kernel_info_request", {});
    const last = await client.finished(ids[2]!);
    expect(last.published.find(({ type }) => type === "execute_result")?.content.data["text/plain"]).toBe("[ 'a', 'b', 'c' ]");
    await client.wait((message) => message.parent === info && message.type === "kernel_info_reply");
    const states = client.received.filter(({ type, parent }) => type === "status" && ids.includes(parent!));
    expect(states.map(({ parent, content }) => [ids.indexOf(parent!), content.execution_state])).toEqual(
      [0, 1, 2].flatMap((cell) => [
        [cell, "busy"],
        [cell, "idle"],
      ]),
    );
  });

  test("a silent cell that fails says so in its reply alone", async () => {
    const { reply, published } = await client.execute("throw new Error('hush')", { silent: true });
    expect(reply.content).toMatchObject({ status: "error", evalue: "hush" });
    expect(published.map(({ type }) => type)).toEqual(["status", "status"]);
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

  test("100 000 printed lines arrive complete, in order and before idle", async () => {
    const { published } = await client.execute("for (let i = 0; i < 100000; i++) console.log(i);");
    const text = published
      .filter(({ type }) => type === "stream")
      .map(({ content }) => content.text)
      .join("");
    expect(text).toBe(`${Array.from({ length: 100_000 }, (_, i) => i).join("\n")}\n`);
    expect(published.at(-1)).toMatchObject({ type: "status", content: { execution_state: "idle" } });
  });

  test("a display of 50 MB arrives whole, between what was shown before and after it", async () => {
    const { published } = await client.execute(`
      const { display } = (globalThis as unknown as Record<symbol, { display(d: object): void }>)[Symbol.for("tweedie.notebook")];
      console.log("before");
      display({ data: { "text/plain": "large", "image/png": new Uint8Array(37_500_000).fill(7) } });
      console.log("after");`);
    expect(published.map(({ type }) => type)).toEqual(["status", "execute_input", "stream", "display_data", "stream", "status"]);
    expect(published[3]?.content.data["image/png"]).toBe(Buffer.alloc(37_500_000, 7).toString("base64"));
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

describe("an engine that ends", () => {
  test("by a cell's doing gives it an error, and the next cell a fresh engine", async () => {
    await client.execute("const lost = 1;");
    expect((await client.execute("process.exit(0)")).reply.content).toMatchObject({ status: "error", ename: "EngineDied" });
    expect((await client.execute("const found = 2; found")).reply.content.status).toBe("ok");
    expect((await client.execute("lost")).reply.content).toMatchObject({ status: "error", ename: "TypeScriptError" });
  });

  test("between cells is told in the last one, and the next one runs", async () => {
    const { reply } = await client.execute("setTimeout(() => process.exit(7), 100);\n'set'");
    expect(reply.content.status).toBe("ok");
    const told = await client.wait(({ type, content }) => type === "stream" && content.text.startsWith("EngineDied"));
    expect(told.parent).toBe(reply.parent);
    expect(told.content).toEqual({
      name: "stderr",
      text: "EngineDied: the cell ended its process with exit code 7, for instance by process.exit(7)\nAll variables are lost; run the notebook again from the top.\n",
    });
    expect((await client.execute("'alive'")).reply.content.status).toBe("ok");
  });

  test("in a user expression is told there", async () => {
    const { reply } = await client.execute("1", { user_expressions: { fatal: "process.exit(1)" } });
    expect(reply.content.user_expressions.fatal).toMatchObject({ status: "error", ename: "EngineDied" });
    expect((await client.execute("'alive'")).reply.content.status).toBe("ok");
  });
});

describe("input", () => {
  test("asks the client that sent the cell, one question at a time, and says when the answer is to be hidden", async () => {
    const id = await client.send(
      "shell",
      "execute_request",
      executeContent("const both = await Promise.all([input('name? '), input('word? ', { password: true })]); both", {
        allow_stdin: true,
      }),
    );
    const first = await client.wait(({ type, parent }) => type === "input_request" && parent === id);
    expect(first).toMatchObject({ channel: "stdin", content: { prompt: "name? ", password: false } });
    await client.send("stdin", "input_reply", { value: "Miyasawa" });
    await client.wait(({ content }) => content.prompt === "word? " && content.password === true);
    await client.send("stdin", "input_reply", { value: "secret" });
    const { published } = await client.finished(id);
    expect(published.find(({ type }) => type === "execute_result")?.content.data["text/plain"]).toBe("[ 'Miyasawa', 'secret' ]");
  });

  test("is refused where nobody can answer, and ends with an interrupt", async () => {
    expect((await client.execute("await input('name? ')")).reply.content).toMatchObject({
      status: "error",
      evalue: expect.stringContaining('input: expected somebody who can answer "name? "'),
    });
    const id = await client.send(
      "shell",
      "execute_request",
      executeContent("await input('still there? ')", { allow_stdin: true }),
    );
    await client.wait(({ content }) => content.prompt === "still there? ");
    await client.request("control", "interrupt_request");
    expect((await client.finished(id)).reply.content.ename).toBe("Interrupted");
    await client.send("stdin", "input_reply", { value: "too late" });
    const next = await client.send("shell", "execute_request", executeContent("await input('and now? ')", { allow_stdin: true }));
    await client.wait(({ content }) => content.prompt === "and now? ");
    await client.send("stdin", "input_reply", { value: "yes" });
    const { published } = await client.finished(next);
    expect(published.find(({ type }) => type === "execute_result")?.content.data["text/plain"]).toBe("'yes'");
  });
});

describe("comms", () => {
  const NOTEBOOK = `(globalThis as unknown as Record<symbol, { comms: any }>)[Symbol.for("tweedie.notebook")]`;
  const say = (type: string, content: object) => client.send("shell", type, content);
  const idle = (id: string) =>
    client.wait(({ parent, type, content }) => parent === id && type === "status" && content.execution_state === "idle");

  test("that the page opens are passed to their target, which answers, shows and fails as a cell would", async () => {
    await client.execute(`${NOTEBOOK}.comms.register("slider", (comm: any, data: any) => {
      comm.send({ opened: data.at });
      comm.onMessage = async ({ value }: any) => {
        await null;
        if (value > 10) throw new RangeError("too far");
        console.log("moved to", value);
        comm.send({ twice: 2 * value });
      };
      comm.onClose = () => console.log("closed");
    });`);
    const opened = await say("comm_open", { comm_id: "c1", target_name: "slider", data: { at: 3 } });
    await idle(opened);
    const of = (id: string) => client.received.filter(({ parent, type }) => parent === id && type !== "status");
    expect(of(opened).map(({ type, content }) => [type, content])).toEqual([
      ["comm_msg", { comm_id: "c1", data: { opened: 3 } }],
    ]);
    const moved = await say("comm_msg", { comm_id: "c1", data: { value: 4 } });
    await idle(moved);
    expect(of(moved).map(({ type, content }) => [type, content])).toEqual([
      ["stream", { name: "stdout", text: "moved to 4\n" }],
      ["comm_msg", { comm_id: "c1", data: { twice: 8 } }],
    ]);
    const failed = await say("comm_msg", { comm_id: "c1", data: { value: 11 } });
    await idle(failed);
    expect(of(failed)[0]?.content.text).toContain("Uncaught RangeError: too far");
    const info = (content: object) => client.request("shell", "comm_info_request", content);
    expect((await info({})).content).toEqual({ status: "ok", comms: { c1: { target_name: "slider" } } });
    expect((await info({ target_name: "other" })).content.comms).toEqual({});
    const closed = await say("comm_close", { comm_id: "c1", data: {} });
    await idle(closed);
    expect(of(closed)[0]?.content.text).toBe("closed\n");
    expect((await info({})).content.comms).toEqual({});
  });

  test("that a cell opens reach the page, and are closed to both", async () => {
    const { published } = await client.execute(
      `const comm = ${NOTEBOOK}.comms.open("plot", { size: 2 }); comm.send({ x: 1 }); comm.close(); let why = ''; try { comm.send({}); } catch (e) { why = String(e); } why`,
    );
    const said = published.filter(({ type }) => type.startsWith("comm"));
    expect(said.map(({ type, content }) => [type, content])).toEqual([
      ["comm_open", { comm_id: expect.any(String), target_name: "plot", data: { size: 2 } }],
      ["comm_msg", { comm_id: said[0]!.content.comm_id, data: { x: 1 } }],
      ["comm_close", { comm_id: said[0]!.content.comm_id, data: {} }],
    ]);
    expect(published.find(({ type }) => type === "execute_result")?.content.data["text/plain"]).toContain("is closed");
  });

  test("of which nobody knows are closed", async () => {
    for (const [type, content] of [
      ["comm_open", { comm_id: "c2", target_name: "unknown", data: {} }],
      ["comm_msg", { comm_id: "c3", data: {} }],
    ] as const) {
      const id = await say(type, content);
      const { content: answer } = await client.wait((message) => message.parent === id && message.type === "comm_close");
      expect(answer).toEqual({ comm_id: content.comm_id, data: {} });
    }
  });
});

describe("requests around cells", () => {
  test("completion counts positions in code points", async () => {
    const { content } = await client.request("shell", "complete_request", { code: "'🙂'; [1].toSor", cursor_pos: 14 });
    expect(content).toMatchObject({ status: "ok", matches: ["toSorted"], cursor_start: 9, cursor_end: 14 });
  });

  test("completions say what they are, with signature and documentation", async () => {
    await client.execute("/** Half of a number. */\nfunction halve(x: number): number { return x / 2; }");
    const { content } = await client.request("shell", "complete_request", { code: "1 + halv", cursor_pos: 8 });
    expect(content.matches).toEqual(["halve"]);
    expect(content.metadata._jupyter_types_experimental).toEqual([
      {
        start: 4,
        end: 8,
        text: "halve",
        type: "function",
        signature: "function halve(x: number): number",
        documentation: "Half of a number.",
      },
    ]);
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

  test("is_complete tells what is whole, what goes on and what never will be", async () => {
    const ask = async (code: string) => (await client.request("shell", "is_complete_request", { code })).content;
    expect(await ask("1 + 1")).toEqual({ status: "complete" });
    expect(await ask("if (1) {")).toEqual({ status: "incomplete", indent: "  " });
    for (const open of ["const s = `one", "/* a remark", "f(`a and"])
      expect(await ask(open)).toEqual({ status: "incomplete", indent: "" });
    expect(await ask("'one")).toEqual({ status: "invalid" });
    expect(await ask("let let = 1 ]")).toEqual({ status: "invalid" });
    expect(await ask("const x = await f(); using y = x;")).toEqual({ status: "complete" });
  });

  test("history has the end, a range, or what fits a pattern, with results if asked for", async () => {
    const ask = async (content: object) =>
      (await client.request("shell", "history_request", { raw: true, ...content })).content.history;
    const { reply } = await client.execute("'remember [a]'");
    await client.execute("'remember b'");
    await client.execute("'remember b'");
    const first = reply.content.execution_count;
    expect(await ask({ hist_access_type: "tail", n: 2, output: false })).toEqual([
      [0, first + 1, "'remember b'"],
      [0, first + 2, "'remember b'"],
    ]);
    expect(await ask({ hist_access_type: "tail", n: 0 })).toEqual([]);
    expect(await ask({ hist_access_type: "range", session: 0, start: first, stop: first + 1, output: true })).toEqual([
      [0, first, ["'remember [a]'", "'remember [a]'"]],
    ]);
    expect(await ask({ hist_access_type: "range", session: 5 })).toEqual([]);
    expect(await ask({ hist_access_type: "search", pattern: "*remember ?'", unique: true })).toEqual([
      [0, first + 2, "'remember b'"],
    ]);
    expect(await ask({ hist_access_type: "search", pattern: "'remember [[]a*", n: 5 })).toEqual([[0, first, "'remember [a]'"]]);
    // A regular expression would be at this for years.
    expect(await ask({ hist_access_type: "search", pattern: `${"*a".repeat(60)}!` })).toEqual([]);
  });

  test("a debugger is declined, an unknown request is answered with an error, the old connect_request with ports", async () => {
    expect((await client.request("control", "debug_request", { seq: 3, command: "initialize" })).content).toMatchObject({
      type: "response",
      request_seq: 3,
      success: false,
      command: "initialize",
    });
    expect((await client.request("shell", "unheard_of_request")).content).toMatchObject({ status: "error" });
    expect((await client.request("shell", "connect_request")).content).toMatchObject({
      status: "ok",
      shell_port: expect.any(Number),
    });
  });

  test("who subscribes is welcomed", () => {
    expect(client.received.filter(({ type }) => type === "iopub_welcome")).toMatchObject([{ content: { subscription: "" } }]);
  });
});

test("shutdown is answered, announced to all and ends the process, even while a cell runs", async () => {
  await client.send("shell", "execute_request", executeContent("while (true) {}"));
  expect(await client.shutdown({ restart: true })).toBe(0);
  const replies = client.received.filter(({ type }) => type === "shutdown_reply");
  expect(replies.map(({ channel }) => channel).sort()).toEqual(["control", "iopub"]);
  for (const { content } of replies) expect(content).toEqual({ status: "ok", restart: true });
});
