import { describe, expect, test } from "vitest";
import { HALF_HOUR_MS, append, joined, pointOf, series, trackLines } from "../../src/panel/history";
import { T0, position, vehicle } from "../build";

const point = (seconds: number, values: Record<string, number> = { speed: seconds }) => ({
  time: T0 + seconds * 1000,
  values,
});

describe("history", () => {
  test("appends only what is newer and forgets what is older than half an hour", () => {
    const points = [point(0), point(10)];
    expect(append(points, point(10))).toBe(points);
    expect(append(points, point(5))).toBe(points);
    const later = append(points, point(HALF_HOUR_MS / 1000 + 5));
    expect(later.map(({ time }) => (time - T0) / 1000)).toEqual([10, HALF_HOUR_MS / 1000 + 5]);
  });

  test("stored points first, then the live ones that are newer", () => {
    const both = joined([point(0), point(2)], [point(1), point(2), point(3)]);
    expect(both.map(({ time }) => (time - T0) / 1000)).toEqual([0, 2, 3]);
  });

  test("a vehicle's newest readings make a point", () => {
    const found = pointOf(
      vehicle("a", {
        position: position(4, { speed: null }),
        latest: { soc: { value: 70, unit: "%", time: T0 + 5000 }, fuel: { value: null, unit: "%", time: T0 } },
      }),
    );
    expect(found).toEqual({ time: T0 + 5000, values: { lat: 60.17, lon: 24.94, soc: 70 } });
    expect(pointOf(vehicle("a", { position: null }))).toBeNull();
  });

  test("the track joins points with both coordinates", () => {
    const points = [point(0, { lat: 1, lon: 2 }), point(1, { lat: 1 }), point(2, { lat: 1.001, lon: 2.001 })];
    expect(trackLines(points)).toEqual([{ age: 0, coordinates: [[2, 1], [2.001, 1.001]] }]);
  });

  test("no line crosses a silence or a jump", () => {
    const at = (seconds: number, lat: number) => point(seconds, { lat, lon: 2 });
    const lines = trackLines([at(0, 1), at(2, 1.0001), at(4, 1.2), at(6, 1.2001), at(100, 1.2002), at(102, 1.2003)]);
    expect(lines.map(({ coordinates }) => coordinates.map(([, lat]) => lat))).toEqual([
      [1, 1.0001],
      [1.2, 1.2001],
      [1.2002, 1.2003],
    ]);
  });

  test("older bands are fainter and meet", () => {
    const points = Array.from({ length: 40 }, (_, i) => point(i * 20, { lat: 1 + i * 1e-4, lon: 2 }));
    const lines = trackLines(points);
    expect(lines.map(({ age }) => age)).toEqual([2 / 6, 1 / 6, 0]);
    expect(lines[0]!.coordinates.at(-1)).toEqual(lines[1]!.coordinates[0]);
  });

  test("a silence breaks the plotted line", () => {
    const plotted = series([point(0), point(10), point(200), point(201, { soc: 1 })], "speed");
    expect(plotted.values).toEqual([0, 10, null, 200]);
    expect(plotted.times.map((time) => Math.round(time - T0 / 1000))).toEqual([0, 10, 10, 200]);
  });
});
