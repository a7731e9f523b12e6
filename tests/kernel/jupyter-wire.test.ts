import { expect, test } from "vitest";
import { JupyterWire } from "../../kernel/jupyter-wire.js";

const encoder = new TextEncoder();

test("a message survives the wire with its routing frames", () => {
  const frames = new JupyterWire("k").encode("status", { execution_state: "busy" }, undefined, [encoder.encode("client")]);
  const message = new JupyterWire("k").decode(frames);
  expect(message?.header).toMatchObject({ msg_type: "status", version: "5.3" });
  expect(message?.content).toEqual({ execution_state: "busy" });
  expect(new TextDecoder().decode(message?.identities[0])).toBe("client");
});

test("the signature is HMAC-SHA256 over header, parent, metadata and content", () => {
  const wire = new JupyterWire("key");
  // Worked out with OpenSSL: printf '{"msg_type":"x"}{}{}{}' | openssl dgst -sha256 -hmac key
  const parts = ['{"msg_type":"x"}', "{}", "{}", "{}"].map((part) => encoder.encode(part));
  const signature = "2282ffffd6e72182b2147b922df4101295f0e2d918c7acf0eeda19c870533a00";
  expect(wire.decode([encoder.encode("<IDS|MSG>"), encoder.encode(signature), ...parts])?.header.msg_type).toBe("x");
});

test("a message is dropped when it was changed, signed with another key, seen before, or is no message", () => {
  const frames = new JupyterWire("k").encode("execute_request", { code: "1" }, undefined);
  const wire = new JupyterWire("k");
  expect(new JupyterWire("other").decode(frames)).toBeUndefined();
  expect(wire.decode([...frames.slice(0, -1), encoder.encode('{"code":"2"}')])).toBeUndefined();
  expect(wire.decode(frames)).toBeDefined();
  expect(wire.decode(frames)).toBeUndefined();
  expect(wire.decode([encoder.encode("<IDS|MSG>"), encoder.encode("")])).toBeUndefined();
  expect(wire.decode([])).toBeUndefined();
});
