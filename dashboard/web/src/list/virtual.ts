/** Which rows of a long list are worth drawing. Pure. */

export interface Window {
  readonly first: number;
  /** One past the last. */
  readonly end: number;
}

/** The rows in view and `spare` more on both sides. */
export function windowOf(scrollTop: number, height: number, rowHeight: number, count: number, spare = 8): Window {
  const first = Math.max(0, Math.min(count, Math.floor(scrollTop / rowHeight) - spare));
  const end = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + spare);
  return { first, end: Math.max(first, end) };
}

/** Where to scroll so that a row is wholly in view; null when it is already. */
export function scrollTo(row: number, scrollTop: number, height: number, rowHeight: number): number | null {
  const top = row * rowHeight;
  if (top < scrollTop) return top;
  if (top + rowHeight > scrollTop + height) return top + rowHeight - height;
  return null;
}
