import type { ComponentChildren, JSX } from "preact";
import { useRef } from "preact/hooks";
import { grouped } from "./format";

/** A count over the map, and behind it the list, which is made while it is open. */
export function Notices({
  noun,
  icon,
  count,
  label,
  open,
  onOpen,
  onClose,
  children,
}: {
  noun: "alert" | "hazard";
  icon: JSX.Element;
  count: number;
  label: string;
  open: boolean;
  onOpen: () => void;
  onClose: () => void;
  children: ComponentChildren;
}): JSX.Element {
  const opener = useRef<HTMLButtonElement>(null);
  const close = (): void => {
    onClose();
    opener.current?.focus();
  };
  return (
    <div
      class="notices"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.preventDefault(); // the panel of a vehicle stays
        close();
      }}
    >
      <button
        type="button"
        class={count === 0 ? "notices-count none" : "notices-count"}
        ref={opener}
        aria-expanded={open}
        aria-controls={`${noun}-list`}
        {...{ [`data-${noun}s`]: count }}
        onClick={open ? close : onOpen}
      >
        {icon}
        <b>{grouped(count)}</b>
        <span>{count === 1 ? noun : `${noun}s`}</span>
      </button>
      {open && (
        <section class="notices-box" id={`${noun}-list`} aria-label={label}>
          {children}
        </section>
      )}
    </div>
  );
}
