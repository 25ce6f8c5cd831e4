/** Tabs that may not all fit side by side: the current one is brought into view. */
export class TabStrip extends HTMLElement {
  private readonly changes = new MutationObserver(() => this.show());

  connectedCallback(): void {
    this.changes.observe(this, { subtree: true, childList: true, attributes: true, attributeFilter: ["aria-current"] });
    this.show();
  }

  disconnectedCallback(): void {
    this.changes.disconnect();
  }

  private show(): void {
    const current = this.querySelector<HTMLElement>("[aria-current]");
    if (current) {
      // Only sideways: the page stays where it is.
      this.scrollLeft += current.getBoundingClientRect().left - this.getBoundingClientRect().left - (this.clientWidth - current.offsetWidth) / 2;
    }
  }
}
