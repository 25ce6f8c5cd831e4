import { LinkState } from "./connection";

const words: Record<LinkState, string> = { connecting: "Connecting", connected: "Live", silent: "No answer", reconnecting: "Reconnecting", closed: "Closed" };
const notSent = "What is typed now is not sent, now or later.";

/**
 * Shows how it stands with a link, in the browser alone: the page's own connection may be gone together with it. The parts are those of
 * LinkNotice.razor and the bar's `[data-link]`, which Blazor draws once and never touches again.
 */
export class LinkView {
  private readonly lamp: HTMLElement | null;
  private readonly notice: HTMLElement | null;
  private state: LinkState = "connecting";
  private since = 0;
  private timer = 0;
  private refused = 0;

  /** @param typing Whether something could be typed over the link. */
  constructor(root: Element | null, private readonly typing: boolean) {
    this.lamp = root?.querySelector<HTMLElement>("[data-link]") ?? null;
    this.notice = root?.querySelector<HTMLElement>("[data-link-notice]") ?? null;
  }

  readonly show = (state: LinkState, reason: string): void => {
    if (state !== "connected" && (this.state === "connected" || this.state === "connecting")) {
      this.since = performance.now();
    }
    this.state = state;
    window.clearInterval(this.timer);
    if (state === "silent") {
      this.timer = window.setInterval(() => this.write("strong", this.silence), 1000);
    }
    this.lamp?.setAttribute("data-link", state);
    this.write("[data-reason]", reason);
    this.draw();
  };

  /** Something was typed that was not sent. */
  refuse(): void {
    this.refused++;
    this.draw();
  }

  /** Something was typed and sent: what was refused before is old news. */
  accept(): void {
    if (this.refused > 0) {
      this.refused = 0;
      this.draw();
    }
  }

  dispose(): void {
    window.clearInterval(this.timer);
  }

  /** Counted from the last sign, which was three seconds before. */
  private get silence(): string {
    return `No answer for ${Math.round((performance.now() - this.since) / 1000) + 3} s`;
  }

  private draw(): void {
    if (!this.notice) {
      return;
    }
    const broken = this.state === "silent" || this.state === "reconnecting";
    const lamp = this.lamp?.querySelector(".console-link-text");
    if (lamp) {
      lamp.textContent = words[this.state];
    }
    this.notice.dataset.linkNotice = this.state;
    this.notice.hidden = this.state === "closed" || (this.state === "connected" && this.refused === 0);
    this.write("strong", this.state === "silent" ? this.silence : this.state === "connected" ? "Live again" : `${words[this.state]}…`);
    this.write("[data-rule]", broken && this.typing ? notSent : "");
    this.write("[data-refused]", this.refused === 0 ? "" : this.refused === 1 ? "1 key was not sent." : `${this.refused} keys were not sent.`);
  }

  private write(part: string, text: string): void {
    const element = this.notice?.querySelector<HTMLElement>(part);
    if (element) {
      element.textContent = text;
      element.hidden = text === "";
    }
  }
}
