/** Presses its button when it comes near the view, so that a long list goes on by itself. */
export class LoadMore extends HTMLElement {
  private readonly observer = new IntersectionObserver(entries => {
    if (entries.some(entry => entry.isIntersecting)) {
      this.querySelector("button")?.click();
      // What is added moves this out of view; if it does not, the next look shows it again.
      this.observer.unobserve(this);
      window.setTimeout(() => this.isConnected && this.observer.observe(this), 300);
    }
  }, { rootMargin: "600px" });

  connectedCallback(): void {
    this.observer.observe(this);
  }

  disconnectedCallback(): void {
    this.observer.disconnect();
  }
}
