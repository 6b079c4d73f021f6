import { expect, test } from "vitest";
import { backoff } from "../../src/live/backoff";

test("doubles up to the cap, with full jitter", () => {
  const most = [0, 1, 2, 3, 4, 5, 6, 60].map((attempt) => backoff(attempt, () => 1));
  expect(most).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  expect(backoff(5, () => 0.5)).toBe(7500);
  expect(backoff(5, () => 0)).toBe(100);
});
