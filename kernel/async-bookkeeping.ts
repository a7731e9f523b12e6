/** The parts of Node's record of asynchronous calls that have to survive the termination of what is recorded. */
interface AsyncWrap {
  readonly async_hook_fields: Uint32Array;
  readonly constants: { readonly kCheck: number; readonly kTotals: number };
  clearAsyncIdStack(): void;
}

const wrap = (process as unknown as { binding(name: "async_wrap"): AsyncWrap }).binding("async_wrap");

/** Says that JavaScript may end without a word to Node: terminating a runaway loop leaves the record of calls one entry too
 * long, and where there are hooks, which AsyncLocalStorage installs, Node would rather end the process than go on with that. It
 * checks if it is asked to (kCheck), and if there are any hooks (kTotals, which is for nothing else); neither can be switched
 * off in public beyond `--no-force-async-hooks-checks`, which is about the checks that are on from the start. */
export function expectTerminations(): void {
  const { kCheck, kTotals } = wrap.constants;
  wrap.async_hook_fields[kCheck] = wrap.async_hook_fields[kTotals] = 0;
}

/** Forgets the entries that terminated calls have left; for a moment when no other JavaScript is under way. */
export function forgetTerminated(): void {
  wrap.clearAsyncIdStack();
}
