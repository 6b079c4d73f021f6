/**
 * The vehicles, on a canvas of their own above the map. They move all the time and the map does not: so a
 * moving fleet costs some thousand image copies a frame and no work of the map at all. (As a symbol layer
 * of the map, 3,000 vehicles kept a core busy with tiling and matching symbols between tiles.)
 */

import { SHAPES } from "../ui/shapes";
import type { ShapeName } from "../ui/shapes";
import { ICON_SIZE, drawIcon } from "./icons";
import type { Palette, StateColours } from "./palette";
import { scaleAt } from "./sprites";
import type { Sprite, View } from "./sprites";

const FAINT = 0.18;
const NAMES_FROM_ZOOM = 14.8;
/** With more signs than this in view their names would hide them. */
const MOST_NAMED = 60;
const RING = 19;

export class Overlay {
  readonly canvas = document.createElement("canvas");
  private readonly pen: CanvasRenderingContext2D;
  private icons = new Map<ShapeName, HTMLCanvasElement>();
  private iconPixels = 0;
  private readonly widths = new Map<string, number>();

  constructor(
    private colours: StateColours,
    private palette: Palette,
    private readonly font: string,
  ) {
    const pen = this.canvas.getContext("2d");
    if (pen === null) throw new Error("this browser cannot draw on a canvas");
    this.pen = pen;
    this.canvas.className = "map-vehicles";
  }

  setColours(colours: StateColours, palette: Palette): void {
    this.colours = colours;
    this.palette = palette;
    this.iconPixels = 0;
  }

  draw(sprites: readonly Sprite[], view: View, selected: string | null): void {
    const ratio = devicePixelRatio;
    this.fit(view, ratio);
    const { pen } = this;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const scale = scaleAt(view.zoom);
    this.prepare(scale * ratio);
    const chosen = sprites.at(-1);
    if (chosen?.id === selected) this.ring(chosen, ratio, scale);
    for (const sprite of sprites) this.icon(sprite, ratio);
    if (view.zoom >= NAMES_FROM_ZOOM && sprites.length <= MOST_NAMED) this.names(sprites, ratio, scale);
    pen.globalAlpha = 1;
  }

  private fit(view: View, ratio: number): void {
    const width = Math.round(view.width * ratio);
    const height = Math.round(view.height * ratio);
    if (this.canvas.width === width && this.canvas.height === height) return;
    this.canvas.width = width;
    this.canvas.height = height;
  }

  /** Draws the icons in the size they are needed in now, so that none is scaled. */
  private prepare(pixels: number): void {
    const wanted = Math.round(pixels * ICON_SIZE) / ICON_SIZE;
    if (wanted === this.iconPixels) return;
    this.iconPixels = wanted;
    for (const name of Object.keys(SHAPES) as ShapeName[]) this.icons.set(name, drawIcon(name, this.colours, wanted));
  }

  private icon(sprite: Sprite, ratio: number): void {
    const image = this.icons.get(sprite.icon);
    if (image === undefined) return;
    const { pen } = this;
    pen.globalAlpha = sprite.faint ? FAINT : 1;
    const half = image.width / 2;
    if (sprite.turn === 0) pen.setTransform(1, 0, 0, 1, sprite.x * ratio, sprite.y * ratio);
    else {
      const angle = (sprite.turn * Math.PI) / 180;
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      pen.setTransform(cos, sin, -sin, cos, sprite.x * ratio, sprite.y * ratio);
    }
    pen.drawImage(image, -half, -half);
  }

  private ring(sprite: Sprite, ratio: number, scale: number): void {
    const { pen } = this;
    pen.setTransform(ratio, 0, 0, ratio, sprite.x * ratio, sprite.y * ratio);
    pen.beginPath();
    pen.arc(0, 0, RING * Math.max(0.75, scale), 0, 2 * Math.PI);
    pen.globalAlpha = 0.16;
    pen.fillStyle = pen.strokeStyle = this.colours.accent;
    pen.fill();
    pen.globalAlpha = 1;
    pen.lineWidth = 2;
    pen.stroke();
  }

  /** Measured once: a fleet has few names and many frames. */
  private widthOf(name: string): number {
    let width = this.widths.get(name);
    if (width === undefined) {
      width = this.pen.measureText(name).width;
      this.widths.set(name, width);
    }
    return width;
  }

  /** Names below the signs, the topmost first; one that would lie on another is left out. */
  private names(sprites: readonly Sprite[], ratio: number, scale: number): void {
    const { pen } = this;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.globalAlpha = 1;
    pen.font = `600 11px ${this.font}`;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    pen.lineJoin = "round";
    pen.lineWidth = 3.5;
    pen.strokeStyle = this.palette.halo;
    pen.fillStyle = this.colours.text;
    const placed: { x: number; y: number; half: number }[] = [];
    for (let i = sprites.length - 1; i >= 0; i -= 1) {
      const sprite = sprites[i];
      if (sprite === undefined || sprite.faint) continue;
      const half = this.widthOf(sprite.id) / 2 + 3;
      const y = sprite.y + 13 * scale + 1;
      const taken = placed.some((other) => Math.abs(other.y - y) < 13 && Math.abs(other.x - sprite.x) < other.half + half);
      if (taken) continue;
      placed.push({ x: sprite.x, y, half });
      pen.strokeText(sprite.id, sprite.x, y);
      pen.fillText(sprite.id, sprite.x, y);
    }
  }
}
