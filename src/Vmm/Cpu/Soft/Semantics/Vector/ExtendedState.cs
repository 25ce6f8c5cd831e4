using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.Soft.Semantics.X87;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>
/// FXSAVE, FXRSTOR and the XSAVE family (SDM Vol. 1 chapter 13). <see cref="Operation.Immediate"/>: 1 for the forms with REX.W.
/// </summary>
internal static unsafe class ExtendedState
{
    private const uint InitialMxcsr = 0x1f80;
    private const ulong Compacted = 1UL << 63;
    private const uint FxAlignment = 16;
    private const uint XsaveAlignment = 64;
    private const ulong SseAndAvx = VectorFeatures.StateSse | VectorFeatures.StateAvx;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Fxsave(CpuContext* cpu, Operation* op)
    {
        if (!CheckFx(cpu, op))
        {
            return Faults.Faulted(cpu, op);
        }

        XsaveArea image;
        ExtendedStateImage.FillX87(cpu, &image, op->Immediate != 0);
        int end = XsaveArea.XmmOffset + (16 * ExtendedStateImage.RegisterCount(op));
        return new ExtendedStateImage(cpu, op).TryWrite((byte*)&image, 0, end) ? op + 1 : Faults.Faulted(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Fxrstor(CpuContext* cpu, Operation* op)
    {
        if (!CheckFx(cpu, op))
        {
            return Faults.Faulted(cpu, op);
        }

        XsaveArea image;
        int end = XsaveArea.XmmOffset + (16 * ExtendedStateImage.RegisterCount(op));
        if (!new ExtendedStateImage(cpu, op).TryRead((byte*)&image, 0, end))
        {
            return Faults.Faulted(cpu, op);
        }

        bool sse = (cpu->State.Cr4 & Cr4.Osfxsr) != 0;
        if (sse && (image.Mxcsr & ~VectorFeatures.MxcsrMask) != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        ExtendedStateImage.LoadX87(cpu, &image, op->Immediate != 0);
        if (sse)
        {
            cpu->State.Xsave.Mxcsr = image.Mxcsr;
            Copy(image.Xmm, cpu->State.Xsave.Xmm, op);
        }

        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Xsave(CpuContext* cpu, Operation* op) => SaveStandard(cpu, op, optimized: false);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Xsaveopt(CpuContext* cpu, Operation* op) => SaveStandard(cpu, op, optimized: true);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Xsavec(CpuContext* cpu, Operation* op)
    {
        if (!CheckXsave(cpu, op))
        {
            return Faults.Faulted(cpu, op);
        }

        ulong requested = Requested(cpu);
        ulong used = InUse(cpu);
        if (cpu->State.Xsave.Mxcsr != InitialMxcsr)
        {
            // MXCSR belongs to the SSE component here (SDM Vol. 1 §13.10).
            used |= VectorFeatures.StateSse;
        }

        XsaveArea image;
        ExtendedStateImage.FillX87(cpu, &image, op->Immediate != 0);
        ulong stored = requested & used;
        new Span<byte>((byte*)&image + ExtendedStateImage.HeaderStart, 64).Clear();
        image.StateBitmap = stored;
        image.CompactedBitmap = requested | Compacted;
        var target = new ExtendedStateImage(cpu, op);
        int pkru = PkruAt(requested | Compacted);
        *(ulong*)((byte*)&image + pkru) = cpu->State.Xsave.Pkru;
        bool done = WriteComponents(target, &image, op, stored, (stored & VectorFeatures.StateSse) != 0, pkru)
            && target.TryWrite((byte*)&image, ExtendedStateImage.HeaderStart, ExtendedStateImage.HeaderStart + 16);
        return done ? op + 1 : Faults.Faulted(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Xrstor(CpuContext* cpu, Operation* op)
    {
        if (!CheckXsave(cpu, op))
        {
            return Faults.Faulted(cpu, op);
        }

        XsaveArea image;
        var source = new ExtendedStateImage(cpu, op);
        if (!source.TryRead((byte*)&image, ExtendedStateImage.HeaderStart, ExtendedStateImage.HeaderStart + 64))
        {
            return Faults.Faulted(cpu, op);
        }

        bool compacted = (image.CompactedBitmap & Compacted) != 0;
        if (!IsValidHeader(cpu, &image, compacted))
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        ulong requested = Requested(cpu);
        ulong present = requested & image.StateBitmap;
        bool loadMxcsr = compacted ? (present & VectorFeatures.StateSse) != 0 : (requested & SseAndAvx) != 0;
        int pkru = PkruAt(image.CompactedBitmap);
        if (!ReadComponents(source, &image, op, present, loadMxcsr, pkru))
        {
            return Faults.Faulted(cpu, op);
        }

        if (loadMxcsr && (image.Mxcsr & ~VectorFeatures.MxcsrMask) != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        Commit(cpu, op, &image, requested, present);
        if ((requested & VectorFeatures.StatePkru) != 0)
        {
            ProtectionKeyRights.SetUser(cpu, (present & VectorFeatures.StatePkru) != 0 ? *(uint*)((byte*)&image + pkru) : 0);
        }

        if (loadMxcsr)
        {
            cpu->State.Xsave.Mxcsr = image.Mxcsr;
        }
        else if (compacted && (requested & VectorFeatures.StateSse) != 0)
        {
            cpu->State.Xsave.Mxcsr = InitialMxcsr;
        }

        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Xgetbv(CpuContext* cpu, Operation* op)
    {
        if ((cpu->State.Cr4 & Cr4.Osxsave) == 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);
        }

        uint register = (uint)cpu->State.Gpr[1];
        if (register > 1 || (register == 1 && (CpuEnvironment.Of(cpu).Profile.Features[CpuidWord.LeafDSubleaf1Eax] & 4) == 0))
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        ulong value = cpu->State.Xcr0 & (register == 0 ? ulong.MaxValue : InUse(cpu));
        cpu->State.Gpr[0] = (uint)value;
        cpu->State.Gpr[2] = value >> 32;
        return op + 1;
    }

    /// <summary>XINUSE: the components that are not in their initial configuration (SDM Vol. 1 §13.6).</summary>
    public static ulong InUse(CpuContext* cpu)
    {
        ref XsaveArea area = ref cpu->State.Xsave;
        ulong used = 0;
        if (area.ControlWord != X87State.InitialControlWord || area.StatusWord != 0 || area.TagWord != 0 || area.Opcode != 0
            || area.InstructionPointer != 0 || area.DataPointer != 0 || NotZero(cpu->State.Xsave.St, 128))
        {
            used |= VectorFeatures.StateX87;
        }

        if (NotZero(cpu->State.Xsave.Xmm, 256))
        {
            used |= VectorFeatures.StateSse;
        }

        if (NotZero(cpu->State.Xsave.YmmHigh, 256))
        {
            used |= VectorFeatures.StateAvx;
        }

        return cpu->State.Xsave.Pkru != 0 ? used | VectorFeatures.StatePkru : used;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Operation* SaveStandard(CpuContext* cpu, Operation* op, bool optimized)
    {
        if (!CheckXsave(cpu, op))
        {
            return Faults.Faulted(cpu, op);
        }

        var target = new ExtendedStateImage(cpu, op);
        XsaveArea image;
        if (!target.TryRead((byte*)&image, ExtendedStateImage.HeaderStart, ExtendedStateImage.HeaderStart + 8))
        {
            return Faults.Faulted(cpu, op);
        }

        ulong before = image.StateBitmap;
        ulong requested = Requested(cpu);
        ulong used = InUse(cpu);
        ExtendedStateImage.FillX87(cpu, &image, op->Immediate != 0);
        image.StateBitmap = (before & ~requested) | (used & requested);
        image.Pkru = cpu->State.Xsave.Pkru;
        bool done = WriteComponents(
            target, &image, op, optimized ? requested & used : requested, (requested & SseAndAvx) != 0, XsaveArea.PkruOffset)
            && target.TryWrite((byte*)&image, ExtendedStateImage.HeaderStart, ExtendedStateImage.HeaderStart + 8);
        return done ? op + 1 : Faults.Faulted(cpu, op);
    }

    /// <summary>
    /// Where PKRU lies: in compacted format behind what is there, and all but AVX's registers always is (SDM Vol. 1 §13.4.3).
    /// </summary>
    private static int PkruAt(ulong format) =>
        (format & Compacted) != 0 && (format & VectorFeatures.StateAvx) == 0 ? XsaveArea.YmmHighOffset : XsaveArea.PkruOffset;

    private static bool WriteComponents(ExtendedStateImage target, XsaveArea* image, Operation* op, ulong components, bool mxcsr, int pkru)
    {
        int registers = 16 * ExtendedStateImage.RegisterCount(op);
        byte* bytes = (byte*)image;
        if ((components & VectorFeatures.StateX87) != 0
            && !(target.TryWrite(bytes, ExtendedStateImage.X87Start, ExtendedStateImage.MxcsrStart)
                && target.TryWrite(bytes, ExtendedStateImage.RegistersStart, XsaveArea.XmmOffset)))
        {
            return false;
        }

        if (mxcsr && !target.TryWrite(bytes, ExtendedStateImage.MxcsrStart, ExtendedStateImage.RegistersStart))
        {
            return false;
        }

        return ((components & VectorFeatures.StateSse) == 0
                || target.TryWrite(bytes, XsaveArea.XmmOffset, XsaveArea.XmmOffset + registers))
            && ((components & VectorFeatures.StateAvx) == 0
                || target.TryWrite(bytes, XsaveArea.YmmHighOffset, XsaveArea.YmmHighOffset + registers))
            && ((components & VectorFeatures.StatePkru) == 0 || target.TryWrite(bytes, pkru, pkru + sizeof(ulong)));
    }

    private static bool ReadComponents(ExtendedStateImage source, XsaveArea* image, Operation* op, ulong components, bool mxcsr, int pkru)
    {
        int registers = 16 * ExtendedStateImage.RegisterCount(op);
        byte* bytes = (byte*)image;
        if ((components & VectorFeatures.StateX87) != 0
            && !(source.TryRead(bytes, ExtendedStateImage.X87Start, ExtendedStateImage.MxcsrStart)
                && source.TryRead(bytes, ExtendedStateImage.RegistersStart, XsaveArea.XmmOffset)))
        {
            return false;
        }

        if (mxcsr && !source.TryRead(bytes, ExtendedStateImage.MxcsrStart, ExtendedStateImage.RegistersStart))
        {
            return false;
        }

        return ((components & VectorFeatures.StateSse) == 0
                || source.TryRead(bytes, XsaveArea.XmmOffset, XsaveArea.XmmOffset + registers))
            && ((components & VectorFeatures.StateAvx) == 0
                || source.TryRead(bytes, XsaveArea.YmmHighOffset, XsaveArea.YmmHighOffset + registers))
            && ((components & VectorFeatures.StatePkru) == 0 || source.TryRead(bytes, pkru, pkru + sizeof(ulong)));
    }

    private static void Commit(CpuContext* cpu, Operation* op, XsaveArea* image, ulong requested, ulong present)
    {
        int registers = 16 * ExtendedStateImage.RegisterCount(op);
        if ((present & VectorFeatures.StateX87) != 0)
        {
            ExtendedStateImage.LoadX87(cpu, image, op->Immediate != 0);
        }
        else if ((requested & VectorFeatures.StateX87) != 0)
        {
            X87State.Initialize(cpu);
            new Span<byte>(cpu->State.Xsave.St, 128).Clear();
        }

        if ((present & VectorFeatures.StateSse) != 0)
        {
            Copy(image->Xmm, cpu->State.Xsave.Xmm, op);
        }
        else if ((requested & VectorFeatures.StateSse) != 0)
        {
            new Span<byte>(cpu->State.Xsave.Xmm, registers).Clear();
        }

        if ((present & VectorFeatures.StateAvx) != 0)
        {
            Copy(image->YmmHigh, cpu->State.Xsave.YmmHigh, op);
        }
        else if ((requested & VectorFeatures.StateAvx) != 0)
        {
            new Span<byte>(cpu->State.Xsave.YmmHigh, registers).Clear();
        }
    }

    // SDM Vol. 1 §13.8.1, §13.8.2.
    private static bool IsValidHeader(CpuContext* cpu, XsaveArea* image, bool compacted)
    {
        ulong* header = (ulong*)((byte*)image + ExtendedStateImage.HeaderStart);
        if ((header[0] & ~cpu->State.Xcr0) != 0)
        {
            return false;
        }

        if (!compacted)
        {
            return header[1] == 0 && header[2] == 0;
        }

        ulong format = header[1] & ~Compacted;
        return (format & ~cpu->State.Xcr0) == 0 && (header[0] & ~format) == 0 && !NotZero((byte*)(header + 2), 48);
    }

    private static bool CheckFx(CpuContext* cpu, Operation* op)
    {
        if ((cpu->State.Cr0 & (Cr0.Em | Cr0.Ts)) != 0)
        {
            bool emulated = (cpu->State.Cr0 & Cr0.Em) != 0;
            Faults.Record(cpu, emulated ? ExceptionVector.InvalidOpcode : ExceptionVector.DeviceNotAvailable);
            return false;
        }

        return GuestAccess.CheckAligned(cpu, op, FxAlignment);
    }

    private static bool CheckXsave(CpuContext* cpu, Operation* op)
    {
        if ((cpu->State.Cr4 & Cr4.Osxsave) == 0)
        {
            Faults.Record(cpu, ExceptionVector.InvalidOpcode);
            return false;
        }

        if ((cpu->State.Cr0 & Cr0.Ts) != 0)
        {
            Faults.Record(cpu, ExceptionVector.DeviceNotAvailable);
            return false;
        }

        return GuestAccess.CheckAligned(cpu, op, XsaveAlignment);
    }

    /// <summary>RFBM: XCR0 and EDX:EAX.</summary>
    private static ulong Requested(CpuContext* cpu) =>
        cpu->State.Xcr0 & ((uint)cpu->State.Gpr[0] | (cpu->State.Gpr[2] << 32));

    private static void Copy(byte* source, byte* destination, Operation* op)
    {
        int bytes = 16 * ExtendedStateImage.RegisterCount(op);
        Buffer.MemoryCopy(source, destination, bytes, bytes);
    }

    private static bool NotZero(byte* start, int length) => new ReadOnlySpan<byte>(start, length).ContainsAnyExcept((byte)0);
}
