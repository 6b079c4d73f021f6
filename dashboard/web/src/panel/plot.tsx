import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useModel } from "../app/model";
import { HALF_HOUR_MS } from "./history";
import type { Series } from "./history";

interface Props {
  readonly label: string;
  readonly unit: string;
  readonly colour: string;
  readonly data: Series;
  /** Milliseconds; the right edge. */
  readonly until: number;
  /** The value axis has at least this range, or just this one. */
  readonly low: number;
  readonly high: number;
  readonly fixed?: boolean;
}

const HEIGHT = 132;

/** One signal over the last half hour. */
export function Plot({ label, unit, colour, data, until, low, high, fixed = false }: Props): JSX.Element {
  const { theme } = useModel().themes;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const end = useRef(until);
  end.current = until;

  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const range: uPlot.Range.Function = (_, min, max) =>
      fixed ? [low, high] : [Math.min(low, min ?? low), Math.max(high, (max ?? high) * 1.05)];
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
        padding: [8, 8, 0, 0],
        scales: {
          x: { time: true, range: () => [(end.current - HALF_HOUR_MS) / 1000, end.current / 1000] },
          y: { range },
        },
        axes: axes(unit),
        series: [
          {},
          { label, stroke: css(colour), fill: css(`${colour}-soft`), width: 1.8, points: { show: false }, spanGaps: false },
        ],
        hooks: { setCursor: [(self) => showValue(self, element, unit)] },
      },
      [[], []],
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [label, unit, colour, low, high, fixed, theme.value]);

  useEffect(() => plot.current?.setData([data.times, data.values]), [data, until, theme.value, label]);

  const newest = data.values.at(-1);
  return (
    <figure class="plot">
      <figcaption>
        <span>{label}</span>
        <output class="plot-value" />
      </figcaption>
      <div
        ref={box}
        role="img"
        aria-label={`${label}, last 30 minutes${typeof newest === "number" ? `, now ${newest.toFixed(1)} ${unit}` : ""}`}
      />
    </figure>
  );
}

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function axes(unit: string): uPlot.Axis[] {
  const font = `11px ${css("--font")}`;
  const common = { font, stroke: css("--text-3"), ticks: { show: false } } as const;
  const grid = { stroke: css("--line"), width: 1 };
  return [
    {
      ...common,
      grid: { show: false },
      size: 24,
      space: 70,
      values: (_, times) => times.map((time) => new Date(time * 1000).toTimeString().slice(0, 5)),
    },
    {
      ...common,
      grid,
      size: 62,
      space: 30,
      values: (_, values) => values.map((value) => `${value} ${unit}`),
    },
  ];
}

/** The value under the pointer, in the caption. */
function showValue(plot: uPlot, box: HTMLElement, unit: string): void {
  const output = box.parentElement?.querySelector("output");
  if (!output) return;
  const index = plot.cursor.idx;
  const time = index === null || index === undefined ? undefined : plot.data[0][index];
  const value = index === null || index === undefined ? undefined : plot.data[1]?.[index];
  const inside = (plot.cursor.left ?? -1) >= 0 && typeof value === "number" && time !== undefined;
  output.textContent = inside ? `${new Date(time * 1000).toTimeString().slice(0, 8)}  ${value.toFixed(1)} ${unit}` : "";
}
