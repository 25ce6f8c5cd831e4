interface Sample {
  at: string;
  [metric: string]: unknown;
}

interface Metrics {
  intervalSeconds: number;
  samples: Sample[];
}

const height = 190;
const left = 58;
const bottom = 24;
const top = 10;
const minute = 60_000;
/** Below this many pixels there is no room for a mark at every minute. */
const narrow = 480;
/** What the axis may span, in minutes: the shortest that holds all samples. */
const spans = [2, 5, 15];
const units = ["B", "KiB", "MiB", "GiB", "TiB"];
const svgSpace = "http://www.w3.org/2000/svg";

/** One request for all charts of a VM at a time. */
class Source {
  private static readonly sources = new Map<string, Source>();
  private readonly listeners = new Set<(metrics: Metrics) => void>();
  private timer = 0;
  private latest: Metrics | null = null;

  static of(vm: string): Source {
    const found = this.sources.get(vm) ?? new Source(vm);
    this.sources.set(vm, found);
    return found;
  }

  private constructor(private readonly vm: string) {}

  add(listener: (metrics: Metrics) => void): void {
    this.listeners.add(listener);
    if (this.latest) {
      listener(this.latest);
    }
    if (this.listeners.size === 1) {
      void this.poll();
    }
  }

  remove(listener: (metrics: Metrics) => void): void {
    this.listeners.delete(listener);
    if (this.listeners.size === 0) {
      window.clearTimeout(this.timer);
    }
  }

  private async poll(): Promise<void> {
    window.clearTimeout(this.timer);
    if (document.visibilityState === "visible") {
      try {
        const response = await fetch(`/api/v1/vms/${this.vm}/metrics`);
        if (response.ok) {
          this.latest = await response.json() as Metrics;
          this.listeners.forEach(listener => listener(this.latest!));
        }
      } catch {
        // The service is away; the next round may find it again.
      }
    }
    if (this.listeners.size > 0) {
      this.timer = window.setTimeout(() => void this.poll(), (this.latest?.intervalSeconds ?? 2) * 1000);
    }
  }
}

/** A line over the last quarter of an hour. Attributes: vm, metric, heading, unit (percent, bytes, rate or byteRate), full (what the axis reaches at least). */
export class MetricChart extends HTMLElement {
  private metrics: Metrics | null = null;
  private value: HTMLElement | null = null;
  private plot: SVGSVGElement | null = null;
  private width = 0;
  /** Drawn in the pixels that there are: text keeps its size however wide the chart is. */
  private readonly sized = new ResizeObserver(() => this.draw());
  private points: { x: number; y: number; at: number; value: number }[] = [];
  private readonly update = (metrics: Metrics): void => {
    this.metrics = metrics;
    this.draw();
  };

  connectedCallback(): void {
    const head = document.createElement("div");
    head.className = "chart-head";
    const heading = document.createElement("h2");
    heading.textContent = this.getAttribute("heading");
    this.value = document.createElement("span");
    this.value.className = "chart-value";
    head.append(heading, this.value);
    this.plot = document.createElementNS(svgSpace, "svg");
    this.plot.setAttribute("role", "img");
    this.plot.addEventListener("pointermove", event => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.draw());
    this.replaceChildren(head, this.plot);
    this.sized.observe(this.plot);
    Source.of(this.getAttribute("vm")!).add(this.update);
  }

  disconnectedCallback(): void {
    this.sized.disconnect();
    Source.of(this.getAttribute("vm")!).remove(this.update);
  }

