import { HubConnection, HubConnectionBuilder, HubConnectionState, LogLevel } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

export type LinkState = "connecting" | "connected" | "reconnecting" | "closed";

/** @param reason Why there is no connection, for the one who waits for it. */
export type LinkChanged = (state: LinkState, reason: string) => void;

/** Milliseconds. */
const shortestPause = 250;
const longestPause = 10_000;

/** A connection that held this long was a good one: the next attempts begin anew. */
const steadyTime = 10_000;

/** A hub connection that comes back by itself, however long the service is away. */
export class Link {
  readonly hub: HubConnection;
  private stopped = false;
  private connecting = false;
  private pause = 0;
  private connectedAt = 0;

  /** @param attach Makes the connection useful; run after every (re)connect. */
  constructor(url: string, private readonly attach: (hub: HubConnection) => Promise<void>, private readonly changed: LinkChanged) {
    this.hub = new HubConnectionBuilder()
      .withUrl(url)
      .withHubProtocol(new MessagePackHubProtocol())
      .withKeepAliveInterval(10_000)
      .withServerTimeout(30_000)
      .configureLogging(LogLevel.None)
      .build();
    this.hub.onclose(failure => {
      // While connecting, the loop there sees the failure itself.
      if (!this.stopped && !this.connecting) {
        if (performance.now() - this.connectedAt > steadyTime) {
          this.pause = 0;
        }
        this.changed("reconnecting", describe(failure));
        void this.connect();
      }
    });
  }

  async start(): Promise<void> {
    this.changed("connecting", "");
    await this.connect();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.hub.stop();
    this.changed("closed", "");
  }

  /** Sends without waiting; what cannot be sent now is dropped, for input that is late is wrong. */
  send(method: string, ...args: unknown[]): void {
    if (this.hub.state === HubConnectionState.Connected) {
      void this.hub.send(method, ...args).catch(() => undefined);
    }
  }

  /** Tries until it works. A service that refuses is asked ever more rarely, and not by all its viewers in the same instant. */
  private async connect(): Promise<void> {
    this.connecting = true;
    while (!this.stopped) {
      if (this.pause > 0) {
        await new Promise(resolve => setTimeout(resolve, this.pause * (0.5 + Math.random() / 2)));
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
      this.connectedAt = performance.now();
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
