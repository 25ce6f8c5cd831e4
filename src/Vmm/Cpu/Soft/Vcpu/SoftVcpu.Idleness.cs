using System.Diagnostics;

namespace WebVm.Vmm.Cpu.Soft.Vcpu;

/// <content>
/// Memory of a guest that has little to do. What was decoded while it started is most of what is decoded, and is hardly executed again; a
/// processor that only wakes for its timer needs a hundredth of it, which is decoded anew in a millisecond.
/// </content>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>Bytes of decoded blocks that are left to an idle processor.</summary>
    private const uint IdleBlocks = 4 << 20;

    /// <summary>Instructions a second below which a processor is idle: some hundred wake-ups.</summary>
    private const ulong IdleSpeed = 2_000_000;

    private long _windowStart = Environment.TickCount64;
    private ulong _windowInstructions;

    /// <summary>For so long a processor is looked at before it counts as idle.</summary>
    public TimeSpan IdleWindow { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>It waits for an event.</summary>
    public bool Asleep => _asleep;

    /// <summary>CLOCK_MONOTONIC until which to sleep before there is something to give back.</summary>
    private long IdlePatience => Blocks.Used > IdleBlocks ? Stopwatch.GetTimestamp() + (long)IdleWindow.TotalNanoseconds : long.MaxValue;

    /// <summary>On the processor's own thread, between blocks.</summary>
    private void GiveBackWhenIdle()
    {
        long now = Environment.TickCount64;
        if (now - _windowStart < (long)IdleWindow.TotalMilliseconds)
        {
            return;
        }

        if (Blocks.Used > IdleBlocks && _cpu->Instructions - _windowInstructions < (ulong)(IdleSpeed * IdleWindow.TotalSeconds))
        {
            Blocks.Release();
        }

        _windowStart = now;
        _windowInstructions = _cpu->Instructions;
    }
}
