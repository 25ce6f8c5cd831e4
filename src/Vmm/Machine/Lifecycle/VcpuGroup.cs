using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Machine.Lifecycle;

/// <summary>All vCPUs of a machine. Used by the machine's own thread alone.</summary>
internal sealed class VcpuGroup : IDisposable
{
    /// <summary>An engine leaves guest code within milliseconds of a kick; a host under heavy load may take longer.</summary>
    private static readonly TimeSpan s_parkLimit = TimeSpan.FromSeconds(30);

    private readonly List<VcpuThread> _threads = [];

    public IReadOnlyList<IVirtualCpu> Cpus => [.. _threads.Select(thread => thread.Cpu)];

    public int Count => _threads.Count;

    public void Add(IVirtualCpu cpu, Action<IVirtualCpu, VcpuExit, string?> ended)
    {
        var thread = new VcpuThread(cpu, ended);
        _threads.Add(thread);
        if (!thread.WaitParked(s_parkLimit))
        {
            throw new TimeoutException($"The thread of vCPU {cpu.Index} did not start.");
        }
    }

    /// <summary>Whether no thread of a vCPU is left: after <see cref="Dispose"/>, unless one did not leave guest code.</summary>
    public bool HasEnded => _threads.Count == 0;

    public void Run() => _threads.ForEach(thread => thread.Run());

    /// <summary>When this returns no guest code runs.</summary>
    public void Park()
    {
        _threads.ForEach(thread => thread.RequestPark());
        foreach (var thread in _threads)
        {
            if (!thread.WaitParked(s_parkLimit))
            {
                throw StillInside(thread);
            }
        }
    }

    /// <summary>Copies the (parked) vCPUs' states out, by index.</summary>
    public unsafe void Save(CpuStateBuffer states)
    {
        foreach (var thread in _threads)
        {
            thread.Invoke(cpu => cpu.Save(states[cpu.Index]));
        }
    }

    /// <summary>Replaces the (parked) vCPUs' states.</summary>
    public unsafe void Load(CpuStateBuffer states)
    {
        foreach (var thread in _threads)
        {
            thread.Invoke(cpu => cpu.Load(states[cpu.Index]));
        }
    }

    /// <summary>
    /// Calls <paramref name="visit"/> for each vCPU in turn on its own thread, running or not; the others run on meanwhile.
    /// </summary>
    public void Visit(Action<IVirtualCpu> visit)
    {
        foreach (var thread in _threads)
        {
            if (!thread.TryVisit(visit, s_parkLimit))
            {
                throw StillInside(thread);
            }
        }
    }

    /// <summary>Ends the threads, parked or not.</summary>
    /// <exception cref="TimeoutException">One did not leave guest code.</exception>
    public void Dispose()
    {
        _threads.ForEach(thread => thread.RequestPark());
        _threads.ForEach(thread => thread.Dispose());
        _threads.RemoveAll(thread => thread.HasEnded);
        if (_threads is [var stuck, ..])
        {
            throw StillInside(stuck);
        }
    }

    private static TimeoutException StillInside(VcpuThread thread) =>
        new($"vCPU {thread.Cpu.Index} did not leave guest code within {s_parkLimit.TotalSeconds} s.");
}
