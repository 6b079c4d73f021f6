/** The map's colours. The states have the page's own (styles/theme.css), read from it. */

import { STATES } from "../api/types";
import type { State } from "../api/types";
import type { Theme } from "../ui/theme";

export interface Palette {
  readonly land: string;
  readonly water: string;
  readonly park: string;
  readonly building: string;
  readonly border: string;
  readonly road: string;
  readonly major: string;
  readonly casing: string;
  readonly majorCasing: string;
  readonly path: string;
  readonly name: string;
  readonly halo: string;
}

export const PALETTES: Readonly<Record<Theme, Palette>> = {
  light: {
    land: "#f1f1ee",
    water: "#cfdde6",
    park: "#dfe8da",
    building: "#e6e5e1",
    border: "#c3c6c8",
    road: "#ffffff",
    major: "#fdf3dd",
    casing: "#d9d9d5",
    majorCasing: "#dccfa9",
    path: "#dcdad5",
    name: "#7a7f85",
    halo: "#ffffff",
  },
  dark: {
    land: "#191e25",
    water: "#11293c",
    park: "#1c2b24",
    building: "#20262e",
    border: "#3a444f",
    road: "#3a4450",
    major: "#53606f",
    casing: "#11161b",
    majorCasing: "#0f1419",
    path: "#2a323b",
    name: "#9aa6b4",
    halo: "#161b21",
  },
};

export interface StateColours {
  readonly states: Readonly<Record<State, string>>;
  /** What is drawn on a state's colour. */
  readonly on: string;
  readonly surface: string;
  readonly accent: string;
  readonly text: string;
}

/** The page's own colours, so that map and list cannot differ. */
export function stateColours(root: HTMLElement): StateColours {
  const style = getComputedStyle(root);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const states = Object.fromEntries(STATES.map((state) => [state, colour(`--${state}`)]));
  return {
    states: states as Record<State, string>,
    on: colour("--on-state"),
    surface: colour("--surface"),
    accent: colour("--accent"),
    text: colour("--text"),
  };
}
