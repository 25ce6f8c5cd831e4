using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using WebVm.Api.Supervisor;

namespace WebVm.Api.Console;

/// <summary>The rooms by VM.</summary>
internal sealed class ConsoleRooms(VmSupervisor supervisor, ILogger<ConsoleRoom> log)
{
    private readonly ConcurrentDictionary<Guid, ConsoleRoom> _rooms = new();

    public ConsoleRoom Room(Guid vm) => _rooms.GetOrAdd(vm, id => new ConsoleRoom(supervisor.Agent(id), log));

    /// <summary>What the VM's console has done since the service's start.</summary>
    public ConsoleTotals Totals(Guid vm) => _rooms.GetValueOrDefault(vm)?.Totals ?? default;
}

/// <param name="Frames">Frames taken from the screen while somebody watched.</param>
/// <param name="Bytes">Bytes of frames sent to all viewers.</param>
public readonly record struct ConsoleTotals(long Frames, long Bytes);
