import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, afterEach, expect, test } from "vitest";
import {
  closeRuntime,
  openSession,
  ResidentTensor,
  runtimeStats,
  type Session,
  uploadTensor,
} from "../../../lib/runtime/index.js";
import { float32, scalar, type Tensor, zeros } from "../../../lib/tensor/index.js";
import { adder, momentumStep } from "./tiny-models.js";

afterEach(() => {
  expect(runtimeStats()).toEqual({ sessions: 0, residentTensors: 0, residentBytes: 0 });
});
afterAll(() => closeRuntime());

function resident(x: Tensor | ResidentTensor | undefined): ResidentTensor {
  if (!(x instanceof ResidentTensor)) throw new TypeError(`not resident: ${x}`);
  return x;
}

/** Five momentum steps with the state passing through this thread. */
async function plainDescent(session: Session, w: Tensor): Promise<Tensor[]> {
  let m: Tensor = zeros([3]);
  const seen: Tensor[] = [];
  for (let step = 0; step < 5; step++) {
    const out = await session.run({ w, m, rate: scalar(0.1) });
    seen.push(out.loss!);
    w = out.w_next!;
    m = out.m_next!;
  }
  return [...seen, w, m];
}

test("a state that stays resident takes the same steps bit for bit", async () => {
  await using session = await openSession(momentumStep);
  const start = float32([1, -2, 0.3]);
  let w = await uploadTensor(start);
  let m = await uploadTensor(zeros([3]));
  const seen: Tensor[] = [];
  for (let step = 0; step < 5; step++) {
    const out = await session.run({ w, m, rate: scalar(0.1) }, { retain: ["w_next", "m_next"] });
    w.dispose();
    m.dispose();
    w = resident(out.w_next);
    m = resident(out.m_next);
    seen.push(out.loss as Tensor);
    expect(runtimeStats()).toEqual({ sessions: 1, residentTensors: 2, residentBytes: 24 });
  }
  expect([...seen, await w.read(), await m.read()]).toEqual(await plainDescent(session, start));
  w.dispose();
  m.dispose();
});

test("a resident tensor passes from session to session, is read as a copy and survives being fed", async () => {
  await using one = await openSession(adder);
  await using other = await openSession(adder);
  const source = float32([1, 2]);
  using held = await uploadTensor(source);
  source.data.fill(0);
  const first = await one.run({ a: held, b: held }, { retain: ["y"] });
  using sum = resident(first.y);
  expect(sum).toMatchObject({ dtype: "float32", shape: [2], byteLength: 8, disposed: false });
  const { y } = await other.run({ a: sum, b: held });
  expect(y).toEqual(float32([3, 6]));
  (await held.read()).bytes.fill(9);
  expect(await held.read()).toEqual(float32([1, 2]));
});

test("disposing right after run does not take the feed away from it", async () => {
  await using session = await openSession(adder);
  const held = await uploadTensor(float32([5]));
  const running = session.run({ a: held, b: held });
  held.dispose();
  held.dispose();
  expect((await running).y).toEqual(float32([10]));
});

test("a disposed tensor is refused", async () => {
  await using session = await openSession(adder);
  const held = await uploadTensor(float32([5]));
  held.dispose();
  expect(held.disposed).toBe(true);
  await expect(held.read()).rejects.toThrow(/was disposed/);
  await expect(session.run({ a: held, b: float32([1]) })).rejects.toThrow(
    /a is ResidentTensor\(float32\[1\]\), which was disposed/,
  );
});

test("forgotten tensors and sessions are freed with their garbage", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  await (async () => {
    await uploadTensor(zeros([1000]));
    await openSession(adder);
  })();
  for (let i = 0; i < 50 && runtimeStats().sessions + runtimeStats().residentTensors > 0; i++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
});
