import { effect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import "maplibre-gl/dist/maplibre-gl.css";
import { useModel } from "../app/model";
import type { Model } from "../app/model";
import { shownAt } from "../hazards/hazards";
import { AlertList } from "../geofences/alert-list";
import { areasOf } from "../geofences/areas";
import { HazardList } from "../hazards/hazard-list";
import { Icon } from "../ui/icons";
import { FleetMap } from "./fleet-map";

/** Pixels that the panel covers at the right. */
const PANEL_WIDTH = 420;

/** The map fills its box; buttons for what mouse and touch do. */
export function MapView(): JSX.Element {
  const model = useModel();
  const box = useRef<HTMLDivElement>(null);
  const [map, setMap] = useState<FleetMap | null>(null);
  const [offRoads, setOffRoads] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);

  useEffect(() => {
    if (box.current === null) return undefined;
    try {
      const made = new FleetMap(box.current, model.themes.theme.peek(), {
        select: (id) => model.select(id),
        selectHazard: (id) => model.showHazard(id),
        offRoads: setOffRoads,
        dragged: () => (model.following.value = false),
      });
      setMap(made);
      const stop = connect(made, model);
      return () => {
        for (const end of stop) end();
        made.destroy();
      };
    } catch (error) {
      // Without WebGL there is no map, but list and panel say all the same.
      setFailure(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }, [model]);

  return (
    <section class="map" aria-label="Map">
      <div class="map-canvas" ref={box} />
      {failure !== null && (
        <p class="map-failure">
          This browser cannot draw the map (it needs WebGL 2). The list shows every vehicle all the same.
        </p>
      )}
      {offRoads && failure === null && (
        <p class="map-note">
          No streets here: the road file of this server covers another place. <code>fleetcell sim roads build</code>{" "}
          makes one of any region.
        </p>
      )}
      <div class="map-buttons">
        <button type="button" title="Zoom in" aria-label="Zoom in" onClick={() => map?.zoom(1)}>
          <Icon name="plus" />
        </button>
        <button type="button" title="Zoom out" aria-label="Zoom out" onClick={() => map?.zoom(-1)}>
          <Icon name="minus" />
        </button>
        <button
          type="button"
          title="Fit the listed vehicles"
          aria-label="Fit the listed vehicles"
          onClick={() => {
            model.following.value = false;
            map?.fitFleet();
          }}
        >
          <Icon name="fit" />
        </button>
      </div>
      <div class="map-notices">
        <AlertList />
        <HazardList />
      </div>
    </section>
  );
}

/** Keeps the map up with the model; the returned functions end that. */
function connect(map: FleetMap, model: Model): (() => void)[] {
  const wide = matchMedia("(min-width: 60rem)");
  // Positions come faster than they are published to the list, so the map looks for itself.
  const look = window.setInterval(() => map.setFleet(model.fleet), 50);
  return [
    () => window.clearInterval(look),
    effect(() => map.setTrack(model.track.value)),
    effect(() => map.setTheme(model.themes.theme.value)),
    effect(() => {
      if (model.roads.value) map.setRoads(model.roads.value);
    }),
    effect(() => {
      const { text, states } = model.filter.value;
      map.setShown(text.trim() === "" && states.size === 0 ? null : new Set(model.ids.value));
    }),
    effect(() => map.setCovered({ bottom: wide.matches ? 0 : model.sheet.value })),
    effect(() => map.setGeofences(areasOf(model.geofences.value))),
    effect(() => map.setHazards(shownAt(model.hazards.value ?? [], model.now.value), model.hazard.value)),
    effect(() => {
      const open = model.selected.value !== null;
      map.setCovered({ right: open && wide.matches ? PANEL_WIDTH : 0 });
      map.setSelected(model.selected.value, model.following.value);
    }),
  ];
}
