import { expect, test } from "vitest";
import { boxOf, boxOfGeometry, meet } from "../../src/map/boxes";
import { position, vehicle } from "../build";

test("around vehicles that have a position", () => {
  expect(boxOf([])).toBeNull();
  expect(boxOf([vehicle("a", { position: null })])).toBeNull();
  expect(boxOf([vehicle("a"), vehicle("b", { position: position(0, { lat: 44.5, lon: 11.3 }) })])).toEqual([
    11.3, 44.5, 24.94, 60.17,
  ]);
});

test("boxes meet where they overlap or touch", () => {
  expect(meet([0, 0, 2, 2], [1, 1, 3, 3])).toBe(true);
  expect(meet([0, 0, 2, 2], [2, 2, 3, 3])).toBe(true);
  expect(meet([0, 0, 2, 2], [1, 3, 3, 4])).toBe(false);
  expect(meet([0, 0, 9, 9], [4, 4, 5, 5])).toBe(true);
});

test("around lines and areas", () => {
  const feature = (geometry: GeoJSON.Geometry): GeoJSON.Feature => ({ type: "Feature", properties: {}, geometry });
  const line = feature({ type: "LineString", coordinates: [[1, 2], [-3, 4]] });
  const area = feature({ type: "Polygon", coordinates: [[[0, 0], [9, 0], [9, 9], [0, 0]]] });
  expect(boxOfGeometry({ type: "FeatureCollection", features: [line, area] })).toEqual([-3, 0, 9, 9]);
  expect(boxOfGeometry({ type: "FeatureCollection", features: [] })).toBeNull();
});
