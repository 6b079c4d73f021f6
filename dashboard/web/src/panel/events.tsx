import type { JSX } from "preact";
import type { VehicleEvent } from "../api/types";
import { clock } from "../ui/format";
import { eventDetail, eventWord } from "./event-words";

/** What the vehicle reported last, newest first. */
export function Events({ events, now }: { events: readonly VehicleEvent[] | null; now: number }): JSX.Element {
  return (
    <section aria-label="Events">
      <h3>Events</h3>
      {events === null ? (
        <p class="muted">Reading…</p>
      ) : events.length === 0 ? (
        <p class="muted">It has reported none.</p>
      ) : (
        <ol class="events">
          {events.map((event) => (
            <li key={`${event.boot} ${event.seq}`} data-event={event.kind}>
              <b>{eventWord(event.kind)}</b>
              <span class="muted">{eventDetail(event)}</span>
              <time class="num" dateTime={new Date(event.time).toISOString()}>
                {clock(event.time, now)}
              </time>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
