/** The state of the page in one place: what was heard, what is looked at, and what follows from both. */

import { batch, computed, signal } from "@preact/signals";
import type { ReadonlySignal, Signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Api, FleetHealth } from "../api/client";
import type { Alert, Frame, Geofence, Hazard, Session, SignalInfo, Vehicle } from "../api/types";
import { ServerClock } from "../live/clock";
import type { Link } from "../live/connection";
import { EMPTY, merge, reduce } from "../store/fleet";
import type { Fleet } from "../store/fleet";
import { NO_FILTER, counts, listed } from "../store/select";
import type { Counts, Filter } from "../store/select";
import type { TrackLine } from "../panel/history";
import type { Themes } from "../ui/theme";

/** Positions reach the list this often; changes of state at once. */
const CALM_MS = 250;

export class Model {
  /** The newest; the map looks at it each frame. */
  fleet: Fleet = EMPTY;
  /** The same, published for reading: at once for states, a few times a second for positions. */
  readonly shown: Signal<Fleet> = signal(EMPTY);
  readonly filter: Signal<Filter> = signal(NO_FILTER);
  readonly selected: Signal<string | null> = signal(null);
  readonly following: Signal<boolean> = signal(false);
  readonly link: Signal<Link> = signal({ kind: "connecting" });
  /** Monotonic time of the last frame. */
  readonly heardAt: Signal<number | null> = signal(null);
  /** Seconds by which the server's own view of presence is behind. */
  readonly presenceLag: Signal<number> = signal(0);
  /** The server's time, ticking. */
  readonly now: Signal<number>;
  readonly health: Signal<FleetHealth | null> = signal(null);
  readonly session: Signal<Session | null> = signal(null);
  readonly catalogue: Signal<ReadonlyMap<string, SignalInfo>> = signal(new Map());
  readonly roads: Signal<GeoJSON.FeatureCollection | null> = signal(null);
  /** Part of the height that the list covers on a phone. */
  readonly sheet: Signal<number> = signal(0.46);
  /** Where the selected vehicle was in the last half hour. */
  readonly track: Signal<readonly TrackLine[]> = signal([]);
  /** What vehicles warn each other of: what holds, and what was over a moment ago; null: not read yet. */
  readonly hazards: Signal<readonly Hazard[] | null> = signal(null);
  /** The hazard that is looked at. */
  readonly hazard: Signal<number | null> = signal(null);
  readonly hazardsOpen: Signal<boolean> = signal(false);
  readonly geofences: Signal<readonly Geofence[]> = signal([]);
  /** Alerts of the last day, the newest first; null: not read yet. */
  readonly alerts: Signal<readonly Alert[] | null> = signal(null);
  readonly alertsOpen: Signal<boolean> = signal(false);
  /** Frames or parts of frames that made no sense. */
  readonly problems: Signal<number> = signal(0);

  readonly roster: ReadonlySignal<number> = computed(() => this.shown.value.roster);
  readonly ids: ReadonlySignal<readonly string[]> = computed(() => {
    this.roster.value; // sorting depends on states and names, not on positions
    return listed(this.shown.peek(), this.filter.value);
  });
  readonly counts: ReadonlySignal<Counts> = computed(() => {
    this.roster.value;
    return counts(this.shown.peek());
  });

  private readonly clock = new ServerClock();
  private publishing: number | null = null;

  constructor(
    readonly api: Api,
    readonly themes: Themes,
  ) {
    this.now = signal(Date.now());
  }

  /** Milliseconds since the epoch, by the server. */
  serverNow(): number {
    return this.clock.now(performance.now(), Date.now());
  }

  tick(): void {
    this.now.value = this.serverNow();
  }

  connected(): void {
    this.clock.reset();
  }

  take(frame: Frame): void {
    const monotonic = performance.now();
    this.heardAt.value = monotonic;
    if ((frame.type === "time" || frame.type === "snapshot") && frame.serverTime !== null) {
      this.clock.observe(frame.serverTime, monotonic);
    }
    if (frame.type === "time") this.presenceLag.value = frame.lagSeconds;
    this.put(reduce(this.fleet, frame));
  }

  /** What the API answered about one vehicle. */
  takeVehicle(vehicle: Vehicle): void {
    this.put(merge(this.fleet, vehicle));
  }

  select(id: string | null): void {
    batch(() => {
      this.selected.value = id;
      if (id === null) this.following.value = false;
    });
  }

  /** Shows a hazard on the map and in the list of them. */
  showHazard(id: number): void {
    batch(() => {
      this.hazard.value = id;
      this.hazardsOpen.value = true;
      this.following.value = false;
    });
  }

  /** An alert as it is now. */
  takeAlert(alert: Alert): void {
    this.alerts.value = this.alerts.value?.map((one) => (one.id === alert.id ? alert : one)) ?? null;
  }

  private put(fleet: Fleet): void {
    const urgent = fleet.roster !== this.fleet.roster;
    this.fleet = fleet;
    if (urgent) this.publish();
    else this.publishing ??= window.setTimeout(() => this.publish(), CALM_MS);
  }

  private publish(): void {
    if (this.publishing !== null) window.clearTimeout(this.publishing);
    this.publishing = null;
    batch(() => {
      this.shown.value = this.fleet;
      this.tick();
    });
  }
}

const Context = createContext<Model | null>(null);
export const ModelProvider = Context.Provider;

export function useModel(): Model {
  const model = useContext(Context);
  if (model === null) throw new Error("no model above this component");
  return model;
}
