using System.Diagnostics;
using System.Net.WebSockets;
using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Protocol;
using Microsoft.Extensions.DependencyInjection;
using WebVm.Api.Console;
using WebVm.Api.Console.Display;
using WebVm.Api.Console.MessagePack;

namespace WebVm.Benchmarks.Console;

/// <summary>The whole way of a frame: screen, tiles, hub message, MessagePack, SignalR, Kestrel's WebSocket, and a socket that receives it.</summary>
internal sealed class FramePathBenchmark : IBenchmark
{
    private const int Frames = 5000;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    public string Name => "frames";

    public IEnumerable<Measurement> Run() => MeasureAsync().ToBlockingEnumerable();

    private static async IAsyncEnumerable<Measurement> MeasureAsync()
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        builder.Services.AddRoutingCore();
        builder.Services.AddSignalR();
        builder.Services.AddSingleton<IHubProtocol, MessagePackHubProtocol>();
        builder.Services.AddSingleton<HubConnections<WatchHub>>();
        builder.Services.AddSingleton<HubLifetimeManager<WatchHub>>(provider => provider.GetRequiredService<HubConnections<WatchHub>>());
        var joined = new TaskCompletionSource<Viewer>();
        builder.Services.AddSingleton(joined);
        await using var service = builder.Build();
        service.MapHub<WatchHub>("/hub");
        await service.StartAsync();

        using var socket = new ClientWebSocket();
        await socket.ConnectAsync(new Uri(service.Urls.Single().Replace("http", "ws", StringComparison.Ordinal) + "/hub"), CancellationToken.None);
        byte[] buffer = new byte[64 * 1024];
        await socket.SendAsync(Encoding.ASCII.GetBytes("{\"protocol\":\"messagepack\",\"version\":1}\u001e"), WebSocketMessageType.Binary, true, CancellationToken.None);
        await ReceiveAsync(socket, buffer);
        await socket.SendAsync(new MessagePackHubProtocol().GetMessageBytes(new InvocationMessage("Watch", [])), WebSocketMessageType.Binary, true, CancellationToken.None);
        var viewer = await joined.Task.WaitAsync(s_patience);

        var screen = new Blinking();
        var grid = new TileGrid(Blinking.Width, Blinking.Height);
        uint frame = 0;
        // The first frame is the whole screen, and followed by a pause.
        await ShowAsync(1);
        await Task.Delay(2 * FramePace.Pause);
        await ShowAsync(Frames);
        await Task.Delay(500);
        await ShowAsync(Frames);
        long bytes = GC.GetTotalAllocatedBytes(precise: true);
        long start = Stopwatch.GetTimestamp();
        await ShowAsync(Frames);
        double each = Stopwatch.GetElapsedTime(start).TotalMicroseconds / Frames;
        yield return new("frame of one tile, screen to received", each, "us");
        yield return new("allocated for a frame, all threads", (GC.GetTotalAllocatedBytes(precise: true) - bytes) / (double)Frames, "B", "the receiving socket included");

        async ValueTask ShowAsync(int count)
        {
            for (int i = 0; i < count; i++)
            {
                screen.Flip();
                grid.Update(screen, ++frame);
                long now = Stopwatch.GetTimestamp();
                viewer.SendIfReady(grid, frame, now, now);
                await ReceiveAsync(socket, buffer);
                viewer.Acknowledge(frame);
            }
        }
    }

    // The measuring side must not allocate either.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private static async ValueTask ReceiveAsync(ClientWebSocket socket, byte[] buffer)
    {
        while (!(await socket.ReceiveAsync(buffer.AsMemory(), CancellationToken.None)).EndOfMessage)
        {
        }
    }

    /// <summary>As the console's hub, without machines.</summary>
    internal sealed class WatchHub(HubConnections<WatchHub> connections, TaskCompletionSource<Viewer> joined) : Hub
    {
        public void Watch() => joined.TrySetResult(new Viewer(connections[Context.ConnectionId], Clients.Caller, "bench", mayControl: true));
    }

    private sealed class Blinking : IScreenSource
    {
        public const int Width = 1024;
        public const int Height = 768;
        private uint _colour;

        public void Flip() => _colour ^= 0xffffff;

        public bool MayHaveChanged(int top, int height) => top == 0;

        public void ReadLine(int y, Span<uint> line)
        {
            line.Clear();
            line[y % Width] = _colour;
            line[(y + 9) % 64] = 0x123456;
        }
    }
}
