/** Words and numbers for people. Pure; times in milliseconds. */

import type { Value } from "../api/types";

const MINUS = "\u2212";
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** One unit, for a list: "3 s", "4 min", "2 h", "5 d". */
export function age(ms: number): string {
  const positive = Math.max(0, ms);
  if (positive < MINUTE) return `${Math.floor(positive / SECOND)} s`;
  if (positive < HOUR) return `${Math.floor(positive / MINUTE)} min`;
  if (positive < 2 * DAY) return `${Math.floor(positive / HOUR)} h`;
  return `${Math.floor(positive / DAY)} d`;
}

/** Two units, for a countdown or a duration: "7 s", "1 min 20 s", "2 h 5 min". */
export function duration(ms: number): string {
  const positive = Math.max(0, ms);
  if (positive < MINUTE) return `${Math.ceil(positive / SECOND)} s`;
  if (positive < HOUR) return twoUnits(positive, MINUTE, "min", SECOND, "s");
  if (positive < 2 * DAY) return twoUnits(positive, HOUR, "h", MINUTE, "min");
  return twoUnits(positive, DAY, "d", HOUR, "h");
}

function twoUnits(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  const whole = Math.floor(ms / large);
  const rest = Math.floor((ms - whole * large) / small);
  return rest === 0 ? `${whole} ${largeName}` : `${whole} ${largeName} ${rest} ${smallName}`;
}

const timeOfDay = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const shortDate = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const longDate = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

/** The viewer's local time; with the date when it is another day than `now`, and the year if not this one. */
export function clock(ms: number, now: number): string {
  const then = new Date(ms);
  const today = new Date(now);
  const time = timeOfDay.format(then);
  if (then.toDateString() === today.toDateString()) return time;
  return `${(then.getFullYear() === today.getFullYear() ? shortDate : longDate).format(then)}, ${time}`;
}

/** A signal's value with as many digits as it is worth: coordinates six, small values two, large ones none. */
export function signalText(key: string, value: Value): string {
  if (value === null) return "–";
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value === "number") return signalNumber(key, value);
  if (typeof value === "string") return value;
  return value.length === 0 ? "none" : value.join(", ");
}

function signalNumber(key: string, value: number): string {
  if (key === "lat" || key === "lon") return value.toFixed(6).replace("-", MINUS);
  if (Number.isInteger(value)) return grouped(value, 0);
  const size = Math.abs(value);
  return grouped(value, size >= 1000 ? 0 : size >= 10 ? 1 : 2);
}

/** Thousands are grouped by a thin space, as ISO 80000 has it. */
export function grouped(value: number, digits = 0): string {
  const [whole = "", fraction] = Math.abs(value).toFixed(digits).split(".");
  const spaced = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u2009") : whole;
  const sign = value < 0 && Number(value.toFixed(digits)) !== 0 ? MINUS : "";
  return sign + spaced + (fraction === undefined ? "" : `.${fraction}`);
}

export function speed(kmh: number | null | undefined): string {
  return kmh === null || kmh === undefined ? "–" : `${grouped(Math.round(kmh))} km/h`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : many}`;
}
