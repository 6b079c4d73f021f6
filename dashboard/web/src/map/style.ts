/**
 * The map's style: the road network and the world's countries are the whole basemap (vehicles: overlay.ts). There is no tile
 * server, no sprite and no glyph server: MapLibre draws names with the fonts of the viewer's machine.
 */

import type {
  ExpressionSpecification,
  FillLayerSpecification,
  LayerSpecification,
  StyleSpecification,
} from "maplibre-gl";
import type { Palette, StateColours } from "./palette";

export const ATTRIBUTION = "© OpenStreetMap contributors";
export const FONT = ["Inter Variable", "Segoe UI", "Roboto", "Helvetica Neue", "Liberation Sans", "sans-serif"];

const NOTHING: GeoJSON.FeatureCollection = { type: "FeatureCollection", features: [] };

/** OpenStreetMap's highway value. */
const ROAD_CLASS: ExpressionSpecification = ["to-string", ["coalesce", ["get", "class"], ""]];
/** Of an area: water, park or building. */
const KIND: ExpressionSpecification = ["to-string", ["coalesce", ["get", "kind"], ""]];

/** 4 motorway … 0 footpath. */
const RANK: ExpressionSpecification = [
  "match",
  ROAD_CLASS,
  ["motorway", "trunk"],
  4,
  ["motorway_link", "trunk_link", "primary", "primary_link"],
  3,
  ["secondary", "secondary_link", "tertiary", "tertiary_link"],
  2,
  ["footway", "path", "cycleway", "steps", "pedestrian", "track", "bridleway", "corridor"],
  0,
  1,
];

const IS_TUNNEL: ExpressionSpecification = [
  "match",
  ["to-string", ["coalesce", ["get", "tunnel"], "no"]],
  ["", "no", "false", "0"],
  false,
  true,
];
const IS_LINE: ExpressionSpecification = ["match", ["geometry-type"], ["LineString", "MultiLineString"], true, false];
const IS_AREA: ExpressionSpecification = ["match", ["geometry-type"], ["Polygon", "MultiPolygon"], true, false];

/** Widths in pixels by rank, growing with the zoom; `extra` on both sides together is the casing. */
function width(extra: number): ExpressionSpecification {
  const by = (scale: number): ExpressionSpecification => [
    "+",
    extra,
    ["match", RANK, 4, 2.6 * scale, 3, 2.1 * scale, 2, 1.5 * scale, 1, 0.95 * scale, 0.4 * scale],
  ];
  return ["interpolate", ["exponential", 1.6], ["zoom"], 9, by(0.35), 12, by(0.9), 14, by(2.2), 16, by(6), 19, by(26)];
}

function area(id: string, filter: ExpressionSpecification, colour: string): FillLayerSpecification {
  return { id, type: "fill", source: "roads", filter: ["all", IS_AREA, filter], paint: { "fill-color": colour } };
}

/** Of the track: faint where it is half an hour old. */
const FADING: ExpressionSpecification = ["interpolate", ["linear"], ["get", "age"], 0, 0.95, 1, 0.22];

