using WebVm.Vmm.Cpu.Soft.Semantics;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>The control registers both processors run with.</summary>
internal static class Ring3Controls
{
    /// <summary>PG, AM, WP, NE, ET, MP, PE.</summary>
    public const ulong Cr0 = 0x80050033;

    /// <summary>PAE, OSFXSR, OSXMMEXCPT, OSXSAVE.</summary>
    public const ulong Cr4 = 0x40620;

    /// <summary>SCE, LME, LMA, NXE.</summary>
    public const ulong Efer = 0xd01;

    public static ulong Xcr0 => VectorFeatures.Xcr0Supported;
}

/// <summary>Reads the exception frame that delivery left on the kernel stack (SDM Vol. 3A §6.14.2).</summary>
internal static class Ring3Frame
{
    private const int PageFault = 14;

    public static void Complete(Ring3State state, GuestMemory memory, ulong handlerRip, ulong kernelRsp, ulong cr2)
    {
        if (handlerRip < Ring3Layout.Handlers || handlerRip >= Ring3Layout.Handlers + (256 * Ring3Layout.HandlerSize))
        {
            throw new InvalidOperationException($"Stopped outside the exception handlers, at {handlerRip:x}.");
        }

        state.Vector = (int)((handlerRip - Ring3Layout.Handlers) / Ring3Layout.HandlerSize);
        bool hasError = state.Vector is 8 or 10 or 11 or 12 or 13 or 14 or 17 or 21;
        ulong frame = kernelRsp;
        state.ErrorCode = 0;
        if (hasError)
        {
            state.ErrorCode = Read(memory, frame);
            frame += 8;
        }

        state.Rip = Read(memory, frame);
        state.Rflags = Read(memory, frame + 16);
        state.Gpr[4] = Read(memory, frame + 24);
        state.Cr2 = state.Vector == PageFault ? cr2 : 0;
    }

    private static ulong Read(GuestMemory memory, ulong address) =>
        memory.TryRead(new GuestPhysicalAddress(address), out ulong value)
            ? value
            : throw new InvalidOperationException($"The kernel stack pointer is wild: {address:x}.");
}
