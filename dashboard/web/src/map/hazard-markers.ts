/** The hazards on the map: a sign each, which can be clicked. Keyboards have the list. */

import { Marker } from "maplibre-gl";
import type { Map as MapLibre } from "maplibre-gl";
import type { Hazard } from "../api/types";
import type { ShownHazard } from "../hazards/hazards";
import { hazardWord } from "../hazards/hazards";
import { HAZARD_SIGN } from "../ui/shapes";

const SVG = "http://www.w3.org/2000/svg";

export class HazardMarkers {
  private readonly markers = new Map<number, Marker>();

  constructor(
    private readonly map: MapLibre,
    private readonly select: (id: number) => void,
  ) {}

  set(hazards: readonly ShownHazard[], chosen: number | null): void {
    const wanted = new Set(hazards.map(({ hazard }) => hazard.id));
    for (const [id, marker] of this.markers) {
      if (wanted.has(id)) continue;
      marker.remove();
      this.markers.delete(id);
    }
    for (const { hazard, over } of hazards) {
      const marker = this.markers.get(hazard.id) ?? this.add(hazard);
      const { lng, lat } = marker.getLngLat();
      if (lng !== hazard.lon || lat !== hazard.lat) marker.setLngLat([hazard.lon, hazard.lat]); // it was updated
      const element = marker.getElement();
      element.title = hazardWord(hazard.kind);
      element.dataset["hazardSign"] = hazard.kind;
      element.classList.toggle("over", over);
      element.classList.toggle("chosen", hazard.id === chosen);
    }
  }

  private add({ id, lon, lat }: Hazard): Marker {
    const element = document.createElement("div");
    element.className = "hazard-marker";
    element.append(drawn());
    element.addEventListener("click", (event) => {
      event.stopPropagation(); // no click on the map below
      this.select(id);
    });
    const marker = new Marker({ element }).setLngLat([lon, lat]).addTo(this.map);
    this.markers.set(id, marker);
    return marker;
  }
}

function drawn(): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "hazard-sign");
  for (const [name, d] of Object.entries(HAZARD_SIGN)) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", `hazard-${name}`);
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}
