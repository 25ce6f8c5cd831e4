import { HubConnection, HubConnectionBuilder, HubConnectionState, LogLevel } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

export type LinkState = "connecting" | "connected" | "reconnecting" | "closed";

const longestPause = 5000;

/** A hub connection that comes back by itself, however long the service is away. */
export class Link {
  readonly hub: HubConnection;
  private stopped = false;

  /** @param attach Makes the connection useful; run after every (re)connect. */
  constructor(url: string, private readonly attach: (hub: HubConnection) => Promise<void>, private readonly changed: (state: LinkState) => void) {
    this.hub = new HubConnectionBuilder()
      .withUrl(url)
      .withHubProtocol(new MessagePackHubProtocol())
      .withKeepAliveInterval(10_000)
      .withServerTimeout(30_000)
      .configureLogging(LogLevel.None)
      .build();
    this.hub.onclose(() => {
      if (!this.stopped) {
        this.changed("reconnecting");
        void this.connect();
      }
    });
  }

  async start(): Promise<void> {
    this.changed("connecting");
    await this.connect();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.hub.stop();
    this.changed("closed");
  }

  /** Sends without waiting; what cannot be sent now is dropped, for input that is late is wrong. */
  send(method: string, ...args: unknown[]): void {
    if (this.hub.state === HubConnectionState.Connected) {
      void this.hub.send(method, ...args).catch(() => undefined);
    }
  }

  private async connect(): Promise<void> {
    for (let pause = 250; !this.stopped; pause = Math.min(pause * 2, longestPause)) {
      try {
        await this.hub.start();
        await this.attach(this.hub);
        this.changed("connected");
        return;
      } catch {
        if (this.hub.state !== HubConnectionState.Disconnected) {
          // onclose takes it from here.
          await this.hub.stop();
          return;
        }
        await new Promise(resolve => setTimeout(resolve, pause));
      }
    }
  }
}
