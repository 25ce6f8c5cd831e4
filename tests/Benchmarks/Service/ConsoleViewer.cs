using System.Net.WebSockets;
using System.Text;
using Microsoft.AspNetCore.SignalR.Protocol;
using WebVm.Api.Console;

namespace WebVm.Benchmarks.Service;

/// <summary>Somebody who watches a machine's screen by the console hub's own protocol, and looks at nothing.</summary>
internal sealed class ConsoleViewer : IAsyncDisposable
{
    private readonly ClientWebSocket _socket = new();
    private Task _receiving = Task.CompletedTask;

    private ConsoleViewer()
    {
    }

    public static async Task<ConsoleViewer> WatchAsync(BenchService service, string vm)
    {
        var viewer = new ConsoleViewer();
        viewer._socket.Options.SetRequestHeader("Authorization", "Bearer " + ServiceProcess.AdminToken);
        await viewer._socket.ConnectAsync(
            new UriBuilder(service.Address) { Scheme = "ws", Path = "/hubs/console" }.Uri, CancellationToken.None);
        await viewer.SendAsync(Encoding.ASCII.GetBytes($$"""{"protocol":"{{ConsoleProtocol.ProtocolName}}","version":1}""" + "\u001e"));
        await viewer._socket.ReceiveAsync(new byte[256], CancellationToken.None);
        viewer._receiving = viewer.ReceiveAsync();
        await viewer.SendAsync(new ConsoleProtocol().GetMessageBytes(new InvocationMessage(nameof(ConsoleHub.OpenDisplay), [vm, true])));
        return viewer;
    }

    public async ValueTask DisposeAsync()
    {
        _socket.Abort();
        await _receiving;
        _socket.Dispose();
    }

    private async Task SendAsync(ReadOnlyMemory<byte> message) =>
        await _socket.SendAsync(message, WebSocketMessageType.Binary, true, CancellationToken.None);

    private async Task ReceiveAsync()
    {
        byte[] buffer = new byte[64 * 1024];
        try
        {
            while ((await _socket.ReceiveAsync(buffer, CancellationToken.None)).MessageType != WebSocketMessageType.Close)
            {
            }
        }
        catch (Exception over) when (over is WebSocketException or OperationCanceledException or ObjectDisposedException)
        {
            // It is over, by Abort.
        }
    }
}
