using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Settings;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Machine.Saving;

/// <summary>What a state needs of the host that is to go on from it, looked for before anything is made.</summary>
internal static class HostNeeds
{
    /// <param name="spec">Null where it could not be read.</param>
    /// <param name="cpu">The processor that the guest knows.</param>
    public static void Check(
        MachineSpec? spec, CpuDescription? cpu, IStateSource source, IReadOnlyList<StateContents> memory, List<string> faults)
    {
        if (spec is not null && EngineSelection.Lack(spec, cpu) is { } lack)
        {
            faults.Add($"The machine cannot be made here: /cpu: {lack}");
        }

        long data = 0;
        foreach (var contents in memory)
        {
            data += source.Look(contents, faults) ?? 0;
        }

        CheckMemory(data, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes, faults);
    }

    /// <summary>Memory that is zero is the host's until the guest touches it. The rest must have room at once.</summary>
    /// <param name="available">As the collector sees it: where a control group sets a limit, it takes three quarters of that for
    /// all.</param>
    internal static void CheckMemory(long data, long available, List<string> faults)
    {
        long most = available / 3 * 4;
        if (data > most)
        {
            faults.Add($"The guest's memory holds {ByteSize.Format((ulong)data)}; this host has {ByteSize.Format((ulong)available)}.");
        }
    }
}
