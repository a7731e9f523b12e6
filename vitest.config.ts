import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Two cores: native sessions already use both, so one worker per core is the most that helps.
    maxWorkers: 2,
    pool: "forks",
  },
});
