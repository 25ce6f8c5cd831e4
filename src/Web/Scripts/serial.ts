import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { Link, LinkState } from "./connection";

const encoder = new TextEncoder();
const scrollbackLines = 10_000;
const replayedBytes = 256 * 1024;

/** A terminal on a VM's serial port: the log's end first, then what comes, without loss or repetition across reconnects. */
export class SerialTerminal {
  private readonly terminal: Terminal;
  private readonly fit = new FitAddon();
  private readonly link: Link;
  private readonly resize: ResizeObserver;
  /** Offset behind the last byte shown; negative: that many from the end. */
  private offset = -replayedBytes;

  constructor(element: HTMLElement, vm: string, readOnly: boolean, changed: (state: LinkState) => void) {
    this.terminal = new Terminal({
      scrollback: scrollbackLines,
      disableStdin: readOnly,
      fontFamily: "ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace",
      fontSize: 14,
      theme: { background: "#0b0f14", foreground: "#d6dde6", cursor: "#7cc4ff" },
      // A guest's output is shown, never obeyed: no links, no clipboard, no window operations.
      linkHandler: { activate: () => undefined },
      windowOptions: {},
      allowProposedApi: false,
    });
    this.terminal.loadAddon(this.fit);
    this.terminal.open(element);
    this.resize = new ResizeObserver(() => this.fit.fit());
    this.resize.observe(element);
    this.link = new Link("/hubs/console", async hub => {
      await hub.invoke("OpenSerial", vm, this.offset);
    }, changed);
    this.link.hub.on("serial", (offset: number, data: Uint8Array) => {
      // After a reconnect the log may begin later than where we were: what is gone is gone, nothing is shown twice.
      const skip = this.offset >= 0 ? Math.max(0, this.offset - offset) : 0;
      if (skip < data.length) {
        this.terminal.write(data.subarray(skip));
      }
      this.offset = offset + data.length;
    });
    this.terminal.onData(text => this.link.send("WriteSerial", encoder.encode(text)));
    this.terminal.onBinary(text => this.link.send("WriteSerial", Uint8Array.from(text, c => c.charCodeAt(0))));
    void this.link.start();
  }

  focus(): void {
    this.terminal.focus();
  }

  /** What is on the terminal's screen and in its scrollback, for tests and for copying. */
  text(): string {
    const buffer = this.terminal.buffer.active;
    const lines: string[] = [];
    for (let i = 0; i < buffer.length; i++) {
      lines.push(buffer.getLine(i)?.translateToString(true) ?? "");
    }
    return lines.join("\n").trimEnd();
  }

  async dispose(): Promise<void> {
    this.resize.disconnect();
    await this.link.stop();
    this.terminal.dispose();
  }
}

/** For the page. */
export function openSerial(element: HTMLElement, vm: string, readOnly: boolean, page: { invokeMethodAsync(name: string, ...args: unknown[]): Promise<unknown> }): SerialTerminal {
  const terminal = new SerialTerminal(element, vm, readOnly, state => void page.invokeMethodAsync("LinkChanged", state).catch(() => undefined));
  (element as unknown as { terminal: SerialTerminal }).terminal = terminal;
  return terminal;
}
