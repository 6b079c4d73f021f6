import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useModel } from "../app/model";
import { Icon } from "../ui/icons";

/** Finds by name, region or reason; `/` comes here from anywhere. */
export function Search({ onDown }: { onDown: () => void }): JSX.Element {
  const model = useModel();
  const input = useRef<HTMLInputElement>(null);
  const filter = model.filter.value;
  const set = (text: string): void => {
    model.filter.value = { ...model.filter.peek(), text };
  };

  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  return (
    <div class="search">
      <Icon name="search" size={16} />
      <input
        ref={input}
        type="search"
        placeholder="Search vehicle, region, reason"
        aria-label="Search vehicles"
        aria-keyshortcuts="/"
        autocomplete="off"
        spellcheck={false}
        value={filter.text}
        onInput={(event) => set(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") {
            event.preventDefault();
            onDown();
          } else if (event.key === "Escape" && filter.text !== "") {
            event.stopPropagation();
            set("");
          }
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
  );
}
