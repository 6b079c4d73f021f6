import { expect, test } from "vitest";
import { unwrapped } from "../../src/map/world";

test("a ring across the 180th meridian goes on beyond it", () => {
  expect(unwrapped([[170, 60], [-170, 60], [-170, 70], [170, 70], [170, 60]])).toEqual([
    [170, 60],
    [190, 60],
    [190, 70],
    [170, 70],
    [170, 60],
  ]);
});

test("a ring around the pole is closed over the pole", () => {
  const ring = unwrapped([[0, -70], [120, -70], [-120, -70], [0, -70]]);
  expect(ring).toEqual([
    [0, -70],
    [120, -70],
    [240, -70],
    [360, -70],
    [360, -90],
    [0, -90],
    [0, -70],
  ]);
});

test("any other ring stays as it is", () => {
  const ring = [[10, 50], [11, 50], [11, 51], [10, 50]];
  expect(unwrapped(ring)).toEqual(ring);
});