export function layers(palette: Palette, colours: StateColours): LayerSpecification[] {
  const road = (tunnel: boolean): ExpressionSpecification => ["all", IS_LINE, ["==", IS_TUNNEL, tunnel]];
  const order = { "line-sort-key": RANK };
  return [
    // Country outlines are coarse, so close up everything is land, except for water that the road file has.
    {
      id: "background",
      type: "background",
      paint: { "background-color": ["interpolate", ["linear"], ["zoom"], 6.5, palette.water, 8.5, palette.land] },
    },
    {
      id: "land",
      type: "fill",
      source: "world",
      filter: IS_AREA,
      maxzoom: 9,
      paint: { "fill-color": palette.land, "fill-antialias": false },
    },
    {
      id: "borders",
      type: "line",
      source: "world",
      filter: IS_AREA,
      maxzoom: 9,
      paint: {
        "line-color": palette.border,
        "line-width": 0.8,
        "line-opacity": ["interpolate", ["linear"], ["zoom"], 7, 1, 8.5, 0],
      },
    },
    area("parks", ["==", KIND, "park"], palette.park),
    area("water", ["==", KIND, "water"], palette.water),
    {
      ...area("buildings", ["==", KIND, "building"], palette.building),
      minzoom: 14,
      paint: {
        "fill-color": palette.building,
        "fill-opacity": ["interpolate", ["linear"], ["zoom"], 14, 0, 15.2, 1],
      },
    },
    {
      id: "tunnels",
      type: "line",
      source: "roads",
      filter: road(true),
      layout: { "line-join": "round", ...order },
      paint: {
        "line-color": palette.casing,
        "line-width": width(0),
        "line-dasharray": [1.2, 0.9],
        "line-opacity": 0.9,
      },
    },
    {
      id: "casings",
      type: "line",
      source: "roads",
      filter: road(false),
      minzoom: 11,
      layout: { "line-cap": "round", "line-join": "round", ...order },
      paint: {
        "line-color": ["match", RANK, [3, 4], palette.majorCasing, palette.casing],
        "line-width": width(1.6),
        "line-opacity": ["interpolate", ["linear"], ["zoom"], 11, 0.3, 13, 1],
      },
    },
    {
      id: "roads",
      type: "line",
      source: "roads",
      filter: road(false),
      layout: { "line-cap": "round", "line-join": "round", ...order },
      paint: {
        "line-color": ["match", RANK, [3, 4], palette.major, 0, palette.path, palette.road],
        "line-width": width(0),
      },
    },
    {
      id: "country-names",
      type: "symbol",
      source: "world-names",
      minzoom: 2,
      maxzoom: 8,
      layout: {
        "text-field": ["to-string", ["get", "name"]],
        "text-font": FONT,
        "text-size": ["interpolate", ["linear"], ["zoom"], 2, 9, 6, 13],
        "text-letter-spacing": 0.06,
        "text-max-width": 7,
        "text-padding": 8,
        "symbol-sort-key": ["-", 0, ["get", "size"]],
      },
      paint: { "text-color": palette.name, "text-halo-color": palette.land, "text-halo-width": 1.2 },
    },
    {
      id: "geofences",
      type: "fill",
      source: "geofences",
      paint: { "fill-color": colours.accent, "fill-opacity": 0.08 },
    },
    {
      id: "geofence-edges",
      type: "line",
      source: "geofences",
      layout: { "line-join": "round" },
      paint: { "line-color": colours.accent, "line-width": 1.6, "line-dasharray": [3, 2] },
    },
    {
      id: "geofence-names",
      type: "symbol",
      source: "geofences",
      minzoom: 9,
      layout: {
        "text-field": ["to-string", ["get", "name"]],
        "text-font": FONT,
        "text-size": 12,
        "text-max-width": 9,
      },
      paint: { "text-color": colours.accent, "text-halo-color": palette.halo, "text-halo-width": 1.4 },
    },
    {
      id: "track-casing",
      type: "line",
      source: "track",
      layout: { "line-join": "round" },
      paint: { "line-color": colours.surface, "line-width": 6, "line-opacity": FADING },
    },
    {
      id: "track",
      type: "line",
      source: "track",
      layout: { "line-join": "round" },
      paint: { "line-color": colours.accent, "line-width": 3.2, "line-opacity": FADING },
    },
    {
      id: "street-names",
      type: "symbol",
      source: "roads",
      minzoom: 13.2,
      filter: ["all", IS_LINE, ["has", "name"]],
      layout: {
        "symbol-placement": "line",
        "symbol-spacing": 320,
        "symbol-sort-key": ["-", 0, RANK],
        "text-field": ["to-string", ["get", "name"]],
        "text-font": FONT,
        "text-size": ["interpolate", ["linear"], ["zoom"], 13, 10, 17, 12.5],
        "text-padding": 12,
        "text-max-angle": 35,
      },
      paint: { "text-color": palette.name, "text-halo-color": palette.halo, "text-halo-width": 1.4 },
    },
  ];
}

export function style(palette: Palette, colours: StateColours): StyleSpecification {
  const empty = { type: "geojson", data: NOTHING } as const;
  return {
    version: 8,
    sources: {
      world: { ...empty, maxzoom: 8, tolerance: 0.5 },
      "world-names": empty,
      roads: { ...empty, maxzoom: 15, tolerance: 0.3, attribution: ATTRIBUTION },
      track: empty,
      geofences: empty,
    },
    layers: layers(palette, colours),
    transition: { duration: 0, delay: 0 },
  };
}