  private draw(): void {
    const width = this.width = this.plot!.clientWidth;
    if (width === 0) {
      return;
    }
    this.plot!.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const unit = this.getAttribute("unit")!;
    const metric = this.getAttribute("metric")!;
    const now = Date.now();
    const all = (this.metrics?.samples ?? []).map(sample => ({ at: Date.parse(sample.at), value: Number(sample[metric]) }));
    const minutesShown = spans.find(minutes => all.length === 0 || all[0].at > now - minutes * minute) ?? spans[spans.length - 1];
    const span = minutesShown * minute;
    const samples = all.filter(sample => sample.at > now - span);
    const most = samples.reduce((max, sample) => Math.max(max, sample.value), 0);
    const ceiling = niceCeiling(most, unit, Number(this.getAttribute("full")));
    const x = (at: number): number => left + (1 - (now - at) / span) * (width - left);
    const y = (value: number): number => height - bottom - (value / ceiling) * (height - bottom - top);
    this.points = samples.map(sample => ({ x: x(sample.at), y: y(sample.value), ...sample }));
    const parts: string[] = [];
    for (let i = 0; i <= 4; i++) {
      const value = (ceiling * i) / 4;
      parts.push(`<line class="chart-grid" x1="${left}" x2="${width}" y1="${y(value)}" y2="${y(value)}"/>`);
      parts.push(`<text class="chart-tick" x="${left - 8}" y="${y(value) + 4}" text-anchor="end">${format(value, unit)}</text>`);
    }
    const step = minutesShown === 15 ? 5 : minutesShown === 5 && width < narrow ? 5 : 1;
    for (let i = 0; i <= minutesShown; i += step) {
      const at = x(now - i * minute);
      parts.push(`<text class="chart-tick" x="${at}" y="${height - 6}" text-anchor="${i === minutesShown ? "start" : i === 0 ? "end" : "middle"}">${i === 0 ? "now" : `−${i} min`}</text>`);
    }
    // A gap in time is a gap in the line.
    let line = "";
    let area = "";
    let start = 0;
    for (let i = 0; i < this.points.length; i++) {
      const point = this.points[i];
      const gap = i === 0 || point.at - this.points[i - 1].at > 10_000;
      if (gap && i > 0) {
        area += closed(this.points, start, i - 1);
        start = i;
      }
      line += `${gap ? "M" : "L"}${point.x.toFixed(1)} ${point.y.toFixed(1)}`;
    }
    if (this.points.length > 0) {
      area += closed(this.points, start, this.points.length - 1);
      parts.push(`<path class="chart-area" d="${area}"/><path class="chart-line" d="${line}"/>`);
      const last = this.points[this.points.length - 1];
      if (now - last.at < 10_000) {
        parts.push(`<circle class="chart-dot" cx="${last.x}" cy="${last.y}" r="3.500"/>`);
      }
    } else {
      parts.push(`<text class="chart-none" x="${(width + left) / 2}" y="${height / 2}" text-anchor="middle">${this.metrics ? "No samples in the last 15 minutes" : "Loading…"}</text>`);
    }
    parts.push(`<g class="chart-cursor"></g>`);
    this.plot!.innerHTML = parts.join("");
    this.plot!.setAttribute("aria-label", `${this.getAttribute("heading")}: ${samples.length > 0 ? format(samples[samples.length - 1].value, unit) : "no samples"}`);
    this.value!.textContent = samples.length > 0 && now - samples[samples.length - 1].at < 10_000 ? format(samples[samples.length - 1].value, unit) : "";
  }

  private point(event: PointerEvent): void {
    const bounds = this.plot!.getBoundingClientRect();
    const at = event.clientX - bounds.left;
    const near = this.points.reduce<typeof this.points[number] | null>((best, point) => !best || Math.abs(point.x - at) < Math.abs(best.x - at) ? point : best, null);
    const cursor = this.plot!.querySelector(".chart-cursor");
    if (!near || !cursor) {
      return;
    }
    const anchor = near.x > this.width - 150 ? "end" : "start";
    const text = `${format(near.value, this.getAttribute("unit")!)} · ${new Date(near.at).toLocaleTimeString()}`;
    cursor.innerHTML = `<line x1="${near.x}" x2="${near.x}" y1="${top}" y2="${height - bottom}"/><circle cx="${near.x}" cy="${near.y}" r="4"/><text x="${near.x + (anchor === "end" ? -8 : 8)}" y="${top + 12}" text-anchor="${anchor}">${text}</text>`;
  }
}

function closed(points: { x: number; y: number }[], from: number, to: number): string {
  const base = height - bottom;
  const middle = points.slice(from, to + 1).map(point => `L${point.x.toFixed(1)} ${point.y.toFixed(1)}`).join("");
  return `M${points[from].x.toFixed(1)} ${base}${middle}L${points[to].x.toFixed(1)} ${base}Z`;
}

/** The least that the axis shows, so that an idle machine's noise does not fill it. */
const least: Record<string, number> = { percent: 100, bytes: 64 * 2 ** 20, rate: 4, byteRate: 4 * 2 ** 10 };

function niceCeiling(most: number, unit: string, full: number): number {
  // All that there is fills the axis; only what is clearly more needs another.
  if (full > 0 && most <= full * 1.05) {
    return full;
  }
  const wanted = Math.max(most * 1.1, least[unit]);
  const binary = isBinary(unit);
  const power = binary ? 2 ** Math.floor(Math.log2(wanted)) : 10 ** Math.floor(Math.log10(wanted));
  return (binary ? [1, 1.25, 1.5, 2] : [1, 2, 4, 5, 10]).map(factor => factor * power).find(value => value >= wanted * 0.999)!;
}

function isBinary(unit: string): boolean {
  return unit === "bytes" || unit === "byteRate";
}

function format(value: number, unit: string): string {
  if (unit === "percent") {
    return `${trimmed(value, value < 10)} %`;
  }
  const base = isBinary(unit) ? 1024 : 1000;
  const names = isBinary(unit) ? units : ["", "k", "M", "G", "T"];
  let index = 0;
  while (value >= base && index < names.length - 1) {
    value /= base;
    index++;
  }
  return `${trimmed(value, value < 10 && (index > 0 || unit === "rate"))} ${names[index]}${unit === "rate" || unit === "byteRate" ? "/s" : ""}`.trim();
}

function trimmed(value: number, fraction: boolean): string {
  return value.toFixed(fraction ? 1 : 0).replace(/\.0$/, "");
}
