import { Link } from "./connection";
import { Frame, readFrame, Screen } from "./display/screen";
import { Keyboard } from "./input/keyboard";
import { Pointer } from "./input/pointer";
import { TouchKeys } from "./input/touch-keys";
import { LinkView } from "./link-view";
import { Component, tell, whenPageReturns } from "./page/component";

/** Everybody who watches, in the order in which they came. */
interface Presence {
  names: string[];
  since: string[];
  /** Index of who is in control, or -1. */
  controller: number;
  own: number;
}

/** What came of typing a text: the characters that the layout cannot type, or why nothing was typed. */
interface Pasted {
  missing: string;
  refused: string;
}

const statisticsInterval = 1000;

/** A VM's screen, keyboard and pointer. */
export class Console {
  private readonly link: Link;
  private readonly view: LinkView;
  private readonly returns: () => void;
  private readonly told = new Map<string, unknown[]>();
  private readonly screen: Screen;
  private readonly keyboard: Keyboard;
  private readonly pointer: Pointer;
  private readonly touchKeys: TouchKeys;
  private timer = 0;
  private layout = "us";
  private mine = false;
  private dark = false;
  private former: string | null = null;
  private arrived: Uint8Array | null = null;
  private arrivedAt = 0;
  private frames = 0;
  private bytes = 0;
  private latency = 0;
  private since = performance.now();

  constructor(private readonly canvas: HTMLCanvasElement, vm: string, viewOnly: boolean, private readonly page: Component) {
    const root = canvas.closest(".console")!;
    this.view = new LinkView(root, !viewOnly);
    this.screen = new Screen(canvas, (width, height) => this.tell("ScreenResized", width, height));
    this.link = new Link("/hubs/console", async hub => {
      await hub.invoke("OpenDisplay", vm, viewOnly);
      // The service may not know yet that the connection before is lost, and who was in control stays it.
      if (this.former) {
        await hub.invoke("Succeed", this.former);
      }
      this.former = hub.connectionId;
    }, (state, reason) => {
      this.view.show(state, reason);
      if (state === "connected") {
        this.keyboard.settle();
        this.pointer.settle();
      }
    });
    this.link.on("frame", (data: Uint8Array) => this.take(data));
    this.link.on("presence", (names: string[], since: string[], controller: number, own: number) => this.meet({ names, since, controller, own }));
    this.link.on("off", () => {
      this.dark = true;
      this.tell("DisplayDark", true);
    });
    const key = (code: string, pressed: boolean): boolean => this.type(pressed, "Key", code, pressed);
    this.keyboard = new Keyboard(canvas, () => this.mine, key);
    this.pointer = new Pointer(canvas, (x, y, wheel, buttons) => this.link.input("Pointer", x, y, wheel, buttons));
    this.touchKeys = new TouchKeys(root.querySelector<HTMLElement>(".touch-keys")!, (code, pressed) => this.keyboard.emit(code, pressed), text => void this.type(true, "Paste", text, this.layout));
    this.returns = whenPageReturns(() => this.told.forEach((args, method) => void tell(this.page, method, ...args)));
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

  /** Types text with the guest's layout. */
  async paste(text: string, layout: string): Promise<Pasted> {
    this.layout = layout;
    try {
      const missing = await this.link.ask<string>("Paste", text, layout);
      this.canvas.focus();
      return missing === undefined ? { missing: "", refused: "The service does not answer. Nothing was typed, and nothing will be." } : { missing, refused: "" };
    } catch {
      return { missing: "", refused: "The connection was lost meanwhile. Some of the text may have been typed." };
    }
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
    this.returns();
    this.view.dispose();
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
      this.tell("DisplayDark", false);
    }
    this.frames++;
    this.bytes += frame.data.byteLength;
    this.latency = frame.latency;
  }

  private report(): void {
    const now = performance.now();
    const seconds = (now - this.since) / 1000;
    void tell(this.page, "Statistics", this.frames / seconds, this.latency, this.bytes / seconds, this.screen.lossyTiles);
    this.frames = this.bytes = this.latency = 0;
    this.since = now;
  }

  private meet(presence: Presence): void {
    const mine = presence.controller === presence.own;
    const taken = this.mine && !mine && presence.controller >= 0 ? presence.names[presence.controller] : null;
    this.mine = mine;
    this.tell("PresenceChanged", presence.names, presence.since, presence.controller, presence.own);
    if (taken !== null) {
      void tell(this.page, "ControlLost", taken);
    }
  }

  /** @param counts Whether a person is told when it is not sent: of the press of a key, not of its release. */
  private type(counts: boolean, method: string, ...args: unknown[]): boolean {
    const sent = this.link.input(method, ...args);
    if (counts && sent) {
      this.view.accept();
    } else if (counts) {
      this.view.refuse();
    }
    return sent;
  }

  /** Tells the page how something stands, and again when it was away. */
  private tell(method: string, ...args: unknown[]): void {
    this.told.set(method, args);
    void tell(this.page, method, ...args);
  }
}

/** For the page. */
export function openConsole(canvas: HTMLCanvasElement, vm: string, viewOnly: boolean, page: Component): Console {
  return new Console(canvas, vm, viewOnly, page);
}
