/** What is shown of hazards, and in which words. Pure; times in milliseconds. */

import type { Hazard } from "../api/types";
import { age, duration } from "../ui/format";

/** Hazards that were over longer ago than this are not shown. As the API has it, and in milliseconds. */
export const SHOWN_AFTER = "1m";
const SHOWN_AFTER_MS = 60_000;
/** More than this would cover the map. */
export const MOST_SHOWN = 200;

export interface ShownHazard {
  readonly hazard: Hazard;
  /** It is over, since a moment. */
  readonly over: boolean;
}

const WORDS: Readonly<Record<string, string>> = {
  traffic_condition: "Dense traffic",
  accident: "Accident",
  road_works: "Road works",
  slippery_road: "Slippery road",
  road_surface: "Bad road surface",
  obstacle: "Obstacle on the road",
  animal: "Animal on the road",
  people: "People on the road",
  wrong_way_driver: "Wrong-way driver",
  rescue: "Rescue work",
  extreme_weather: "Extreme weather",
  low_visibility: "Low visibility",
  precipitation: "Heavy rain or snow",
  slow_vehicle: "Slow vehicle",
  end_of_queue: "End of a queue",
  breakdown: "Broken-down vehicle",
  post_crash: "Vehicle after a crash",
  human_problem: "Driver in trouble",
  stationary_vehicle: "Stationary vehicle",
  emergency_vehicle: "Emergency vehicle",
  dangerous_curve: "Dangerous curve",
  collision_risk: "Risk of a collision",
  signal_violation: "Red light was run",
  dangerous_situation: "Dangerous situation",
  hard_braking: "Hard braking",
};

export function hazardWord(kind: string): string {
  return WORDS[kind] ?? "Hazard";
}

/** When it ended or will end by itself. */
function endOf(hazard: Hazard): number {
  return Math.min(hazard.ended ?? hazard.validUntil, hazard.validUntil);
}

/** What is to be shown now: first what holds, then what was over a moment ago; the newest of each first. */
export function shownAt(hazards: readonly Hazard[], now: number): ShownHazard[] {
  return hazards
    .filter((hazard) => endOf(hazard) > now - SHOWN_AFTER_MS)
    .map((hazard) => ({ hazard, over: endOf(hazard) <= now }))
    .sort((a, b) => Number(a.over) - Number(b.over) || b.hazard.detected - a.hazard.detected || b.hazard.id - a.hazard.id);
}

/** "since 20 s, for 10 s more", or "over". */
export function hazardTimes({ hazard, over }: ShownHazard, now: number): string {
  if (over) return `over for ${age(now - endOf(hazard))}`;
  return `since ${age(now - hazard.detected)}, for ${duration(hazard.validUntil - now)} more`;
}
