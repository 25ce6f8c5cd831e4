using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using WebVm.Api.Runs;

namespace WebVm.Api.Console;

/// <summary>The rooms by VM.</summary>
internal sealed class ConsoleRooms
{
    private readonly ConcurrentDictionary<Guid, ConsoleRoom> _rooms = new();
    private readonly VmSupervisor _supervisor;
    private readonly ILogger<ConsoleRoom> _log;

    public ConsoleRooms(VmSupervisor supervisor, ILogger<ConsoleRoom> log)
    {
        (_supervisor, _log) = (supervisor, log);
        supervisor.Forgotten += id => _rooms.TryRemove(id, out _);
    }

    public ConsoleRoom Room(Guid vm) => _rooms.GetOrAdd(vm, id => new ConsoleRoom(id, _supervisor, _log));

    /// <summary>What the VM's console has done since the service's start.</summary>
    public ConsoleTotals Totals(Guid vm) => _rooms.GetValueOrDefault(vm)?.Totals ?? default;
}

/// <param name="Frames">Frames taken from the screen while somebody watched.</param>
/// <param name="Bytes">Bytes of frames sent to all viewers.</param>
public readonly record struct ConsoleTotals(long Frames, long Bytes);
