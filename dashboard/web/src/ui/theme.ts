/** Light or dark: as the system says, unless the viewer chose. */

import { computed, effect, signal } from "@preact/signals";
import type { ReadonlySignal, Signal } from "@preact/signals";

export type Theme = "light" | "dark";
export type Choice = Theme | "auto";

const KEY = "fleetcell.theme";

export interface Themes {
  readonly choice: Signal<Choice>;
  readonly theme: ReadonlySignal<Theme>;
}

export function watchTheme(root: HTMLElement, storage: Storage, query: MediaQueryList): Themes {
  const system = signal<Theme>(query.matches ? "dark" : "light");
  query.addEventListener("change", () => (system.value = query.matches ? "dark" : "light"));
  const stored = storage.getItem(KEY);
  const choice = signal<Choice>(stored === "light" || stored === "dark" ? stored : "auto");
  const theme = computed<Theme>(() => (choice.value === "auto" ? system.value : choice.value));
  effect(() => {
    root.dataset["theme"] = theme.value;
    if (choice.value === "auto") storage.removeItem(KEY);
    else storage.setItem(KEY, choice.value);
  });
  return { choice, theme };
}
