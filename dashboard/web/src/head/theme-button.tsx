import type { JSX } from "preact";
import { useModel } from "../app/model";
import { Icon } from "../ui/icons";
import type { Choice } from "../ui/theme";

const NEXT: Readonly<Record<Choice, Choice>> = { auto: "light", light: "dark", dark: "auto" };
const WORDS: Readonly<Record<Choice, string>> = { auto: "as the system", light: "light", dark: "dark" };
const ICONS = { auto: "auto", light: "sun", dark: "moon" } as const;

export function ThemeButton(): JSX.Element {
  const { choice } = useModel().themes;
  const label = `Colours: ${WORDS[choice.value]}. Change to ${WORDS[NEXT[choice.value]]}`;
  return (
    <button
      type="button"
      class="icon-button"
      title={label}
      aria-label={label}
      onClick={() => (choice.value = NEXT[choice.peek()])}
    >
      <Icon name={ICONS[choice.value]} />
    </button>
  );
}
