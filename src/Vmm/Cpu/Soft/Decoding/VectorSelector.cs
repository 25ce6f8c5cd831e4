using System.Runtime.Intrinsics;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics;
using WebVm.Vmm.Cpu.Soft.Semantics.Vector;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

/// <summary>Chooses the handlers of x87, MMX, SSE, AVX, AES, SHA and extended-state instructions.</summary>
internal static unsafe partial class VectorSelector
{
    private enum Family : byte
    {
        Unknown,
        None,
        X87,
        Mmx,
        Vector,
    }

    // Iced numbers instruction codes from 0; it has some 4900.
    private const int MaximumCodes = 8192;

    private static readonly Family[] _families = new Family[MaximumCodes];

    /// <summary>
    /// Sets the handler (and, for what runs as a host stub, the operands it needs). False: not of this family, or not offered.
    /// </summary>
    public static bool TrySelect(in Instruction instruction, in DecodeMode mode, Operation* operation)
    {
        if (TrySelectState(in instruction, operation))
        {
            return true;
        }

        switch (FamilyOf(instruction.Code))
        {
            case Family.X87:
                return TrySelectX87(in instruction, in mode, operation);
            case Family.Mmx:
            case Family.Vector:
                if (instruction.HasLockPrefix || (IsVex(instruction.Code) && !mode.Protected))
                {
                    return false;
                }

                return TrySelectElementwise(in instruction, operation)
                    || TrySelectDirect(in instruction, operation)
                    || SelectStub(in instruction, operation);
            default:
                return false;
        }
    }

    private static bool SelectStub(in Instruction instruction, Operation* operation)
    {
        if (instruction.OpCount == 0)
        {
            return false;
        }

        VectorForm* form = VectorForms.Of(in instruction);
        operation->Immediate = (ulong)form;
        bool vex = (form->Flags & VectorFormFlags.Vex) != 0;
        bool mmx = (form->Flags & VectorFormFlags.Mmx) != 0;
        bool xmm = NameRegisters(in instruction, operation, form->MemoryBytes != 0);
        if (form->MemoryBytes == 0)
        {
            bool plain = (form->Flags & (VectorFormFlags.Float | VectorFormFlags.Mmx | VectorFormFlags.WritesFlags)) == 0;
            operation->Handler = (plain, vex, mmx, xmm) switch
            {
                (true, true, _, _) => &StubHandlers.Registers<AvxAccess>,
                (true, false, _, _) => &StubHandlers.Registers<SseAccess>,
                (false, true, _, _) => &StubHandlers.RegistersWithEffects<AvxAccess>,
                (false, false, false, _) => &StubHandlers.RegistersWithEffects<SseAccess>,
                (false, false, true, false) => &StubHandlers.RegistersWithEffects<MmxAccess>,
                (false, false, true, true) => &StubHandlers.RegistersWithEffects<MmxSseAccess>,
            };
            return true;
        }

        bool store = (form->Flags & VectorFormFlags.Store) != 0;
        operation->Handler = vex
            ? SizedHandler<AvxAccess>(form->MemoryBytes, store)
            : !mmx ? SizedHandler<SseAccess>(form->MemoryBytes, store)
            : xmm ? SizedHandler<MmxSseAccess>(form->MemoryBytes, store)
            : SizedHandler<MmxAccess>(form->MemoryBytes, store);
        return operation->Handler != null;
    }

    private static delegate*<CpuContext*, Operation*, Operation*> SizedHandler<TAccess>(int bytes, bool store)
        where TAccess : struct, IVectorAccess => (bytes, store) switch
        {
            (1, false) => &StubHandlers.Load<TAccess, byte>,
            (2, false) => &StubHandlers.Load<TAccess, ushort>,
            (4, false) => &StubHandlers.Load<TAccess, uint>,
            (8, false) => &StubHandlers.Load<TAccess, ulong>,
            (16, false) => &StubHandlers.Load<TAccess, Vector128<byte>>,
            (32, false) => &StubHandlers.Load<TAccess, Vector256<byte>>,
            (1, true) => &StubHandlers.Store<TAccess, byte>,
            (2, true) => &StubHandlers.Store<TAccess, ushort>,
            (4, true) => &StubHandlers.Store<TAccess, uint>,
            (8, true) => &StubHandlers.Store<TAccess, ulong>,
            (16, true) => &StubHandlers.Store<TAccess, Vector128<byte>>,
            (32, true) => &StubHandlers.Store<TAccess, Vector256<byte>>,
            _ => null,
        };

