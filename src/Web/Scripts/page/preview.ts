const interval = 3000;

/**
 * A small picture of a VM's screen, fetched again and again while the VM runs and the page is looked at. Attributes: src, live, state.
 * The last picture stays, dimmed, when the VM no longer runs.
 */
export class VmPreview extends HTMLElement {
  static readonly observedAttributes = ["live", "src"];

  private image: HTMLImageElement | null = null;
  private timer = 0;
  private address = "";
  private visible = true;
  private readonly observer = new IntersectionObserver(entries => {
    this.visible = entries.some(entry => entry.isIntersecting);
    if (this.visible) {
      void this.refresh();
    }
  });

  connectedCallback(): void {
    this.observer.observe(this);
    this.schedule();
  }

  disconnectedCallback(): void {
    this.observer.disconnect();
    window.clearTimeout(this.timer);
    URL.revokeObjectURL(this.address);
  }

  attributeChangedCallback(): void {
    if (this.isConnected) {
      this.schedule();
    }
  }

  private schedule(): void {
    window.clearTimeout(this.timer);
    if (this.hasAttribute("live")) {
      void this.refresh();
    }
  }

  private async refresh(): Promise<void> {
    window.clearTimeout(this.timer);
    if (!this.isConnected || !this.hasAttribute("live")) {
      return;
    }
    if (this.visible && document.visibilityState === "visible") {
      try {
        const response = await fetch(this.getAttribute("src")!, { cache: "no-store" });
        if (response.ok && response.headers.get("Content-Type") === "image/png") {
          this.show(await response.blob());
        }
      } catch {
        // The service is away; the next round may find it again.
      }
    }
    this.timer = window.setTimeout(() => void this.refresh(), interval);
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
