import { HubConnection, HubConnectionBuilder, HubConnectionState, LogLevel } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

/** "silent": the connection stands, but nothing has come over it for a while. */
export type LinkState = "connecting" | "connected" | "silent" | "reconnecting" | "closed";

/** @param reason Why there is no connection, for the one who waits for it. */
export type LinkChanged = (state: LinkState, reason: string) => void;

/** Milliseconds. */
const shortestPause = 250;
const longestPause = 10_000;

/** A connection that held this long was a good one: the next attempts begin anew. */
const steadyTime = 10_000;

/** The service sends a pulse every second. After this long without a sign of it nothing is sent any more. */
const silence = 3_000;
const lookInterval = 500;

/** After this long without a sign another connection is made: what was lost on the way comes over a fresh one sooner. */
const longestSilence = 12_000;
const requestTimeout = 10_000;

/** A hub connection that comes back by itself, however long the service is away, and knows whether the service is heard over it. */
export class Link {
  private readonly hub: HubConnection;
  private looks = 0;
  private stopped = false;
  private connecting = false;
  private attached = false;
  private silent = false;
  private pause = 0;
  private hurry: (() => void) | null = null;
  private connectedAt = 0;
  private heardAt = 0;
  private lookedAt = 0;

  /** @param attach Makes the connection useful; run after every (re)connect. */
  constructor(url: string, private readonly attach: (hub: HubConnection) => Promise<void>, private readonly changed: LinkChanged) {
    this.hub = new HubConnectionBuilder()
      .withUrl(url, { timeout: requestTimeout })
      .withHubProtocol(new MessagePackHubProtocol())
      .withKeepAliveInterval(10_000)
      .withServerTimeout(longestSilence)
      .configureLogging(LogLevel.None)
      .build();
    this.on("pulse", (time: number) => this.send("Heard", time));
    this.hub.onclose(failure => {
      this.attached = false;
      window.clearInterval(this.looks);
      // While connecting, the loop there sees the failure itself.
      if (!this.stopped && !this.connecting) {
        if (performance.now() - this.connectedAt > steadyTime) {
          this.pause = 0;
        }
        this.changed("reconnecting", describe(failure));
        void this.connect();
      }
    });
    window.addEventListener("online", this.tryNow);
  }

  /** Whether what is sent now can be expected to arrive. */
  get live(): boolean {
    return this.attached && !this.silent && this.hub.state === HubConnectionState.Connected;
  }

  /** What the service calls. Each call is a sign of it. */
  on<A extends unknown[]>(method: string, called: (...args: A) => void): void {
    this.hub.on(method, (...args) => {
      this.heard();
      called(...args as A);
    });
  }

  async start(): Promise<void> {
    this.changed("connecting", "");
    await this.connect();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    window.clearInterval(this.looks);
    window.removeEventListener("online", this.tryNow);
    this.tryNow();
    await this.hub.stop();
    this.changed("closed", "");
  }

  /** Sends without waiting, if there is a connection. */
  send(method: string, ...args: unknown[]): void {
    if (this.attached && this.hub.state === HubConnectionState.Connected) {
      void this.hub.send(method, ...args).catch(() => undefined);
    }
  }

  /**
   * Sends what a person does. What would not arrive now is dropped, for input that is late is wrong.
   * @returns Whether it was sent.
   */
  input(method: string, ...args: unknown[]): boolean {
    if (this.live) {
      this.send(method, ...args);
    }
    return this.live;
  }

  /** Asks the service for something; undefined when it cannot be asked now. */
  async ask<T>(method: string, ...args: unknown[]): Promise<T | undefined> {
    return this.live ? await this.hub.invoke<T>(method, ...args) : undefined;
  }

  private heard(): void {
    this.heardAt = performance.now();
    if (this.silent) {
      this.silent = false;
      if (this.attached) {
        this.changed("connected", "");
      }
    }
  }

  private readonly look = (): void => {
    const now = performance.now();
    // A page that was held up itself first reads what has come meanwhile.
    const awake = now - this.lookedAt < 3 * lookInterval;
    this.lookedAt = now;
    if (!awake) {
      this.heardAt = Math.max(this.heardAt, now - silence + lookInterval);
    } else if (this.attached && !this.silent && now - this.heardAt > silence) {
      this.silent = true;
      this.changed("silent", "");
    }
  };

  /** Ends a pause between two attempts. */
  private readonly tryNow = (): void => this.hurry?.();

  /** Tries until it works. A service that refuses is asked ever more rarely, and not by all its viewers in the same instant. */
  private async connect(): Promise<void> {
    this.connecting = true;
    while (!this.stopped) {
      if (this.pause > 0) {
        await new Promise<void>(resolve => {
          this.hurry = resolve;
          setTimeout(resolve, this.pause * (0.5 + Math.random() / 2));
        });
        this.hurry = null;
      }
      this.pause = Math.min(Math.max(this.pause * 2, shortestPause), longestPause);
      if (await this.tryToConnect()) {
        break;
      }
    }
    this.connecting = false;
  }

  private async tryToConnect(): Promise<boolean> {
    try {
      if (this.stopped) {
        return false;
      }
      await this.hub.start();
      await this.attach(this.hub);
      if (this.hub.state !== HubConnectionState.Connected) {
        return false;
      }
      this.connectedAt = this.heardAt = this.lookedAt = performance.now();
      this.looks = window.setInterval(this.look, lookInterval);
      this.silent = false;
      this.attached = true;
      this.changed("connected", "");
      return true;
    } catch (failure) {
      if (!this.stopped) {
        this.changed("reconnecting", describe(failure));
      }
      if (this.hub.state !== HubConnectionState.Disconnected) {
        await this.hub.stop();
      }
      return false;
    }
  }
}

/** What the service said, or what its silence means. */
function describe(failure: unknown): string {
  const message = failure instanceof Error ? failure.message : "";
  const said = /HubException: (.+)$/s.exec(message)?.[1];
  if (said) {
    return said;
  }
  switch (/Status code '(\d+)'/.exec(message)?.[1]) {
    case "401":
      return "You are signed out. Load the page again to sign in.";
    case "403":
      return "Your role may not watch machines.";
    case "429":
      return "The service has too many requests.";
  }
  return navigator.onLine ? "The service does not answer." : "This device is offline.";
}
