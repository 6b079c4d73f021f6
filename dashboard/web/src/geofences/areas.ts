/** Geofences as what the map draws: a circle is a polygon of many corners. Pure. */

import type { Geofence } from "../api/types";

const CORNERS = 72;
const EARTH_M = 6_371_008.8;
const radians = (degrees: number): number => (degrees * Math.PI) / 180;
const degrees = (angle: number): number => (angle * 180) / Math.PI;

export function areasOf(geofences: readonly Geofence[]): GeoJSON.FeatureCollection {
  return {
    type: "FeatureCollection",
    features: geofences.map(
      ({ id, name, geometry, radius }): GeoJSON.Feature => ({
        type: "Feature",
        id,
        properties: { name },
        geometry: drawn(geometry, radius),
      }),
    ),
  };
}

function drawn(geometry: Geofence["geometry"], radius: number | null): GeoJSON.Polygon | GeoJSON.MultiPolygon {
  if (geometry.type === "Point") return circle(geometry.coordinates, radius ?? 0);
  if (geometry.type === "Polygon") return { type: "Polygon", coordinates: geometry.coordinates.map(unbroken) };
  return { type: "MultiPolygon", coordinates: geometry.coordinates.map((rings) => rings.map(unbroken)) };
}

/** The places at a distance, on a sphere. */
function circle([lon = 0, lat = 0]: GeoJSON.Position, metres: number): GeoJSON.Polygon {
  const away = metres / EARTH_M;
  const [sin, cos] = [Math.sin(radians(lat)), Math.cos(radians(lat))];
  const ring = Array.from({ length: CORNERS + 1 }, (_, corner): GeoJSON.Position => {
    const bearing = (2 * Math.PI * (corner % CORNERS)) / CORNERS;
    const top = Math.asin(sin * Math.cos(away) + cos * Math.sin(away) * Math.cos(bearing));
    const aside = Math.atan2(Math.sin(bearing) * Math.sin(away) * cos, Math.cos(away) - sin * Math.sin(top));
    return [lon + degrees(aside), degrees(top)];
  });
  return { type: "Polygon", coordinates: [ring] };
}

/** A ring that crosses the antimeridian goes on beyond it, as MapLibre wants it: the shorter way to each next corner. */
function unbroken(ring: readonly GeoJSON.Position[]): GeoJSON.Position[] {
  let before: number | null = null;
  return ring.map(([lon = 0, lat = 0]) => {
    const near: number = before === null ? lon : lon + 360 * Math.round((before - lon) / 360);
    before = near;
    return [near, lat];
  });
}
