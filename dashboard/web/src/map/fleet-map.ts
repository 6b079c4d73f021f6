/** MapLibre in one place: the basemap, the vehicles in motion, the track and the selection. */

import { AttributionControl, Map as MapLibre, ScaleControl, setWorkerUrl } from "maplibre-gl";
import type { GeoJSONSource, MapMouseEvent, PaddingOptions } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import type { Fleet } from "../store/fleet";
import { EMPTY } from "../store/fleet";
import { boxOf, boxOfGeometry, meet } from "./boxes";
import type { Box } from "./boxes";
import type { ShownHazard } from "../hazards/hazards";
import { HazardMarkers } from "./hazard-markers";
import { Motion } from "./motion";
import { Overlay } from "./overlay";
import { PALETTES, stateColours } from "./palette";
import type { TrackLine } from "../panel/history";
import type { Theme } from "../ui/theme";
import { spriteAt, spritesOf } from "./sprites";
import type { Sprite, View } from "./sprites";
import { layers, style } from "./style";
import { loadWorld } from "./world";

/** Milliseconds between two drawings of moving vehicles, by how many there are. */
function interval(vehicles: number): number {
  if (vehicles < 500) return 30;
  return vehicles < 2000 ? 60 : 120;
}

/** Closer than this the world's outlines are no longer drawn. */
const STREET_ZOOM = 9;

/** Pixels around a click in which a vehicle is meant. */
const REACH = 15;

const NOWHERE: Box = [-25, 32, 45, 66];
const REDUCED = "(prefers-reduced-motion: reduce)";

interface Covered {
  /** Pixels */
  readonly right: number;
  /** Part of the height */
  readonly bottom: number;
}

export interface MapHooks {
  select(id: string | null): void;
  selectHazard(id: number): void;
  /** The viewer moved the map by hand, so following ends. */
  dragged(): void;
  /** Whether the streets that the server has are all out of view, close up where there is nothing else to see. */
  offRoads(off: boolean): void;
}

export class FleetMap {
  private readonly map: MapLibre;
  private readonly motion = new Motion();
  private readonly reduced = matchMedia(REDUCED);
  private fleet: Fleet = EMPTY;
  private shown: ReadonlySet<string> | null = null;
  private selected: string | null = null;
  private following = false;
  private covered: Covered = { right: 0, bottom: 0 };
  /** Pixels by which the view is on its way to the left. */
  private shift = 0;
  private readonly overlay: Overlay;
  private readonly hazards: HazardMarkers;
  private hazard: number | null = null;
  private sprites: readonly Sprite[] = [];
  /** CSS pixels of the map; asking the page each frame would make it lay itself out each time. */
  private size = { width: 0, height: 0 };
  private stale = true;
  private drawnAt = 0;
  private request = 0;
  private roads: Box | null = null;
  private fitted = false;
  private ready = false;
  private waiting: (() => void)[] = [];

  constructor(
    container: HTMLElement,
    private theme: Theme,
    private readonly hooks: MapHooks,
  ) {
    setWorkerUrl(new URL(workerUrl, location.href).href);
    const colours = stateColours(document.documentElement);
    this.map = new MapLibre({
      container,
      style: style(PALETTES[theme], colours),
      bounds: NOWHERE,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      maxPitch: 0,
      maxZoom: 19,
      minZoom: 1,
      renderWorldCopies: true,
      locale: { "Map.Title": "Map of the fleet" },
    });
    this.measure();
    this.map.on("resize", () => this.measure());
    this.overlay = new Overlay(colours, PALETTES[theme], getComputedStyle(document.body).fontFamily);
    this.map.getCanvasContainer().append(this.overlay.canvas);
    this.hazards = new HazardMarkers(this.map, (id) => this.hooks.selectHazard(id));
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.map.addControl(new AttributionControl({ compact: false }), "bottom-right");
    this.map.addControl(new ScaleControl({ unit: "metric", maxWidth: 90 }), "bottom-left");
    this.map.on("load", () => this.loaded());
    this.map.on("click", (event) => this.hooks.select(this.vehicleAt(event)));
    this.map.on("mousemove", (event) => {
      this.map.getCanvas().style.cursor = this.vehicleAt(event) === null ? "" : "pointer";
    });
    this.map.on("dragstart", () => this.hooks.dragged());
    container.dataset["moving"] = "false";
    this.map.on("movestart", () => (container.dataset["moving"] = "true"));
    this.map.on("moveend", () => {
      container.dataset["moving"] = "false";
      this.checkRoads();
    });
    this.map.on("move", () => (this.stale = true));
    this.map.on("render", () => this.draw()); // in the same frame as the map, so that vehicles stay on their road
  }

