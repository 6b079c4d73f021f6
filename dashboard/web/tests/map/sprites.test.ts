import { describe, expect, test } from "vitest";
import { Motion } from "../../src/map/motion";
import { projector, scaleAt, spriteAt, spritesOf } from "../../src/map/sprites";
import type { View } from "../../src/map/sprites";
import { EMPTY, reduce } from "../../src/store/fleet";
import { position, registration, vehicle } from "../build";

const VIEW: View = { lon: 24.94, lat: 60.17, zoom: 14, width: 800, height: 600 };

const FLEET = reduce(EMPTY, {
  type: "snapshot",
  cursor: "c",
  serverTime: null,
  vehicles: [
    vehicle("lost", { registration: registration("suspect", 2) }),
    vehicle("moving"),
    vehicle("still", { position: position(0, { heading: null }) }),
    vehicle("parked", { registration: registration("offline", 3) }),
    vehicle("nowhere", { position: null }),
    vehicle("elsewhere", { position: position(0, { lat: 44.5 }) }),
  ],
});

const motion = new Motion();
for (const { id, position: place } of FLEET.vehicles.values()) if (place) motion.put(id, place, 0, false);

describe("sprites", () => {
  test("those in view, suspects above the others, only an arrow is turned", () => {
    const sprites = spritesOf(FLEET, motion, 0, VIEW, null, null);
    expect(sprites.map(({ id, icon, turn }) => [id, icon, turn])).toEqual([
      ["parked", "offline", 0],
      ["moving", "online", 90],
      ["still", "online-still", 0],
      ["lost", "suspect", 0],
    ]);
    expect([sprites[0]!.x, sprites[0]!.y]).toEqual([400, 300]);
  });

  test("the selected one is drawn last and never faint", () => {
    const sprites = spritesOf(FLEET, motion, 0, VIEW, new Set(["lost"]), "parked");
    expect(sprites.map(({ id, faint }) => [id, faint])).toEqual([
      ["moving", true],
      ["still", true],
      ["lost", false],
      ["parked", false],
    ]);
  });

  test("the topmost of those nearest is clicked", () => {
    const sprites = spritesOf(FLEET, motion, 0, VIEW, null, null);
    expect(spriteAt(sprites, 405, 300, 15)?.id).toBe("lost");
    expect(spriteAt(sprites, 430, 300, 15)).toBeNull();
  });
});

describe("the projection", () => {
  test("at zoom 0 the world is 512 pixels", () => {
    const project = projector({ lon: 0, lat: 0, zoom: 0, width: 512, height: 512 });
    expect(project(0, 0)).toEqual([256, 256]);
    expect(project(90, 0)[0]).toBeCloseTo(384, 9);
    expect(project(0, 85.0511287798066)[1]).toBeCloseTo(0, 6);
  });

  test("a place beyond the 180th meridian is on the near side", () => {
    const project = projector({ lon: 179, lat: 0, zoom: 3, width: 1000, height: 500 });
    expect(project(-179, 0)[0]).toBeCloseTo(500 + (2 / 360) * 512 * 8, 6);
  });
});

test("signs grow with the zoom, without a step", () => {
  expect([0, 4, 11, 14, 17, 20].map(scaleAt)).toEqual([0.46, 0.46, 0.64, 0.88, 1.1, 1.1]);
  expect(scaleAt(12.5)).toBeCloseTo(0.76, 9);
});