    /// <summary>Names the register operands by slot; tells whether there is a vector register among them.</summary>
    private static bool NameRegisters(in Instruction instruction, Operation* operation, bool memory)
    {
        bool xmm = false;
        int count = 0;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) != OpKind.Register)
            {
                continue;
            }

            Register register = instruction.GetOpRegister(i);
            xmm |= register.IsXMM() || register.IsYMM();
            byte slot = VectorRegisters.SlotOf(register);
            switch (count++)
            {
                case 0: operation->Reg0 = slot; break;
                case 1: operation->Reg1 = slot; break;
                case 2: operation->Reg2 = slot; break;
                default:
                    // Only forms without a memory operand have four registers; their address fields are free.
                    if (!memory)
                    {
                        operation->Base = slot;
                    }

                    break;
            }
        }

        return xmm;
    }

    private static bool IsVex(Code code) => code.Encoding() == EncodingKind.VEX;

    private static Family FamilyOf(Code code)
    {
        Family family = _families[(int)code];
        if (family == Family.Unknown)
        {
            family = Classify(code);
            _families[(int)code] = family;
        }

        return family;
    }

    private static Family Classify(Code code)
    {
        EncodingKind encoding = code.Encoding();
        if (encoding is not (EncodingKind.Legacy or EncodingKind.VEX) || code.Mnemonic() == Mnemonic.Crc32)
        {
            return Family.None;
        }

        var family = Family.None;
        foreach (CpuidFeature feature in code.CpuidFeatures())
        {
            if (feature == CpuidFeature.CMOV)
            {
                // CMOVcc is an integer instruction, FCMOVcc names FPU as well.
                continue;
            }

            Family one = OfferedFamily(feature);
            if (one == Family.None)
            {
                return Family.None;
            }

            // FCMOV (FPU and CMOV) and FISTTP (FPU and SSE3) are x87.
            family = family == Family.X87 ? family : one;
        }

        return family;
    }

    private static Family OfferedFamily(CpuidFeature feature) => feature switch
    {
        CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387 => Family.X87,
        CpuidFeature.MMX => Family.Mmx,
        CpuidFeature.SSE or CpuidFeature.SSE2 => Family.Vector,
        CpuidFeature.SSE3 => If(VectorFeatures.Leaf1Ecx, 0),
        CpuidFeature.PCLMULQDQ => If(VectorFeatures.Leaf1Ecx, 1),
        CpuidFeature.SSSE3 => If(VectorFeatures.Leaf1Ecx, 9),
        CpuidFeature.FMA => If(VectorFeatures.Leaf1Ecx, 12),
        CpuidFeature.SSE4_1 => If(VectorFeatures.Leaf1Ecx, 19),
        CpuidFeature.SSE4_2 => If(VectorFeatures.Leaf1Ecx, 20),
        CpuidFeature.AES => If(VectorFeatures.Leaf1Ecx, 25),
        CpuidFeature.AVX => If(VectorFeatures.Leaf1Ecx, 28),
        CpuidFeature.F16C => If(VectorFeatures.Leaf1Ecx, 29),
        CpuidFeature.AVX2 => If(VectorFeatures.Leaf7Ebx, 5),
        CpuidFeature.SHA => If(VectorFeatures.Leaf7Ebx, 29),
        CpuidFeature.GFNI => If(VectorFeatures.Leaf7Ecx, 8),
        CpuidFeature.VAES => If(VectorFeatures.Leaf7Ecx, 9),
        CpuidFeature.VPCLMULQDQ => If(VectorFeatures.Leaf7Ecx, 10),
        CpuidFeature.AVX_VNNI => If(VectorFeatures.Leaf7Subleaf1Eax, 4),
        _ => Family.None,
    };

    private static Family If(uint features, int bit) => ((features >> bit) & 1) != 0 ? Family.Vector : Family.None;
}