  private loaded(): void {
    this.ready = true;
    for (const work of this.waiting) work();
    this.waiting = [];
    this.request = requestAnimationFrame(this.frame);
    void loadWorld()
      .then((world) => {
        this.source("world")?.setData(world.countries);
        this.source("world-names")?.setData(world.names);
      })
      .catch((error: unknown) => console.warn("the map goes without countries:", error));
  }

  /** Runs now, or when the style is there. */
  private whenReady(work: () => void): void {
    if (this.ready) work();
    else this.waiting.push(work);
  }

  destroy(): void {
    cancelAnimationFrame(this.request);
    this.map.remove();
  }

  setTheme(theme: Theme): void {
    if (theme === this.theme) return;
    this.theme = theme;
    const colours = stateColours(document.documentElement);
    this.overlay.setColours(colours, PALETTES[theme]);
    this.stale = true;
    this.whenReady(() => {
      for (const layer of layers(PALETTES[theme], colours)) {
        for (const [property, value] of Object.entries(layer.paint ?? {})) {
          this.map.setPaintProperty(layer.id, property as never, value as never);
        }
      }
    });
  }

  setRoads(roads: GeoJSON.FeatureCollection): void {
    this.whenReady(() => {
      this.source("roads")?.setData(roads);
      this.roads = boxOfGeometry(roads);
      if (!this.fitted && this.roads !== null) this.fit(this.roads, false);
      this.checkRoads();
    });
  }

  /** Takes the fleet as it is now; positions glide to their new place. */
  setFleet(fleet: Fleet): void {
    if (fleet === this.fleet) return;
    const now = performance.now();
    const before = this.fleet;
    this.fleet = fleet;
    this.stale = true;
    for (const vehicle of fleet.vehicles.values()) {
      const { position } = vehicle;
      if (position === null || before.vehicles.get(vehicle.id)?.position === position) continue;
      this.motion.put(vehicle.id, position, now, !this.reduced.matches);
    }
    for (const id of before.vehicles.keys()) if (!fleet.vehicles.has(id)) this.motion.forget(id);
    if (!this.fitted) this.fitFleet(false);
  }

  /** Vehicles outside of `shown` are drawn faint; null: none is. */
  setShown(shown: ReadonlySet<string> | null): void {
    this.shown = shown;
    this.stale = true;
  }

  setSelected(id: string | null, follow: boolean): void {
    const appeared = id !== this.selected;
    this.selected = id;
    this.following = follow;
    this.stale = true;
    if (id !== null && appeared && !follow) this.reveal(id);
    if (id !== null && follow) this.centre(id, Math.max(this.map.getZoom(), 15));
  }

  /** The hazards to show; the chosen one is brought into view once. */
  setHazards(hazards: readonly ShownHazard[], chosen: number | null): void {
    this.hazards.set(hazards, chosen);
    const appeared = chosen !== this.hazard;
    this.hazard = chosen;
    const found = hazards.find(({ hazard }) => hazard.id === chosen)?.hazard;
    if (!appeared || found === undefined) return;
    const { lon, lat } = found;
    const zoom = Math.max(this.map.getZoom(), 14.5);
    this.map.easeTo({ center: [lon, lat], zoom, offset: this.offset(), duration: this.easing(500) });
  }

  setGeofences(areas: GeoJSON.FeatureCollection): void {
    this.whenReady(() => this.source("geofences")?.setData(areas));
  }

  setTrack(lines: readonly TrackLine[]): void {
    const features = lines.map(
      ({ age, coordinates }): GeoJSON.Feature => ({
        type: "Feature",
        geometry: { type: "LineString", coordinates },
        properties: { age },
      }),
    );
    this.whenReady(() => this.source("track")?.setData({ type: "FeatureCollection", features }));
  }

  /** What lies over the map. When a panel opens, what was in the middle goes to the middle of what is left. */
  setCovered(change: Partial<Covered>): void {
    const before = this.covered.right;
    this.covered = { ...this.covered, ...change };
    this.shift = (this.covered.right - before) / 2;
    if (this.shift !== 0 && this.fitted) this.map.panBy([this.shift, 0], { duration: this.easing(300) });
  }

