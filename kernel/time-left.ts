/** How long a step took in an earlier run, and in this one if it has ended. */
export interface Pace {
  readonly usual: number | undefined;
  readonly taken: number | undefined;
}

/** Seconds until the last step has ended: each as long as in the earlier run, scaled to how this one goes so far; without an
 * earlier run, as long as the ones that ended on average.
 * @returns undefined while nothing is known */
export function secondsLeft(steps: readonly Pace[]): number | undefined {
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const ended = steps.filter(({ taken }) => taken !== undefined);
  const open = steps.filter(({ taken }) => taken === undefined);
  const usuals = steps.flatMap(({ usual }) => usual ?? []);
  if (usuals.length === 0 && ended.length === 0) return undefined;
  // A step that is new takes as long as the others do on average.
  const average = usuals.length > 0 ? sum(usuals) / usuals.length : 1;
  const expected = (of: readonly Pace[]): number => sum(of.map(({ usual = average }) => usual));
  const pace = expected(ended) > 0 ? sum(ended.map(({ taken }) => taken!)) / expected(ended) : 1;
  return expected(open) * pace;
}

/** Seconds for people: `0.4 s`, `38 s`, `2 min 5 s`, `3 h 20 min`. */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}
