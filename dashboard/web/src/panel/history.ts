/** The last half hour of one vehicle: what was stored, then what is heard live. Pure. */

import type { TrackPoint, Vehicle } from "../api/types";

export const HALF_HOUR_MS = 30 * 60_000;
/** Signals asked for: where it was, how fast, and how much is left. */
export const TRACK_KEYS = ["lat", "lon", "speed", "soc", "fuel"] as const;
/** A silence longer than this breaks a plotted line, so that nobody reads a value into it. */
const GAP_MS = 60_000;

/** What a vehicle's newest readings add to the history. */
export function pointOf(vehicle: Vehicle): TrackPoint | null {
  const values: Record<string, number> = {};
  let time = vehicle.position?.time ?? 0;
  if (vehicle.position) {
    values["lat"] = vehicle.position.lat;
    values["lon"] = vehicle.position.lon;
    if (vehicle.position.speed !== null) values["speed"] = vehicle.position.speed;
  }
  for (const key of ["soc", "fuel"]) {
    const reading = vehicle.latest[key];
    if (typeof reading?.value === "number") {
      values[key] = reading.value;
      time = Math.max(time, reading.time);
    }
  }
  return time > 0 ? { time, values } : null;
}

/** Appends a point that is newer than the last one, and forgets what fell out of the half hour. */
export function append(points: readonly TrackPoint[], point: TrackPoint): readonly TrackPoint[] {
  const last = points.at(-1);
  if (last && point.time <= last.time) return points;
  const oldest = point.time - HALF_HOUR_MS;
  const first = points.findIndex(({ time }) => time >= oldest);
  return [...(first === -1 ? [] : points.slice(first)), point];
}

/** Stored points, then those of the live ones that are newer. */
export function joined(stored: readonly TrackPoint[], live: readonly TrackPoint[]): readonly TrackPoint[] {
  const last = stored.at(-1)?.time ?? -Infinity;
  return [...stored, ...live.filter(({ time }) => time > last)];
}

/** Of the half hour, cut into bands of this length, each fainter than the next. */
const BAND_MS = 5 * 60_000;
/** Degrees; two points farther apart are two drives, not one (about 500 m north to south). */
const JUMP_DEG = 0.005;

/** The drive as lines; `age` is 0 for the newest band, 1 for what is half an hour old. No line crosses a gap. */
export function trackLines(points: readonly TrackPoint[]): TrackLine[] {
  const newest = points.at(-1)?.time ?? 0;
  const lines: TrackLine[] = [];
  let before: { time: number; place: GeoJSON.Position; band: number } | null = null;
  for (const { time, values } of points) {
    const { lat, lon } = values;
    if (lat === undefined || lon === undefined) continue;
    const place: GeoJSON.Position = [lon, lat];
    const band = Math.floor((newest - time) / BAND_MS);
    const gap = before === null || time - before.time > GAP_MS || apart(before.place, place) > JUMP_DEG;
    if (gap || before === null) lines.push({ age: (band * BAND_MS) / HALF_HOUR_MS, coordinates: [place] });
    else if (band !== before.band) {
      lines.push({ age: (band * BAND_MS) / HALF_HOUR_MS, coordinates: [before.place, place] });
    } else lines.at(-1)?.coordinates.push(place);
    before = { time, place, band };
  }
  return lines.filter(({ coordinates }) => coordinates.length > 1);
}

export interface TrackLine {
  readonly age: number;
  readonly coordinates: GeoJSON.Position[];
}

function apart([lon0 = 0, lat0 = 0]: GeoJSON.Position, [lon1 = 0, lat1 = 0]: GeoJSON.Position): number {
  return Math.max(Math.abs(lat1 - lat0), Math.abs(lon1 - lon0) / 2);
}

export interface Series {
  /** Seconds since the epoch, as uPlot has it. */
  readonly times: number[];
  readonly values: (number | null)[];
}

/** One signal over time; null where nothing was heard for a while. */
export function series(points: readonly TrackPoint[], key: string): Series {
  const times: number[] = [];
  const values: (number | null)[] = [];
  let before: number | null = null;
  for (const { time, values: row } of points) {
    const value = row[key];
    if (value === undefined) continue;
    if (before !== null && time - before > GAP_MS) {
      times.push((before + 1) / 1000);
      values.push(null);
    }
    times.push(time / 1000);
    values.push(value);
    before = time;
  }
  return { times, values };
}