  zoom(by: number): void {
    this.map.easeTo({ zoom: this.map.getZoom() + by, duration: this.easing(200) });
  }

  /** Shows all vehicles that are listed. */
  fitFleet(animate = true): void {
    const listed = [...this.fleet.vehicles.values()].filter(({ id }) => this.shown === null || this.shown.has(id));
    const box = boxOf(listed);
    if (box !== null) this.whenReady(() => this.fit(box, animate));
    if (box !== null) this.fitted = true;
  }

  private fit(box: Box, animate: boolean): void {
    const margin = 0.1 * Math.min(600, this.size.width, this.size.height * (1 - this.covered.bottom));
    const padding = this.padded(margin);
    this.map.fitBounds(box, { padding, maxZoom: 15.2, duration: this.easing(animate ? 700 : 0) });
  }

  private padded(margin: number): PaddingOptions {
    const bottom = this.covered.bottom * this.size.height;
    return { top: margin, right: this.covered.right + margin, bottom: bottom + margin, left: margin };
  }

  /** Brings a vehicle into the part of the map that nothing covers, if it is not there. */
  private reveal(id: string): void {
    const pose = this.motion.pose(id, performance.now());
    if (pose === null) return;
    const point = this.map.project([pose.lon, pose.lat]);
    const { top = 0, right = 0, bottom = 0, left = 0 } = this.padded(40);
    const x = point.x - this.shift;
    this.shift = 0;
    const inside = x > left && x < this.size.width - right && point.y > top && point.y < this.size.height - bottom;
    if (!inside || this.map.getZoom() < 10) this.centre(id, Math.max(this.map.getZoom(), 13.5));
  }

  private centre(id: string, zoom: number): void {
    const pose = this.motion.pose(id, performance.now());
    if (pose === null) return;
    this.map.easeTo({ center: [pose.lon, pose.lat], zoom, offset: this.offset(), duration: this.easing(500) });
  }

  /** From the middle of the map to the middle of what is not covered. */
  private offset(): [number, number] {
    const { top = 0, right = 0, bottom = 0, left = 0 } = this.padded(0);
    return [(left - right) / 2, (top - bottom) / 2];
  }

  private easing(ms: number): number {
    return this.reduced.matches ? 0 : ms;
  }

  private readonly frame = (): void => {
    this.request = requestAnimationFrame(this.frame);
    const now = performance.now();
    const due = this.stale || this.motion.moving(this.drawnAt);
    if (due && now - this.drawnAt >= interval(this.fleet.vehicles.size)) this.draw();
  };

  private draw(): void {
    const now = performance.now();
    if (this.following) this.keepUp(now);
    const view = this.view();
    this.sprites = spritesOf(this.fleet, this.motion, now, view, this.shown, this.selected);
    this.overlay.draw(this.sprites, view, this.selected);
    this.stale = false;
    this.drawnAt = now;
  }

  /** Moves the map with the vehicle that is followed. */
  private keepUp(now: number): void {
    const pose = this.selected === null ? null : this.motion.pose(this.selected, now);
    if (pose === null || this.map.isMoving()) return;
    const point = this.map.project([pose.lon, pose.lat]);
    const [right, down] = this.offset();
    const x = point.x - this.size.width / 2 - right;
    const y = point.y - this.size.height / 2 - down;
    if (Math.hypot(x, y) > 0.5) this.map.panBy([x, y], { duration: 0 });
  }

  private measure(): void {
    const { clientWidth, clientHeight } = this.map.getContainer();
    this.size = { width: clientWidth, height: clientHeight };
    this.stale = true;
  }

  private checkRoads(): void {
    const bounds = this.map.getBounds();
    const seen: Box = [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
    const off = this.roads !== null && this.map.getZoom() > STREET_ZOOM && !meet(seen, this.roads);
    this.hooks.offRoads(off);
  }

  private view(): View {
    const { lng, lat } = this.map.getCenter();
    return { lon: lng, lat, zoom: this.map.getZoom(), ...this.size };
  }

  private vehicleAt({ point }: MapMouseEvent): string | null {
    return spriteAt(this.sprites, point.x, point.y, REACH)?.id ?? null;
  }

  private source(id: string): GeoJSONSource | undefined {
    return this.map.getSource<GeoJSONSource>(id);
  }
}
