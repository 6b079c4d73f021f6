/**
 * Smooth motion. Positions come about once a second; between two of them a vehicle is drawn on the way
 * from where it was drawn to where it is now known to be. Pure: time is passed in.
 */

export interface Pose {
  readonly lon: number;
  readonly lat: number;
  /** Degrees from north, null when not known. */
  readonly heading: number | null;
}

interface Leg {
  readonly from: Pose;
  readonly to: Pose;
  readonly start: number;
  readonly duration: number;
}

/** A leg takes as long as the vehicle's last two positions were apart, within these bounds. */
const SHORTEST_MS = 150;
const LONGEST_MS = 2500;
/** Degrees; farther than this is a jump, not a drive (about 1 km north to south). */
const JUMP_DEG = 0.01;

export class Motion {
  private readonly legs = new Map<string, Leg>();
  private busyUntil = 0;

  /** Sends a vehicle on its way; `glide` false puts it there at once. */
  put(id: string, to: Pose, now: number, glide: boolean): void {
    const last = this.legs.get(id);
    const from = last && this.poseOf(last, now);
    const far = !from || Math.abs(from.lat - to.lat) > JUMP_DEG || Math.abs(from.lon - to.lon) > JUMP_DEG * 2;
    if (!last || far || !glide) {
      this.legs.set(id, { from: to, to, start: now, duration: 0 });
      return;
    }
    const duration = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, now - last.start));
    this.legs.set(id, { from, to, start: now, duration });
    this.busyUntil = Math.max(this.busyUntil, now + duration);
  }

  forget(id: string): void {
    this.legs.delete(id);
  }

  pose(id: string, now: number): Pose | null {
    const leg = this.legs.get(id);
    return leg ? this.poseOf(leg, now) : null;
  }

  /** Whether any vehicle is still on its way. */
  moving(now: number): boolean {
    return now < this.busyUntil;
  }

  private poseOf(leg: Leg, now: number): Pose {
    const part = leg.duration === 0 ? 1 : Math.min(1, Math.max(0, (now - leg.start) / leg.duration));
    if (part === 1) return leg.to;
    return {
      lon: leg.from.lon + (leg.to.lon - leg.from.lon) * part,
      lat: leg.from.lat + (leg.to.lat - leg.from.lat) * part,
      heading: turn(leg.from.heading, leg.to.heading, part),
    };
  }
}

/** Between two headings the shorter way round. */
export function turn(from: number | null, to: number | null, part: number): number | null {
  if (from === null || to === null) return to;
  const difference = ((to - from + 540) % 360) - 180;
  return (from + difference * part + 360) % 360;
}
