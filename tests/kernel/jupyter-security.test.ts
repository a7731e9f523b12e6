import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Rng } from "../../lib/tensor/index.js";
import { CLI, temporaryFolder } from "./compiled.js";
import { mutatedFrames, mutatedValue } from "./fuzz.js";
import { executeContent, JupyterClient } from "./jupyter-client.js";

const folder = temporaryFolder();
let client: JupyterClient;

beforeAll(async () => {
  client = await JupyterClient.start(folder);
});
afterAll(() => {
  client?.process.kill("SIGKILL");
});

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
  const told = "tweedie: messages dropped so far: 1 malformed, 1 forged, 1 replayed\n";
  while (!client.stderr.includes(told)) await new Promise((resolve) => setTimeout(resolve, 100));
});

test("1 000 mutated messages, half of them rightly signed, do not keep the kernel from answering", async () => {
  const rng = new Rng(9);
  const types = ["execute", "complete", "inspect", "is_complete", "history", "comm_info", "kernel_info", "unheard_of"];
  for (let i = 0; i < 1_000; i++) {
    const type =
      rng.uniform() < 0.8 ? `${types[rng.int(types.length)]}_request` : ["comm_open", "comm_msg", "input_reply"][rng.int(3)]!;
    const content = JSON.stringify(
      mutatedValue({ code: "1 +", cursor_pos: 2, hist_access_type: "tail", n: 3, pattern: "*", comm_id: "x" }, rng),
    );
    const parts = [JSON.stringify({ msg_id: `m${i}`, msg_type: type, session: "s" }), "{}", "{}", content];
    await client.sendFrames(rng.uniform() < 0.5 ? client.signed(parts) : mutatedFrames(client.signed(parts), rng));
  }
  // Behind them all, so that no failing one among them aborts the next cell.
  await client.request("shell", "kernel_info_request");
  expect((await client.execute("'still here'")).reply.content.status).toBe("ok");
  expect(client.process.exitCode).toBeNull();
  expect((await client.request("control", "kernel_info_request")).content.status).toBe("ok");
});

test("bytes that are no ZeroMQ on its port do not either", async () => {
  const socket = net.connect(client.ports[0]!, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write(Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * 37) % 256)));
  await new Promise((resolve) => setTimeout(resolve, 200));
  socket.destroy();
  expect((await client.execute("'still here'")).reply.content.status).toBe("ok");
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
