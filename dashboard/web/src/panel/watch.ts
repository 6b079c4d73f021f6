/** Everything about the selected vehicle that the live feed does not carry, fetched while it is looked at. */

import { batch, signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import { ApiError } from "../api/client";
import type { Command, Delivery, PresenceEvent, TrackPoint, VehicleEvent } from "../api/types";
import type { Model } from "../app/model";
import { isUnderWay } from "./command-words";
import { HALF_HOUR_MS, TRACK_KEYS, append, joined, pointOf, trackLines } from "./history";

const LATEST_MS = 2000;
const DELIVERY_MS = 10_000;
const COMMANDS_MS = 1000;
const EVENTS_MS = 5000;
const CHANGES = 12;
const COMMANDS = 5;
const EVENTS = 8;

export class VehicleWatch {
  readonly points: Signal<readonly TrackPoint[]> = signal([]);
  readonly history: Signal<readonly PresenceEvent[] | null> = signal(null);
  readonly delivery: Signal<Delivery | null> = signal(null);
  readonly commands: Signal<readonly Command[] | null> = signal(null);
  readonly events: Signal<readonly VehicleEvent[] | null> = signal(null);
  readonly failure: Signal<string | null> = signal(null);
  readonly gone: Signal<boolean> = signal(false);
  /** Whether the stored half hour was read. */
  readonly loaded: Signal<boolean> = signal(false);
  /** End of the half hour that is shown, null while it is the one until now. */
  readonly until: Signal<number | null> = signal(null);

  private readonly abort = new AbortController();
  private readonly timers: number[] = [];
  private cursor: number | null = null;

  constructor(
    private readonly model: Model,
    private readonly id: string,
  ) {}

  /** Starts the polls; returns what ends them. */
  run(): () => void {
    void this.start();
    return () => {
      this.abort.abort();
      for (const timer of this.timers) window.clearInterval(timer);
      this.model.track.value = [];
    };
  }

  private async start(): Promise<void> {
    await this.latest();
    await Promise.all([this.track(), this.presence(), this.ledger(), this.recent(), this.reported()]);
    if (this.abort.signal.aborted) return;
    this.timers.push(
      window.setInterval(() => this.live(), 500),
      window.setInterval(() => void this.latest(), LATEST_MS),
      window.setInterval(() => void this.ledger(), DELIVERY_MS),
      window.setInterval(() => this.followCommands(), COMMANDS_MS),
      window.setInterval(() => void this.reported(), EVENTS_MS),
    );
  }

  /** Queues a command; the list then shows what becomes of it. Throws what the server said against it. */
  async send(name: string, args: Readonly<Record<string, unknown>>): Promise<void> {
    await this.model.api.command(this.id, name, args);
    await this.recent();
  }

  /** Calls a command off. Throws what the server said against it. */
  async cancel(id: string): Promise<void> {
    await this.model.api.cancelCommand(id);
    await this.recent();
  }

  /** Takes what the feed says of this vehicle. */
  private live(): void {
    const vehicle = this.model.fleet.vehicles.get(this.id);
    if (vehicle === undefined) return;
    const cursor = vehicle.registration?.cursor ?? null;
    if (cursor !== this.cursor) void this.presence();
    const point = pointOf(vehicle);
    if (point === null || !this.loaded.peek()) return;
    const points = append(this.points.peek(), point);
    if (points === this.points.peek()) return;
    this.until.value = null;
    this.show(points);
  }

  private show(points: readonly TrackPoint[]): void {
    batch(() => {
      this.points.value = points;
      this.model.track.value = trackLines(points);
    });
  }

  private async latest(): Promise<void> {
    if (document.hidden) return;
    await this.attempt(async (signal) => this.model.takeVehicle(await this.model.api.vehicle(this.id, signal)));
  }

  /** The half hour until now, or, of a vehicle that was silent since, until its last reading. */
  private async track(): Promise<void> {
    const now = this.model.serverNow();
    const vehicle = this.model.fleet.vehicles.get(this.id);
    const newest = vehicle ? pointOf(vehicle)?.time : undefined;
    const silent = newest !== undefined && now - newest > HALF_HOUR_MS;
    const end = silent ? newest : now;
    await this.attempt(async (signal) => {
      const stored = await this.model.api.track(this.id, TRACK_KEYS, end - HALF_HOUR_MS, end + 60_000, signal);
      batch(() => {
        this.show(joined(stored, this.points.peek()));
        this.until.value = silent ? end : null;
        this.loaded.value = true;
      });
    });
  }

  private async presence(): Promise<void> {
    this.cursor = this.model.fleet.vehicles.get(this.id)?.registration?.cursor ?? null;
    await this.attempt(async (signal) => {
      this.history.value = await this.model.api.presence(this.id, CHANGES, signal);
    });
  }

  private async ledger(): Promise<void> {
    if (document.hidden) return;
    await this.attempt(async (signal) => {
      this.delivery.value = await this.model.api.delivery(this.id, signal);
    });
  }

  private followCommands(): void {
    if (this.commands.peek()?.some((command) => isUnderWay(command.state)) !== false) void this.recent();
  }

  private async recent(): Promise<void> {
    if (document.hidden) return;
    await this.attempt(async (signal) => {
      this.commands.value = await this.model.api.commands(this.id, COMMANDS, signal);
    });
  }

  private async reported(): Promise<void> {
    if (document.hidden) return;
    await this.attempt(async (signal) => {
      this.events.value = await this.model.api.events(this.id, EVENTS, signal);
    });
  }

  private async attempt(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    try {
      await work(this.abort.signal);
      this.failure.value = null;
    } catch (error) {
      if (this.abort.signal.aborted) return;
      this.gone.value = error instanceof ApiError && error.status === 404;
      this.failure.value = error instanceof Error ? error.message : String(error);
    }
  }
}
