namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>What user code can see of its processor, and why it stopped.</summary>
internal sealed class Ring3State
{
    public const int XsaveSize = 832;

    /// <summary>Whether CS is the 32-bit one (compatibility mode).</summary>
    public bool Compatibility;

    public readonly ulong[] Gpr = new ulong[16];
    public ulong Rip;
    public ulong Rflags = 0x202;
    public readonly byte[] Xsave = new byte[XsaveSize];

    /// <summary>The exception that ended the run.</summary>
    public int Vector;
    public ulong ErrorCode;

    /// <summary>Of a page fault; else 0.</summary>
    public ulong Cr2;

    public void CopyFrom(Ring3State other)
    {
        Compatibility = other.Compatibility;
        other.Gpr.CopyTo(Gpr, 0);
        Rip = other.Rip;
        Rflags = other.Rflags;
        other.Xsave.CopyTo(Xsave, 0);
        Vector = other.Vector;
        ErrorCode = other.ErrorCode;
        Cr2 = other.Cr2;
    }
}

/// <summary>A processor that runs user code of the guest in <see cref="Ring3Layout"/> until it raises an exception.</summary>
internal interface IRing3Machine : IDisposable
{
    WebVm.Vmm.Memory.GuestMemory Memory { get; }

    /// <summary>Starts in the given state and replaces it by the state at the exception.</summary>
    void Run(Ring3State state);
}
