import type { ComponentChildren, JSX } from "preact";
import { useRef } from "preact/hooks";
import { useModel } from "./model";

const LEAST = 0.14;
const MIDDLE = 0.46;
const MOST = 0.86;

/** The list: a column beside the map, or, on a phone, a sheet over its lower part that can be pulled up. */
export function Sheet({ children }: { children: ComponentChildren }): JSX.Element {
  const { sheet } = useModel();
  const part = sheet.value;
  const grip = useRef<{ y: number; part: number; moved: boolean } | null>(null);
  const clamp = (value: number): number => Math.min(MOST, Math.max(LEAST, value));
  return (
    <div class="sheet">
      <button
        type="button"
        class="grip"
        aria-label={part > 0.6 ? "Make the list smaller" : "Make the list larger"}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          grip.current = { y: event.clientY, part, moved: false };
        }}
        onPointerMove={(event) => {
          if (grip.current === null) return;
          const moved = (grip.current.y - event.clientY) / innerHeight;
          if (Math.abs(moved) > 0.01) grip.current.moved = true;
          if (grip.current.moved) sheet.value = clamp(grip.current.part + moved);
        }}
        onClick={() => {
          if (!grip.current?.moved) sheet.value = part > 0.6 ? MIDDLE : MOST;
          grip.current = null;
        }}
      />
      {children}
    </div>
  );
}
