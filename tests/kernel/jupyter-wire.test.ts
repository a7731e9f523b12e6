import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { JupyterWire, type Message } from "../../kernel/jupyter-wire.js";

const encoder = new TextEncoder();

test("a message survives the wire with its routing frames", () => {
  const frames = new JupyterWire("k").encode("status", { execution_state: "busy" }, undefined, [encoder.encode("client")]);
  const message = new JupyterWire("k").decode(frames) as Message;
  expect(message.header).toMatchObject({ msg_type: "status", version: "5.4" });
  expect(message.content).toEqual({ execution_state: "busy" });
  expect(new TextDecoder().decode(message.identities[0])).toBe("client");
});

test("the signature is HMAC-SHA256 over header, parent, metadata and content", () => {
  const wire = new JupyterWire("key");
  // Worked out with OpenSSL: printf '{"msg_id":"1","msg_type":"x"}{}{}{}' | openssl dgst -sha256 -hmac key
  const parts = ['{"msg_id":"1","msg_type":"x"}', "{}", "{}", "{}"].map((part) => encoder.encode(part));
  const signature = "472a1ead4690d565816b5e8706e67487756cd47f48ba8d090e502069ad007bb9";
  const buffer = encoder.encode("not signed");
  const message = wire.decode([encoder.encode("<IDS|MSG>"), encoder.encode(signature), ...parts, buffer]);
  expect(message).toMatchObject({ header: { msg_type: "x" } });
});

test("a message is dropped when it was changed, signed with another key, seen before, or is no message", () => {
  const frames = new JupyterWire("k").encode("execute_request", { code: "1" }, undefined);
  const wire = new JupyterWire("k");
  expect(new JupyterWire("other").decode(frames)).toBe("forged");
  expect(wire.decode([...frames.slice(0, -1), encoder.encode('{"code":"2"}')])).toBe("forged");
  expect(wire.decode(frames)).toMatchObject({ content: { code: "1" } });
  expect(wire.decode(frames)).toBe("replayed");
  expect(wire.decode([encoder.encode("<IDS|MSG>"), encoder.encode("")])).toBe("malformed");
  expect(wire.decode([])).toBe("malformed");
});

test("what is signed but no message is dropped as well", () => {
  const sign = (...parts: string[]) => {
    const signature = createHmac("sha256", "k").update(parts.join("")).digest("hex");
    return ["<IDS|MSG>", signature, ...parts].map((part) => encoder.encode(part));
  };
  const header = '{"msg_id":"1","msg_type":"x"}';
  const decode = (...parts: string[]) => new JupyterWire("k").decode(sign(...parts));
  expect(decode(header, "{}", "{}", "{}")).toMatchObject({ content: {} });
  for (const [head, metadata, content] of [
    ["null", "{}", "{}"],
    ["{}", "{}", "{}"],
    ['{"msg_id":1,"msg_type":"x"}', "{}", "{}"],
    [header, "[]", "{}"],
    [header, "{}", "null"],
    [header, "{}", '"text"'],
    [header, "{}", "{"],
  ] as const)
    expect(decode(head, "{}", metadata, content), `${head} ${metadata} ${content}`).toBe("malformed");
});
