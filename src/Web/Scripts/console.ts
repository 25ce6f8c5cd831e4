import { Link, LinkState } from "./connection";
import { Screen } from "./display/screen";
import { Keyboard } from "./input/keyboard";
import { Pointer } from "./input/pointer";

/** The Blazor component that shows the console. */
interface Page {
  invokeMethodAsync(name: string, ...args: unknown[]): Promise<unknown>;
}

export type Scaling = "fit" | "actual";

const statisticsInterval = 1000;

/** A VM's screen, keyboard and pointer. */
export class Console {
  private readonly link: Link;
  private readonly screen: Screen;
  private readonly keyboard: Keyboard;
  private readonly pointer: Pointer;
  private readonly timer: number;
  private frames = 0;
  private bytes = 0;
  private latency = 0;
  private since = performance.now();

  constructor(private readonly canvas: HTMLCanvasElement, vm: string, viewOnly: boolean, private readonly page: Page) {
    this.screen = new Screen(canvas, (width, height) => this.tell("ScreenResized", width, height));
    this.link = new Link("/hubs/console", async hub => {
      await hub.invoke("OpenDisplay", vm, viewOnly);
    }, (state: LinkState) => this.tell("LinkChanged", state));
    this.link.hub.on("frame", (data: Uint8Array) => this.paint(data));
    this.link.hub.on("presence", (viewers: string[], controller: string, mine: boolean) => this.tell("PresenceChanged", viewers, controller, mine));
    this.link.hub.on("off", () => this.tell("DisplayOff"));
    this.keyboard = new Keyboard(canvas, (code, pressed) => this.link.send("Key", code, pressed));
    this.pointer = new Pointer(canvas, (x, y, wheel, buttons) => this.link.send("Pointer", x, y, wheel, buttons));
    this.timer = window.setInterval(() => this.report(), statisticsInterval);
    void this.link.start();
  }

  focus(): void {
    this.canvas.focus();
  }

  chord(codes: string[]): void {
    this.keyboard.chord(codes);
    this.canvas.focus();
  }

  takeControl(): void {
    this.link.send("TakeControl");
  }

  /** Types text with the guest's layout; the answer names the characters that the layout cannot type. */
  async paste(text: string, layout: string): Promise<string> {
    const missing = await this.link.hub.invoke<string>("Paste", text, layout);
    this.canvas.focus();
    return missing;
  }

  async fullscreen(): Promise<void> {
    await this.canvas.parentElement?.requestFullscreen();
    this.canvas.focus();
  }

  /** Saves what is shown as a PNG file on the viewer's side. */
  screenshot(name: string): void {
    this.canvas.toBlob(blob => {
      if (blob) {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(blob);
        link.download = `${name}.png`;
        link.click();
        URL.revokeObjectURL(link.href);
      }
    }, "image/png");
  }

  async dispose(): Promise<void> {
    window.clearInterval(this.timer);
    this.keyboard.dispose();
    this.pointer.dispose();
    await this.link.stop();
  }

  private paint(data: Uint8Array): void {
    // In the browser's own rhythm; the acknowledgement asks for the next frame, so a hidden or slow page gets fewer.
    requestAnimationFrame(() => {
      const info = this.screen.paint(data);
      this.link.send("Acknowledge", info.frame);
      if (this.frames++ === 0) {
        this.tell("DisplayOn");
      }
      this.bytes += info.bytes;
      this.latency = info.latency;
    });
  }

  private report(): void {
    const now = performance.now();
    const seconds = (now - this.since) / 1000;
    this.tell("Statistics", this.frames / seconds, this.latency, this.bytes / seconds);
    this.frames = this.bytes = 0;
    this.since = now;
  }

  private tell(method: string, ...args: unknown[]): void {
    void this.page.invokeMethodAsync(method, ...args).catch(() => undefined);
  }
}

/** For the page. */
export function openConsole(canvas: HTMLCanvasElement, vm: string, viewOnly: boolean, page: Page): Console {
  return new Console(canvas, vm, viewOnly, page);
}
