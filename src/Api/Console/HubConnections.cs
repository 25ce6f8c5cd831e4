using System.Collections.Concurrent;
using Microsoft.AspNetCore.SignalR;
using Microsoft.Extensions.Logging;

namespace WebVm.Api.Console;

/// <summary>
/// SignalR's own connections, by id: to whoever sends the same message again and again. A client proxy would make a new message each time.
/// </summary>
internal sealed class HubConnections<THub>(ILogger<DefaultHubLifetimeManager<THub>> log) : DefaultHubLifetimeManager<THub>(log)
    where THub : Hub
{
    private readonly ConcurrentDictionary<string, HubConnectionContext> _connections = new(StringComparer.Ordinal);

    /// <summary>A connection that is open: its hub's methods run.</summary>
    public HubConnectionContext this[string id] => _connections[id];

    /// <summary>A connection that may be gone.</summary>
    public HubConnectionContext? Find(string id) => _connections.GetValueOrDefault(id);

    public override Task OnConnectedAsync(HubConnectionContext connection)
    {
        _connections[connection.ConnectionId] = connection;
        return base.OnConnectedAsync(connection);
    }

    public override Task OnDisconnectedAsync(HubConnectionContext connection)
    {
        _connections.TryRemove(connection.ConnectionId, out _);
        return base.OnDisconnectedAsync(connection);
    }
}
