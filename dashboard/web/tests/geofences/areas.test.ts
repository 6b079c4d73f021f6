import { describe, expect, test } from "vitest";
import type { Geofence } from "../../src/api/types";
import { areasOf } from "../../src/geofences/areas";

function ringsOf(geometry: Geofence["geometry"], radius: number | null = null): GeoJSON.Position[][] {
  const drawn = areasOf([{ id: 3, name: "depot", geometry, radius }]).features[0]?.geometry;
  return drawn?.type === "Polygon" ? drawn.coordinates : [];
}

describe("what the map draws of a geofence", () => {
  test("of a circle is a closed ring, as far from the centre everywhere", () => {
    const [ring = []] = ringsOf({ type: "Point", coordinates: [25, 60] }, 1000);
    expect(ring.length).toBe(73);
    expect(ring[72]).toEqual(ring[0]);
    for (const [lon = 0, lat = 0] of ring) {
      const north = (lat - 60) * 111_195;
      const east = (lon - 25) * 111_195 * Math.cos((60 * Math.PI) / 180);
      expect(Math.hypot(north, east)).toBeCloseTo(1000, -1);
    }
  });

  test("goes on over the antimeridian", () => {
    const ring = [
      [179.5, -18],
      [-179.5, -18],
      [-179.5, -16],
      [179.5, -18],
    ];
    const [drawn = []] = ringsOf({ type: "Polygon", coordinates: [ring] });
    expect(drawn.map(([lon]) => lon)).toEqual([179.5, 180.5, 180.5, 179.5]);
  });

  test("has its name, and each polygon of several", () => {
    const square = [[[0, 0], [1, 0], [1, 1], [0, 0]]]; // prettier-ignore
    const geometry: GeoJSON.MultiPolygon = { type: "MultiPolygon", coordinates: [square, square] };
    const [feature] = areasOf([{ id: 3, name: "<b>two</b>", geometry, radius: null }]).features;
    expect(feature).toMatchObject({ id: 3, properties: { name: "<b>two</b>" }, geometry });
  });
});
