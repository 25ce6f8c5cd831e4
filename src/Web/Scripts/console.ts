import { Link } from "./connection";
import { Frame, readFrame, Screen } from "./display/screen";
import { Keyboard } from "./input/keyboard";
import { Pointer } from "./input/pointer";
import { TouchKeys } from "./input/touch-keys";

/** The Blazor component that shows the console. */
interface Page {
  invokeMethodAsync(name: string, ...args: unknown[]): Promise<unknown>;
}

const statisticsInterval = 1000;

/** A VM's screen, keyboard and pointer. */
export class Console {
  private readonly link: Link;
  private readonly screen: Screen;
  private readonly keyboard: Keyboard;
  private readonly pointer: Pointer;
  private readonly touchKeys: TouchKeys;
  private timer = 0;
  private layout = "us";
  private mine = false;
  private dark = false;
  private arrived: Uint8Array | null = null;
  private arrivedAt = 0;
  private frames = 0;
  private bytes = 0;
  private latency = 0;
  private since = performance.now();

  constructor(private readonly canvas: HTMLCanvasElement, vm: string, viewOnly: boolean, private readonly page: Page) {
    this.screen = new Screen(canvas, (width, height) => this.tell("ScreenResized", width, height));
    this.link = new Link("/hubs/console", async hub => {
      await hub.invoke("OpenDisplay", vm, viewOnly);
    }, (state, reason) => this.tell("LinkChanged", state, reason));
    this.link.hub.on("frame", (data: Uint8Array) => this.take(data));
    this.link.hub.on("presence", (viewers: string[], controller: string, mine: boolean) => {
      this.mine = mine;
      this.tell("PresenceChanged", viewers, controller, mine);
    });
    this.link.hub.on("off", () => {
      this.dark = true;
      this.tell("DisplayOff");
    });
    const key = (code: string, pressed: boolean): void => this.link.send("Key", code, pressed);
    this.keyboard = new Keyboard(canvas, () => this.mine, key);
    this.pointer = new Pointer(canvas, (x, y, wheel, buttons) => this.link.send("Pointer", x, y, wheel, buttons));
    this.touchKeys = new TouchKeys(canvas.closest(".console")!.querySelector<HTMLElement>(".touch-keys")!, key, text => this.link.send("Paste", text, this.layout));
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
    this.layout = layout;
    const missing = await this.link.hub.invoke<string>("Paste", text, layout);
    this.canvas.focus();
    return missing;
  }

  async fullscreen(): Promise<void> {
    await this.canvas.parentElement?.requestFullscreen();
    // Where the browser can, keys that it keeps for itself, such as Escape and Alt-Tab, reach the guest.
    await (navigator as { keyboard?: { lock?(): Promise<void> } }).keyboard?.lock?.().catch(() => undefined);
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

  /** Tells the page once a second how fast frames come, while it wants to know. */
  watchStatistics(wanted: boolean): void {
    window.clearInterval(this.timer);
    if (wanted) {
      this.frames = this.bytes = 0;
      this.since = performance.now();
      this.timer = window.setInterval(() => this.report(), statisticsInterval);
    }
  }

  async dispose(): Promise<void> {
    window.clearInterval(this.timer);
    this.screen.dispose();
    this.touchKeys.dispose();
    this.keyboard.dispose();
    this.pointer.dispose();
    await this.link.stop();
  }

  private take(data: Uint8Array): void {
    this.arrived = data;
    this.arrivedAt = performance.now();
    const frame = readFrame(data);
    if (frame instanceof Promise) {
      void frame.then(this.schedule);
    } else {
      this.schedule(frame);
    }
  }

  /** In the browser's own rhythm; the acknowledgement asks for the next frame, so a hidden or slow page gets fewer. */
  private readonly schedule = (frame: Frame): void => {
    requestAnimationFrame(() => this.paint(frame));
  };

  private paint(frame: Frame): void {
    // One frame is under way at a time, so none overtakes another. Only after a reconnect there may be the last of the old connection, which is
    // not painted any more: the new one sends the whole screen.
    if (frame.data !== this.arrived) {
      frame.picture?.close();
      return;
    }
    this.arrived = null;
    this.screen.paint(frame);
    this.link.send("Acknowledge", frame.number, Math.floor(performance.now() - this.arrivedAt));
    if (this.dark) {
      this.dark = false;
      this.tell("DisplayOn");
    }
    this.frames++;
    this.bytes += frame.data.byteLength;
    this.latency = frame.latency;
  }

  private report(): void {
    const now = performance.now();
    const seconds = (now - this.since) / 1000;
    this.tell("Statistics", this.frames / seconds, this.latency, this.bytes / seconds, this.screen.lossyTiles);
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
