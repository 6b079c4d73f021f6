/**
 * The sign of each state, drawn on a 24 by 24 grid. The map's icons (canvas) and the badges (SVG) are
 * made from the same strokes, so a state has one look everywhere: a colour and a shape.
 */

import type { State } from "../api/types";

/** Paint: the state's own colour, the surface behind it, or what is legible on the colour. */
export type Paint = "state" | "surface" | "on";

export interface Stroke {
  /** SVG path data */
  readonly d: string;
  readonly fill?: Paint;
  readonly line?: Paint;
  readonly width?: number;
  readonly dash?: readonly number[];
}

export type ShapeName = State | "online-still";

const DISC = "M12 2.5a9.5 9.5 0 1 1 0 19a9.5 9.5 0 1 1 0-19Z";
const RING = "M12 3.75a8.25 8.25 0 1 1 0 16.5a8.25 8.25 0 1 1 0-16.5Z";
const DOT = "M12 5.5a6.5 6.5 0 1 1 0 13a6.5 6.5 0 1 1 0-13Z";

export const SHAPES: Readonly<Record<ShapeName, readonly Stroke[]>> = {
  // The arrow points north; the map turns it to the heading.
  online: [{ d: "M12 1.8 20 21.2 12 17 4 21.2Z", fill: "state" }],
  "online-still": [{ d: DOT, fill: "state" }],
  suspect: [
    { d: "M12 1.2 22.8 12 12 22.8 1.2 12Z", fill: "state" },
    { d: "M12 6.6v6.8", line: "on", width: 2.4 },
    { d: "M12 17.1v.1", line: "on", width: 2.8 },
  ],
  asleep: [
    { d: DISC, fill: "state" },
    { d: "M16.9 14.1A5.6 5.6 0 0 1 9.9 7.1A5.6 5.6 0 1 0 16.9 14.1Z", fill: "on" },
  ],
  offline: [
    { d: RING, fill: "surface", line: "state", width: 2.3 },
    { d: "M9 9l6 6M15 9l-6 6", line: "state", width: 2.2 },
  ],
  unknown: [
    { d: RING, fill: "surface", line: "state", width: 2, dash: [2.6, 2.6] },
    { d: "M9.5 9.9a2.6 2.6 0 1 1 3.9 2.2c-.9.55-1.4 1-1.4 1.9", line: "state", width: 2 },
    { d: "M12 16.7v.1", line: "state", width: 2.4 },
  ],
};

/** The sign of a hazard, on the same grid: a triangle as on the road. */
export const HAZARD_SIGN = {
  plate: "M12 2.6 22.4 20.4H1.6Z",
  mark: "M12 9v5.4M12 17.2v.1",
} as const;
