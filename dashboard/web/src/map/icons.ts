/** Vehicle icons, drawn on a canvas from the same shapes as the badges. No sprite is fetched. */

import { SHAPES } from "../ui/shapes";
import type { Paint, ShapeName } from "../ui/shapes";
import type { StateColours } from "./palette";

/** CSS pixels of an icon at scale 1: the grid of 24, and room for the outline around it. */
const GRID = 24;
const MARGIN = 3;
export const ICON_SIZE = GRID + 2 * MARGIN;

/** `pixels`: device pixels of a CSS pixel, times the scale. */
export function drawIcon(name: ShapeName, colours: StateColours, pixels: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.ceil(ICON_SIZE * pixels);
  const pen = canvas.getContext("2d");
  if (pen === null) throw new Error("this browser cannot draw on a canvas");
  const state = name === "online-still" ? "online" : name;
  const paint: Record<Paint, string> = { state: colours.states[state], surface: colours.surface, on: colours.on };
  pen.scale(canvas.width / ICON_SIZE, canvas.width / ICON_SIZE);
  pen.translate(MARGIN, MARGIN);
  pen.lineJoin = pen.lineCap = "round";
  SHAPES[name].forEach((stroke, index) => {
    const path = new Path2D(stroke.d);
    if (index === 0) {
      // an outline in the surface's colour lifts the sign off whatever road is below it
      pen.strokeStyle = colours.surface;
      pen.lineWidth = 4 + (stroke.line ? (stroke.width ?? 0) : 0);
      pen.stroke(path);
    }
    if (stroke.fill) {
      pen.fillStyle = paint[stroke.fill];
      pen.fill(path);
    }
    if (stroke.line) {
      pen.setLineDash([...(stroke.dash ?? [])]);
      pen.strokeStyle = paint[stroke.line];
      pen.lineWidth = stroke.width ?? 1;
      pen.stroke(path);
      pen.setLineDash([]);
    }
  });
  return canvas;
}
