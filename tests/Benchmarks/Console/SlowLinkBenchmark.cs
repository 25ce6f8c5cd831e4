using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.Net.WebSockets;
using MessagePack;
using WebVm.Api.Console.Display;

namespace WebVm.Benchmarks.Console;

/// <summary>
/// A photograph of 1024 by 768 comes up on the screen of a viewer whose link carries little: when it is seen, and when it is seen without
/// loss.
/// </summary>
internal sealed class SlowLinkBenchmark : IBenchmark
{
    private const int Width = 1024;
    private const int Height = 768;
    private const int SignalRPing = 6;

    public string Name => "link";

    public IEnumerable<Measurement> Run()
    {
        foreach (var (name, bytesPerSecond) in new[] { ("1 Mbit/s", 125_000), ("3 Mbit/s", 375_000) })
        {
            var with = ShowAsync(bytesPerSecond, lossy: true).GetAwaiter().GetResult();
            var without = ShowAsync(bytesPerSecond, lossy: false).GetAwaiter().GetResult();
            yield return new(
                $"{name}: whole picture seen", with.Seen.TotalSeconds, "s",
                $"after {with.SeenBytes / 1024} KiB; without JPEG {without.Exact.TotalSeconds:f1} s");
            yield return new(
                $"{name}: without loss", with.Exact.TotalSeconds, "s",
                $"after {with.ExactBytes / 1024} KiB; without JPEG {without.Exact.TotalSeconds:f1} s, {without.ExactBytes / 1024} KiB");
        }
    }

    private static async Task<Shown> ShowAsync(int bytesPerSecond, bool lossy)
    {
        await using var hub = await FrameHub.StartAsync();
        await using var link = new ThrottledLink(hub.Address);
        using var socket = new ClientWebSocket();
        var viewer = await hub.WatchAsync(socket, link.Address);
        var grid = new TileGrid(Width, Height);
        grid.Update(new Photograph(Width, Height), 1);
        link.BytesPerSecond = bytesPerSecond;
        long before = link.Carried;
        long start = Stopwatch.GetTimestamp();

        using var over = new CancellationTokenSource();
        var feeding = FeedAsync(viewer, grid, start, over.Token);
        var seen = new HashSet<int>();
        var exact = new HashSet<int>();
        var shown = new Shown(default, 0, default, 0);
        var buffer = new ArrayBufferWriter<byte>();
        while (exact.Count < grid.Count)
        {
            uint number = Take(await ReceiveAsync(socket, buffer), seen, exact);
            if (number == 0)
            {
                continue;
            }

            // A browser that says to have kept a frame longer than it can have is not measured, and never has a slow link.
            viewer.Acknowledge(number, lossy ? 0 : int.MaxValue);
            if (seen.Count == grid.Count && shown.SeenBytes == 0)
            {
                shown = shown with { Seen = Stopwatch.GetElapsedTime(start), SeenBytes = link.Carried - before };
            }
        }

        shown = shown with { Exact = Stopwatch.GetElapsedTime(start), ExactBytes = link.Carried - before };
        await over.CancelAsync();
        await feeding;
        return shown;
    }

    /// <summary>As the room of a VM does.</summary>
    private static async Task FeedAsync(Viewer viewer, TileGrid grid, long changedAt, CancellationToken over)
    {
        using var ticks = new PeriodicTimer(ScreenTicks.Quick);
        while (!over.IsCancellationRequested)
        {
            viewer.SendIfReady(grid, 1, changedAt, Stopwatch.GetTimestamp());
            await ticks.WaitForNextTickAsync(CancellationToken.None);
        }
    }

    private static async Task<ReadOnlyMemory<byte>> ReceiveAsync(ClientWebSocket socket, ArrayBufferWriter<byte> buffer)
    {
        buffer.ResetWrittenCount();
        ValueWebSocketReceiveResult part;
        do
        {
            part = await socket.ReceiveAsync(buffer.GetMemory(16 * 1024), CancellationToken.None);
            buffer.Advance(part.Count);
        }
        while (!part.EndOfMessage);
        return buffer.WrittenMemory;
    }

    /// <returns>The frame's number; 0 when the message is another.</returns>
    private static uint Take(ReadOnlyMemory<byte> message, HashSet<int> seen, HashSet<int> exact)
    {
        if (message.Length < SignalRPing)
        {
            return 0;
        }

        var reader = new MessagePackReader(message[(message.Span.IndexOfAnyInRange((byte)0, (byte)0x7f) + 1)..]);
        reader.ReadArrayHeader();
        if (reader.ReadInt32() != 1)
        {
            return 0;
        }

        reader.Skip();
        reader.Skip();
        reader.Skip();
        reader.ReadArrayHeader();
        ReadOnlySpan<byte> frame = reader.ReadBytes()!.Value.FirstSpan;
        int at = 16;
        for (int count = BinaryPrimitives.ReadUInt16LittleEndian(frame[12..]); count > 0; count--)
        {
            int tile = BinaryPrimitives.ReadUInt16LittleEndian(frame[at..]);
            seen.Add(tile);
            exact.Add(tile);
            at += 4 + BinaryPrimitives.ReadUInt16LittleEndian(frame[(at + 2)..]);
        }

        for (int count = BinaryPrimitives.ReadUInt16LittleEndian(frame[14..]); count > 0; count--, at += 2)
        {
            seen.Add(BinaryPrimitives.ReadUInt16LittleEndian(frame[at..]));
        }

        return BinaryPrimitives.ReadUInt32LittleEndian(frame);
    }

    private sealed record Shown(TimeSpan Seen, long SeenBytes, TimeSpan Exact, long ExactBytes);
}
