/** Boxes in degrees, for fitting the map to what there is. */

import type { Vehicle } from "../api/types";

export type Box = [west: number, south: number, east: number, north: number];

/** The box around vehicles with a position; null when there are none. */
export function boxOf(vehicles: Iterable<Vehicle>): Box | null {
  let box: Box | null = null;
  for (const { position } of vehicles) {
    if (position === null) continue;
    const { lon, lat } = position;
    box =
      box === null
        ? [lon, lat, lon, lat]
        : [Math.min(box[0], lon), Math.min(box[1], lat), Math.max(box[2], lon), Math.max(box[3], lat)];
  }
  return box;
}

/** Whether two boxes have a point in common. */
export function meet(a: Box, b: Box): boolean {
  return a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3];
}

/** The box around a road network; null when it is empty. */
export function boxOfGeometry(collection: GeoJSON.FeatureCollection): Box | null {
  const box: Box = [Infinity, Infinity, -Infinity, -Infinity];
  const walk = (coordinates: unknown): void => {
    if (!Array.isArray(coordinates)) return;
    const [lon, lat] = coordinates as unknown[];
    if (typeof lon === "number" && typeof lat === "number") {
      box[0] = Math.min(box[0], lon);
      box[1] = Math.min(box[1], lat);
      box[2] = Math.max(box[2], lon);
      box[3] = Math.max(box[3], lat);
    } else coordinates.forEach(walk);
  };
  for (const { geometry } of collection.features) if (geometry && "coordinates" in geometry) walk(geometry.coordinates);
  return Number.isFinite(box[0]) ? box : null;
}
