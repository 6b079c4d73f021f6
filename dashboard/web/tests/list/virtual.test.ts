import { expect, test } from "vitest";
import { scrollTo, windowOf } from "../../src/list/virtual";

test("draws what is in view and a little more", () => {
  expect(windowOf(0, 500, 50, 5000, 5)).toEqual({ first: 0, end: 15 });
  expect(windowOf(100_000, 500, 50, 5000, 5)).toEqual({ first: 1995, end: 2015 });
  expect(windowOf(249_500, 500, 50, 5000, 5)).toEqual({ first: 4985, end: 5000 });
  expect(windowOf(0, 500, 50, 0)).toEqual({ first: 0, end: 0 });
});

test("a list that became shorter than the scroll position has no rows out of it", () => {
  const { first, end } = windowOf(100_000, 500, 50, 3);
  expect([first, end]).toEqual([3, 3]);
});

test("scrolls only to rows out of view", () => {
  expect(scrollTo(5, 0, 500, 50)).toBeNull();
  expect(scrollTo(10, 0, 500, 50)).toBe(50);
  expect(scrollTo(2, 200, 500, 50)).toBe(100);
});
