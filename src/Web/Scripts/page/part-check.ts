/** A checkbox for several things of which some are chosen: shown neither empty nor ticked while `part` is set. HTML has no attribute for it. */
export class PartCheck extends HTMLElement {
  static readonly observedAttributes = ["part"];

  private readonly changes = new MutationObserver(() => this.show());

  connectedCallback(): void {
    this.changes.observe(this, { childList: true });
    this.addEventListener("change", this.show);
    this.show();
  }

  disconnectedCallback(): void {
    this.changes.disconnect();
    this.removeEventListener("change", this.show);
  }

  attributeChangedCallback(): void {
    this.show();
  }

  private readonly show = (): void => {
    const box = this.querySelector("input");
    if (box) {
      box.indeterminate = this.hasAttribute("part");
    }
  };
}
