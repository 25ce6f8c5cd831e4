const interval = 3000;

/** What was fetched last for an address, and when: the element of the first rendering and the one that takes its place show the same picture. */
interface Fetched {
  at: number;
  picture: Promise<Blob | null>;
}

const latest = new Map<string, Fetched>();

/**
 * A small picture of a VM's screen, fetched again and again while the VM runs and the page is looked at. Attributes: src, live, state.
 * The last picture stays, dimmed, when the VM no longer runs.
 */
export class VmPreview extends HTMLElement {
  static readonly observedAttributes = ["live", "src"];

  private image: HTMLImageElement | null = null;
  private timer = 0;
  private address = "";
  private visible = false;
  private readonly observer = new IntersectionObserver(entries => {
    this.visible = entries[entries.length - 1].isIntersecting;
    void this.refresh();
  });

  connectedCallback(): void {
    this.observer.observe(this);
  }

  disconnectedCallback(): void {
    this.observer.disconnect();
    window.clearTimeout(this.timer);
    URL.revokeObjectURL(this.address);
    const source = this.getAttribute("src")!;
    window.setTimeout(() => forget(source), interval);
  }

  attributeChangedCallback(): void {
    if (this.isConnected) {
      void this.refresh();
    }
  }

  private async refresh(): Promise<void> {
    window.clearTimeout(this.timer);
    if (!this.isConnected || !this.hasAttribute("live")) {
      return;
    }
    const source = this.getAttribute("src")!;
    if (this.visible && document.visibilityState === "visible") {
      const picture = await take(source);
      if (picture && this.isConnected && source === this.getAttribute("src")) {
        this.show(picture);
      }
    }
    window.clearTimeout(this.timer);
    if (this.isConnected) {
      this.timer = window.setTimeout(() => void this.refresh(), interval);
    }
  }

  private show(picture: Blob): void {
    if (!this.image) {
      this.image = document.createElement("img");
      this.image.alt = "";
      this.append(this.image);
    }
    const before = this.address;
    this.address = URL.createObjectURL(picture);
    this.image.onload = () => URL.revokeObjectURL(before);
    this.image.src = this.address;
  }
}

/** The picture at an address, as old as the interval at most. */
function take(source: string): Promise<Blob | null> {
  const found = latest.get(source);
  if (found && performance.now() - found.at < interval) {
    return found.picture;
  }
  const picture = download(source);
  latest.set(source, { at: performance.now(), picture });
  return picture;
}

async function download(source: string): Promise<Blob | null> {
  try {
    const response = await fetch(source, { cache: "no-store" });
    return response.ok && response.headers.get("Content-Type") === "image/png" ? await response.blob() : null;
  } catch {
    // The service is away; the next round may find it again.
    return null;
  }
}

function forget(source: string): void {
  const found = latest.get(source);
  if (found && performance.now() - found.at >= interval) {
    latest.delete(source);
  }
}
