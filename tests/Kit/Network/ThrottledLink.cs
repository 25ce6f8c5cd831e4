using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace WebVm.Kit.Network;

/// <summary>
/// A way to a service that carries only so much towards the client, on all connections together; what comes faster waits in line. The other
/// direction is free.
/// </summary>
internal sealed class ThrottledLink : IAsyncDisposable
{
    private const int ChunkBytes = 4096;
    private const int QueueBytes = 16 * 1024;

    private readonly CancellationTokenSource _end = new();
    private readonly SemaphoreSlim _line = new(1);
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly IPEndPoint _service;
    private readonly Task _accepting;
    private volatile TaskCompletionSource _moving = new();
    private long _freeAt;
    private long _carried;

    public ThrottledLink(Uri service)
    {
        _service = new IPEndPoint(IPAddress.Loopback, service.Port);
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen();
        Address = new Uri($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndPoint!).Port}");
        _moving.SetResult();
        _accepting = AcceptAsync();
    }

    public Uri Address { get; }

    /// <summary>Towards the client; 0 for as many as come.</summary>
    public int BytesPerSecond { get; set; }

    /// <summary>
    /// While it is set nothing is carried either way, on connections that stand and on new ones; it arrives when it goes on.
    /// </summary>
    public bool Stands
    {
        set
        {
            if (value)
            {
                _moving = new(TaskCreationOptions.RunContinuationsAsynchronously);
            }
            else
            {
                _moving.TrySetResult();
            }
        }
    }

    /// <summary>Bytes brought to the client so far.</summary>
    public long Carried => Interlocked.Read(ref _carried);

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _listener.Dispose();
        await _accepting;
        _line.Dispose();
        _end.Dispose();
    }

    private async Task AcceptAsync()
    {
        var open = new List<Task>();
        try
        {
            while (true)
            {
                open.Add(ConnectAsync(await _listener.AcceptAsync(_end.Token)));
            }
        }
        catch (Exception over) when (over is OperationCanceledException or SocketException)
        {
            await Task.WhenAll(open);
        }
    }

    private async Task ConnectAsync(Socket client)
    {
        // Short queues: what is on its way is on the line, and not in the kernel.
        using var service = new Socket(
            AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = QueueBytes, NoDelay = true };
        using (client)
        {
            client.NoDelay = true;
            try
            {
                await service.ConnectAsync(_service, _end.Token);
                await Task.WhenAll(CopyAsync(client, service, throttled: false), CopyAsync(service, client, throttled: true));
            }
            catch (Exception over) when (over is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                // One of the two has hung up, so that the other way's end closed both, or the test is over.
            }
        }
    }

    private async Task CopyAsync(Socket from, Socket to, bool throttled)
    {
        byte[] chunk = new byte[ChunkBytes];
        try
        {
            for (int count; (count = await from.ReceiveAsync(chunk, _end.Token)) > 0;)
            {
                await _moving.Task.WaitAsync(_end.Token);
                if (throttled)
                {
                    await CarryAsync(count);
                }

                for (int sent = 0; sent < count;)
                {
                    sent += await to.SendAsync(chunk.AsMemory(sent, count - sent), _end.Token);
                }
            }
        }
        finally
        {
            // Whoever waits on the other way learns of it.
            from.Close();
            to.Close();
        }
    }

    private async Task CarryAsync(int bytes)
    {
        Interlocked.Add(ref _carried, bytes);
        if (BytesPerSecond is not (> 0 and var rate))
        {
            return;
        }

        await _line.WaitAsync(_end.Token);
        try
        {
            _freeAt = Math.Max(_freeAt, Stopwatch.GetTimestamp()) + (bytes * Stopwatch.Frequency / rate);
            var wait = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), _freeAt);
            if (wait > TimeSpan.Zero)
            {
                await Task.Delay(wait, _end.Token);
            }
        }
        finally
        {
            _line.Release();
        }
    }
}
