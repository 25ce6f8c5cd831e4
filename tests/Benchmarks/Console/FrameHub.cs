using System.Net.WebSockets;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Protocol;
using Microsoft.Extensions.DependencyInjection;
using WebVm.Api.Console;
using WebVm.Api.Console.Display;

namespace WebVm.Benchmarks.Console;

/// <summary>The console's hub on Kestrel, without machines, for one viewer.</summary>
internal sealed class FrameHub : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly WebApplication _service;
    private readonly TaskCompletionSource<Viewer> _joined;

    private FrameHub(WebApplication service, TaskCompletionSource<Viewer> joined) => (_service, _joined) = (service, joined);

    public Uri Address => new(_service.Urls.Single());

    public static async Task<FrameHub> StartAsync()
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        builder.Services.AddRoutingCore();
        builder.Services.AddSignalR();
        builder.Services.AddSingleton<IHubProtocol, ConsoleProtocol>();
        builder.Services.AddSingleton<HubConnections<WatchHub>>();
        builder.Services.AddSingleton<HubLifetimeManager<WatchHub>>(provider => provider.GetRequiredService<HubConnections<WatchHub>>());
        var joined = new TaskCompletionSource<Viewer>();
        builder.Services.AddSingleton(joined);
        var service = builder.Build();
        service.MapHub<WatchHub>("/hub");
        await service.StartAsync();
        return new(service, joined);
    }

    /// <summary>Connects a socket, which receives the frames of the viewer that is returned.</summary>
    /// <param name="address">The hub's, or of a way to it.</param>
    public async Task<Viewer> WatchAsync(ClientWebSocket socket, Uri address)
    {
        await socket.ConnectAsync(new UriBuilder(address) { Scheme = "ws", Path = "/hub" }.Uri, CancellationToken.None);
        await socket.SendAsync(
            Encoding.ASCII.GetBytes("{\"protocol\":\"messagepack\",\"version\":1}\u001e"), WebSocketMessageType.Binary, true,
            CancellationToken.None);
        await socket.ReceiveAsync(new byte[64], CancellationToken.None);
        await socket.SendAsync(
            new ConsoleProtocol().GetMessageBytes(new InvocationMessage("Watch", [])), WebSocketMessageType.Binary, true,
            CancellationToken.None);
        return await _joined.Task.WaitAsync(s_patience);
    }

    public ValueTask DisposeAsync() => _service.DisposeAsync();

    /// <summary>As the console's hub, without machines.</summary>
    internal sealed class WatchHub(HubConnections<WatchHub> connections, TaskCompletionSource<Viewer> joined) : Hub
    {
        public void Watch() =>
            joined.TrySetResult(new Viewer(connections[Context.ConnectionId], Clients.Caller, "bench", mayControl: true));
    }
}
