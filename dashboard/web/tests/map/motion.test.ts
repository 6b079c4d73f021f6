import { describe, expect, test } from "vitest";
import { Motion, turn } from "../../src/map/motion";

const at = (lon: number, lat = 60, heading: number | null = 90) => ({ lon, lat, heading });

describe("motion", () => {
  test("starts where the vehicle is and glides over the time between two positions", () => {
    const motion = new Motion();
    motion.put("a", at(24), 0, true);
    expect(motion.pose("a", 0)).toEqual(at(24));
    expect(motion.moving(0)).toBe(false);
    motion.put("a", at(24.001), 1000, true);
    expect(motion.pose("a", 1500)!.lon).toBeCloseTo(24.0005, 9);
    expect(motion.moving(1500)).toBe(true);
    expect(motion.pose("a", 2000)).toEqual(at(24.001));
    expect(motion.moving(2000)).toBe(false);
  });

  test("a position that comes early continues from where the vehicle is drawn, without a jump", () => {
    const motion = new Motion();
    motion.put("a", at(24), 0, true);
    motion.put("a", at(24.001), 1000, true);
    const before = motion.pose("a", 1400)!.lon;
    motion.put("a", at(24.002), 1400, true);
    expect(motion.pose("a", 1400)!.lon).toBeCloseTo(before, 12);
    expect(motion.pose("a", 1800)!.lon).toBeCloseTo(24.002, 12);
  });

  test("a jump, or a viewer who wants no motion, is drawn at once", () => {
    const motion = new Motion();
    motion.put("a", at(24), 0, true);
    motion.put("a", at(11, 44), 1000, true);
    expect(motion.pose("a", 1000)).toEqual(at(11, 44));
    motion.put("a", at(11.0001, 44), 2000, false);
    expect(motion.pose("a", 2000)).toEqual(at(11.0001, 44));
  });

  test("a long silence does not make a slow glide", () => {
    const motion = new Motion();
    motion.put("a", at(24), 0, true);
    motion.put("a", at(24.001), 600_000, true);
    expect(motion.pose("a", 602_500)).toEqual(at(24.001));
  });

  test("forgets", () => {
    const motion = new Motion();
    motion.put("a", at(24), 0, true);
    motion.forget("a");
    expect(motion.pose("a", 0)).toBeNull();
  });
});

test.each([
  [350, 10, 0.5, 0],
  [10, 350, 0.5, 0],
  [90, 180, 0.5, 135],
  [0, 181, 1, 181],
])("turns from %d to %d the shorter way", (from, to, part, expected) => {
  expect(turn(from, to, part)).toBeCloseTo(expected, 9);
});

test("a heading that is not known is not made up", () => {
  expect(turn(90, null, 0.5)).toBeNull();
  expect(turn(null, 90, 0.5)).toBe(90);
});
