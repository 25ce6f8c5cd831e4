using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using WebVm.Api.Supervisor;

namespace WebVm.Api.Console;

/// <summary>The rooms by VM.</summary>
internal sealed class ConsoleRooms(VmSupervisor supervisor, ILogger<ConsoleRoom> log)
{
    private readonly ConcurrentDictionary<Guid, ConsoleRoom> _rooms = new();

    public ConsoleRoom Room(Guid vm) => _rooms.GetOrAdd(vm, id => new ConsoleRoom(supervisor.Agent(id), log));

    public ConsoleRoom? Find(Guid vm) => _rooms.GetValueOrDefault(vm);
}
