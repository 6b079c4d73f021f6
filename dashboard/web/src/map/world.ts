/** Countries of the world (Natural Earth, by world-atlas), for the map far out. */

import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import atlas from "world-atlas/countries-50m.json?url";

type Countries = Topology<{ countries: GeometryCollection<{ name: string }> }>;

export interface World {
  readonly countries: GeoJSON.FeatureCollection;
  readonly names: GeoJSON.FeatureCollection;
}

export async function loadWorld(): Promise<World> {
  const answer = await fetch(atlas);
  if (!answer.ok) throw new Error(`the world's outlines: ${answer.status} ${answer.statusText}`);
  const topology = (await answer.json()) as Countries;
  const countries = feature(topology, topology.objects.countries);
  for (const { geometry } of countries.features) {
    if (geometry.type === "Polygon") geometry.coordinates = geometry.coordinates.map(unwrapped);
    if (geometry.type === "MultiPolygon") {
      geometry.coordinates = geometry.coordinates.map((polygon) => polygon.map(unwrapped));
    }
  }
  return { countries, names: { type: "FeatureCollection", features: countries.features.flatMap(nameOf) } };
}

/**
 * A ring that crosses the 180th meridian goes on beyond it, instead of back around the world; one that
 * goes around a pole is closed over the pole.
 */
export function unwrapped(ring: readonly GeoJSON.Position[]): GeoJSON.Position[] {
  const result: GeoJSON.Position[] = [];
  let before: number | null = null;
  for (const [lon = 0, lat = 0] of ring) {
    const turns: number = before === null ? 0 : Math.round((before - lon) / 360);
    before = lon + turns * 360;
    result.push([before, lat]);
  }
  const [firstLon = 0, firstLat = 0] = result[0] ?? [];
  if (before !== null && Math.abs(before - firstLon) > 180) {
    const pole = firstLat < 0 ? -90 : 90;
    result.push([before, pole], [firstLon, pole], [firstLon, firstLat]);
  }
  return result;
}

/** The country's name in the middle of its largest part. */
function nameOf(country: GeoJSON.Feature<GeoJSON.Geometry, { name: string }>): GeoJSON.Feature[] {
  const { geometry } = country;
  const polygons =
    geometry.type === "Polygon" ? [geometry.coordinates] : geometry.type === "MultiPolygon" ? geometry.coordinates : [];
  let best = { size: 0, middle: [0, 0] };
  for (const [ring] of polygons) {
    const part = ring ? centroid(ring) : null;
    if (part && part.size > best.size) best = part;
  }
  if (best.size === 0) return [];
  const point: GeoJSON.Point = { type: "Point", coordinates: best.middle };
  return [{ type: "Feature", geometry: point, properties: { name: country.properties.name, size: best.size } }];
}

/** Area and centroid of a ring in square degrees, by the shoelace formula: enough to place a name. */
function centroid(ring: readonly GeoJSON.Position[]): { size: number; middle: number[] } | null {
  let area = 0;
  let x = 0;
  let y = 0;
  for (let i = 1; i < ring.length; i += 1) {
    const [x0 = 0, y0 = 0] = ring[i - 1] ?? [];
    const [x1 = 0, y1 = 0] = ring[i] ?? [];
    const cross = x0 * y1 - x1 * y0;
    area += cross;
    x += (x0 + x1) * cross;
    y += (y0 + y1) * cross;
  }
  if (area === 0) return null;
  return { size: Math.abs(area / 2), middle: [x / (3 * area), y / (3 * area)] };
}
