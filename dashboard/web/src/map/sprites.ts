/** What is drawn for each vehicle, and where on the screen. Pure: time and view are passed in. */

import type { State } from "../api/types";
import { stateOf } from "../store/fleet";
import type { Fleet } from "../store/fleet";
import type { ShapeName } from "../ui/shapes";
import type { Motion } from "./motion";

/** The part of the world that the map shows. The map neither turns nor tilts, so this is all of it. */
export interface View {
  readonly lon: number;
  readonly lat: number;
  readonly zoom: number;
  /** CSS pixels */
  readonly width: number;
  readonly height: number;
}

export interface Sprite {
  readonly id: string;
  readonly icon: ShapeName;
  /** CSS pixels from the top left */
  readonly x: number;
  readonly y: number;
  /** Degrees clockwise; only an arrow is turned. */
  readonly turn: number;
  readonly faint: boolean;
}

/** From the bottom to the top: the one that needs a look is never hidden. */
const ORDER: readonly State[] = ["offline", "asleep", "unknown", "online", "suspect"];
/** Pixels beyond the edge at which a sprite is still drawn. */
const EDGE = 30;
/** MapLibre's zoom 0 is one tile of this many pixels. */
const TILE = 512;

/**
 * The sprites in view in the order in which they are to be drawn; the selected one comes last.
 * `listed`: the others are faint; null: all are.
 */
export function spritesOf(
  fleet: Fleet,
  motion: Motion,
  now: number,
  view: View,
  listed: ReadonlySet<string> | null,
  selected: string | null,
): Sprite[] {
  const layers = new Map<State, Sprite[]>(ORDER.map((state) => [state, []]));
  const top: Sprite[] = [];
  const project = projector(view);
  for (const vehicle of fleet.vehicles.values()) {
    const pose = motion.pose(vehicle.id, now);
    if (pose === null) continue;
    const [x, y] = project(pose.lon, pose.lat);
    if (x < -EDGE || y < -EDGE || x > view.width + EDGE || y > view.height + EDGE) continue;
    const state = stateOf(vehicle);
    const arrow = state === "online" && pose.heading !== null;
    const chosen = vehicle.id === selected;
    const sprite: Sprite = {
      id: vehicle.id,
      icon: state === "online" && !arrow ? "online-still" : state,
      x,
      y,
      turn: arrow ? (pose.heading ?? 0) : 0,
      faint: listed !== null && !listed.has(vehicle.id) && !chosen,
    };
    (chosen ? top : layers.get(state))?.push(sprite);
  }
  return [...[...layers.values()].flat(), ...top];
}

/** Web Mercator, with the copy of the world that is nearest to the middle of the view. */
export function projector(view: View): (lon: number, lat: number) => [x: number, y: number] {
  const world = TILE * 2 ** view.zoom;
  const middleX = mercatorX(view.lon);
  const middleY = mercatorY(view.lat);
  return (lon, lat) => {
    const across = mercatorX(lon) - middleX;
    return [
      (across - Math.round(across)) * world + view.width / 2,
      (mercatorY(lat) - middleY) * world + view.height / 2,
    ];
  };
}

function mercatorX(lon: number): number {
  return lon / 360 + 0.5;
}

function mercatorY(lat: number): number {
  return 0.5 - Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360)) / (2 * Math.PI);
}

/** The sprite at a point, the topmost of those in reach; null when there is none. */
export function spriteAt(sprites: readonly Sprite[], x: number, y: number, reach: number): Sprite | null {
  let best: Sprite | null = null;
  let least = reach * reach;
  for (const sprite of sprites) {
    const distance = (sprite.x - x) ** 2 + (sprite.y - y) ** 2;
    if (distance <= least) {
      best = sprite;
      least = distance;
    }
  }
  return best;
}

/** How large a sign is drawn: small far out, where many lie close together. */
export function scaleAt(zoom: number): number {
  const steps: readonly (readonly [zoom: number, scale: number])[] = [
    [4, 0.46],
    [11, 0.64],
    [14, 0.88],
    [17, 1.1],
  ];
  const next = steps.findIndex(([at]) => at >= zoom);
  const [first, last] = [steps[0]!, steps.at(-1)!];
  if (next === 0) return first[1];
  if (next === -1) return last[1];
  const [lowZoom, low] = steps[next - 1]!;
  const [highZoom, high] = steps[next]!;
  return low + ((high - low) * (zoom - lowZoom)) / (highZoom - lowZoom);
}
