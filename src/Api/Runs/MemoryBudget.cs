using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.Extensions.Options;
using WebVm.Api.Settings;
using WebVm.Vmm.Host;

namespace WebVm.Api.Runs;

/// <summary>
/// What the machines that run have been promised of the host's memory. A guest takes its memory page by page, when it first writes to it:
/// so what is free now is spoken for by those that run, as far as they have not taken theirs yet.
/// </summary>
internal sealed class MemoryBudget(IOptions<ServiceOptions> options)
{
    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<Guid, Share> _promises = new();

    public MemoryOvercommit Policy => options.Value.MemoryOvercommit;

    /// <summary>Where the host's memory is read; a test has another.</summary>
    public Func<HostMemory> Host { get; init; } = HostMemory.Read;

    /// <summary>
    /// Bytes that a new machine can have without anybody's promise being broken; negative when too much has been promised already.
    /// </summary>
    public long Left => LeftBesides(Guid.Empty);

    /// <summary>Promises a machine its memory. Of several at once each counts those before it.</summary>
    /// <returns>What is wrong with that, in a sentence; null when there is enough, or nobody wants to know. A machine that is refused has
    /// no promise.</returns>
    public string? Promise(Guid vm, long memory)
    {
        lock (_lock)
        {
            long left = LeftBesides(vm);
            string? shortage = Policy == MemoryOvercommit.Allow || memory <= left
                ? null
                : $"The machine may take {Mebibytes(memory)}, but the host has only {Mebibytes(Math.Max(0, left))} left beside what the running machines may still take.";
            if (shortage is null || Policy != MemoryOvercommit.Refuse)
            {
                _promises[vm] = new Share(memory, null);
            }

            return shortage;
        }
    }

    /// <summary>The machine's monitor is known: what it has taken is known from now on.</summary>
    public void Hold(Guid vm, long memory, int? monitor) => _promises[vm] = new Share(memory, monitor);

    /// <summary>The machine runs no more.</summary>
    public void Release(Guid vm) => _promises.TryRemove(vm, out _);

    private long LeftBesides(Guid vm) =>
        Host().Available - _promises.Where(promise => promise.Key != vm)
            .Sum(promise => Math.Max(
                0, promise.Value.Memory - (promise.Value.Monitor is { } monitor ? HostMemory.ResidentOf(monitor) : 0)));

    private static string Mebibytes(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes >> 20:N0} MiB");

    private readonly record struct Share(long Memory, int? Monitor);
}
