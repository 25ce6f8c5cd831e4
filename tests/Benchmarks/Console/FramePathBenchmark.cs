using System.Diagnostics;
using System.Net.WebSockets;
using System.Runtime.CompilerServices;
using WebVm.Api.Console.Display;

namespace WebVm.Benchmarks.Console;

/// <summary>
/// The whole way of a frame: screen, tiles, hub message, MessagePack, SignalR, Kestrel's WebSocket, and a socket that receives it.
/// </summary>
internal sealed class FramePathBenchmark : IBenchmark
{
    private const int Frames = 5000;

    public string Name => "frames";

    public IEnumerable<Measurement> Run() => MeasureAsync().ToBlockingEnumerable();

    private static async IAsyncEnumerable<Measurement> MeasureAsync()
    {
        await using var hub = await FrameHub.StartAsync();
        using var socket = new ClientWebSocket();
        byte[] buffer = new byte[64 * 1024];
        var viewer = await hub.WatchAsync(socket, hub.Address);

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
        yield return new(
            "allocated for a frame, all threads", (GC.GetTotalAllocatedBytes(precise: true) - bytes) / (double)Frames, "B",
            "the receiving socket included");

        async ValueTask ShowAsync(int count)
        {
            for (int i = 0; i < count; i++)
            {
                screen.Flip();
                grid.Update(screen, ++frame);
                long now = Stopwatch.GetTimestamp();
                viewer.SendIfReady(grid, frame, now, now);
                await ReceiveAsync(socket, buffer);
                viewer.Acknowledge(frame, 0);
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
