using System.Buffers;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.WebSockets;
using System.Text;
using MessagePack;
using Microsoft.AspNetCore.SignalR.Protocol;
using WebVm.Api.Console;
using Xunit;

namespace WebVm.Api.Tests.Console;

/// <summary>A console hub's client over a bare WebSocket.</summary>
internal sealed class HubClient : IAsyncDisposable
{
    private const byte RecordSeparator = 0x1e;

    private static readonly ConsoleProtocol s_protocol = new();

    private readonly ClientWebSocket _socket = new();
    private readonly ConcurrentDictionary<string, TaskCompletionSource<string?>> _calls = new();
    private readonly ConcurrentDictionary<string, int> _received = new();
    private Task _receiving = Task.CompletedTask;
    private int _lastId;

    private HubClient()
    {
    }

    /// <summary>Connects and shakes hands.</summary>
    /// <param name="cookies">Of a browser that is signed in, instead of a token.</param>
    /// <exception cref="WebSocketException">The service refuses.</exception>
    public static async Task<HubClient> ConnectAsync(
        Uri service, string token, string protocol = ConsoleProtocol.ProtocolName, string? origin = null, CookieContainer? cookies = null)
    {
        var client = new HubClient();
        if (origin is not null)
        {
            client._socket.Options.SetRequestHeader("Origin", origin);
        }

        if (cookies is null)
        {
            client._socket.Options.SetRequestHeader("Authorization", "Bearer " + token);
        }

        client._socket.Options.Cookies = cookies;
        await client._socket.ConnectAsync(new UriBuilder(service) { Scheme = "ws", Path = "/hubs/console" }.Uri, Rest.Cancellation);
        byte[] handshake = [.. Encoding.UTF8.GetBytes($$"""{"protocol":"{{protocol}}","version":1}"""), RecordSeparator];
        await client._socket.SendAsync(handshake, WebSocketMessageType.Text, true, Rest.Cancellation);
        byte[] answer = new byte[256];
        int length = (await client._socket.ReceiveAsync(answer, Rest.Cancellation)).Count;
        string text = Encoding.UTF8.GetString(answer, 0, length);
        if (!text.StartsWith("{}", StringComparison.Ordinal))
        {
            await client.DisposeAsync();
            throw new WebSocketException(text);
        }

        client._receiving = Task.Run(client.ReceiveAsync);
        return client;
    }

    /// <summary>How often the server has called a method of ours.</summary>
    public int Received(string method) => _received.GetValueOrDefault(method);

    /// <summary>Ends with the connection.</summary>
    public Task Closed => _receiving;

    /// <summary>Calls a hub's method and waits for its end.</summary>
    /// <returns>What the hub complained of; null when it did not.</returns>
    public async Task<string?> InvokeAsync(string method, params object[] arguments)
    {
        string id = Interlocked.Increment(ref _lastId).ToString(null, null);
        var completion = _calls.GetOrAdd(id, _ => new(TaskCreationOptions.RunContinuationsAsynchronously));
        await _socket.SendAsync(
            s_protocol.GetMessageBytes(new InvocationMessage(id, method, arguments)), WebSocketMessageType.Binary, true, Rest.Cancellation);
        return await completion.Task.WaitAsync(Rest.Patience, Rest.Cancellation);
    }

    /// <summary>Waits until the server has called a method of ours.</summary>
    public async Task AwaitAsync(string method)
    {
        for (long start = Stopwatch.GetTimestamp(); Received(method) == 0 && Stopwatch.GetElapsedTime(start) < Rest.Patience;)
        {
            await Task.Delay(100, Rest.Cancellation);
        }

        Assert.True(Received(method) > 0, $"The server did not call {method}.");
    }

    public async ValueTask DisposeAsync()
    {
        _socket.Abort();
        await _receiving;
        _socket.Dispose();
    }

    private async Task ReceiveAsync()
    {
        byte[] buffer = new byte[64 * 1024];
        var pending = new ArrayBufferWriter<byte>();
        try
        {
            while (await _socket.ReceiveAsync(buffer, CancellationToken.None) is { MessageType: not WebSocketMessageType.Close } part)
            {
                pending.Write(buffer.AsSpan(0, part.Count));
                if (part.EndOfMessage)
                {
                    HandleAll(pending.WrittenMemory);
                    pending.Clear();
                }
            }
        }
        catch (Exception over) when (over is WebSocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The connection is over, by the other end or by Abort, after which a socket counts as disposed.
        }

        foreach (var call in _calls.Values)
        {
            call.TrySetResult("The connection was closed.");
        }
    }

    private void HandleAll(ReadOnlyMemory<byte> messages)
    {
        while (!messages.IsEmpty)
        {
            int length = 0;
            int prefix = 0;
            do
            {
                length |= (messages.Span[prefix] & 0x7f) << (7 * prefix);
            }
            while ((messages.Span[prefix++] & 0x80) != 0);
            Handle(messages.Slice(prefix, length));
            messages = messages[(prefix + length)..];
        }
    }

    // HubProtocol.md: [1, headers, id, target, …] calls us, [3, headers, id, kind, …] completes a call of ours; kind 1 is an error.
    private void Handle(ReadOnlyMemory<byte> message)
    {
        var reader = new MessagePackReader(message);
        reader.ReadArrayHeader();
        int type = reader.ReadInt32();
        if (type is not (1 or 3))
        {
            return;
        }

        reader.Skip();
        string? id = reader.ReadString();
        if (type == 1)
        {
            _received.AddOrUpdate(reader.ReadString()!, 1, (_, count) => count + 1);
        }
        else if (_calls.TryRemove(id!, out var call))
        {
            call.TrySetResult(reader.ReadInt32() == 1 ? reader.ReadString() : null);
        }
    }
}
