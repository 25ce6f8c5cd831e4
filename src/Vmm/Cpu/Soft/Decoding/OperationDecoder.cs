using Iced.Intel;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

/// <summary>
/// Turns instruction bytes into an <see cref="Operation"/>: Iced decodes, this fills in the operands, the selectors choose the handler.
/// </summary>
internal sealed unsafe class OperationDecoder
{
    /// <summary>An instruction is at most this long (SDM Vol. 2A §2.3.11).</summary>
    public const int MaximumLength = 15;

    private readonly CodeReader _reader = new();
    private readonly Decoder _decoder16;
    private readonly Decoder _decoder32;
    private readonly Decoder _decoder64;
    private bool _tooLong;

    private readonly CpuProfile _profile;

    /// <param name="profile">Instructions of features that it lacks are undefined.</param>
    public OperationDecoder(CpuProfile profile)
    {
        // Hint space that no offered feature occupies executes as NOP (SDM Vol. 2B, NOP).
        _profile = profile;
        var options = DecoderOptions.ForceReservedNop | profile.DecoderOptions;
        _decoder16 = Decoder.Create(16, _reader, options);
        _decoder32 = Decoder.Create(32, _reader, options);
        _decoder64 = Decoder.Create(64, _reader, options);
    }

    /// <summary>The last instruction decoded was cut off at 15 bytes.</summary>
    public bool TooLong => _tooLong;

    /// <summary>Decodes one instruction.</summary>
    /// <param name="bytes">Where the bytes are, <paramref name="available"/> of them.</param>
    /// <param name="rip">Program counter of the instruction.</param>
    /// <returns>False if the bytes do not suffice for a whole instruction (and are fewer than <see cref="MaximumLength"/>).</returns>
    public bool TryDecode(byte* bytes, int available, ulong rip, DecodeMode mode, out Instruction instruction)
    {
        var decoder = mode.Bitness switch { 64 => _decoder64, 32 => _decoder32, _ => _decoder16 };
        _reader.Reset(bytes, Math.Min(available, MaximumLength));
        decoder.IP = rip;
        decoder.Decode(out instruction);
        // The decoder stops at 15 bytes by itself and calls the rest of the instruction, like an undefined one, invalid.
        _tooLong = instruction.IsInvalid && instruction.Length >= MaximumLength;
        if (_profile.Lacks(in instruction))
        {
            instruction.Code = Code.INVALID;
        }

        return decoder.LastError != DecoderError.NoMoreBytes || available >= MaximumLength;
    }

    /// <summary>Fills the operation from a decoded instruction.</summary>
    /// <param name="blockRip">Program counter of the block's first instruction.</param>
    public static void Fill(in Instruction instruction, DecodeMode mode, ulong blockRip, Operation* operation, bool tooLong)
    {
        *operation = default;
        ulong offset = instruction.IP - blockRip;
        operation->Offset = (ushort)offset;
        operation->Length = (byte)instruction.Length;
        operation->Base = operation->Index = CpuState.ZeroRegister;
        var flags = OperationFlags.None;
        if (mode.Bitness == 64)
        {
            flags |= OperationFlags.Long;
        }
        else if (mode.Flat)
        {
            flags |= OperationFlags.FlatData;
        }

        flags |= mode.StackBits switch { 16 => OperationFlags.Stack16, 32 => OperationFlags.Stack32, _ => OperationFlags.None };
        if (instruction.IsInvalid)
        {
            operation->Flags = flags;
            operation->Handler = tooLong ? &InvalidInstructions.TooLong : &InvalidInstructions.Undefined;
            return;
        }

        if (instruction.HasLockPrefix)
        {
            flags |= OperationFlags.Lock;
        }

        if (instruction.HasRepPrefix)
        {
            flags |= OperationFlags.Rep;
        }

        if (instruction.HasRepnePrefix)
        {
            flags |= OperationFlags.Repne;
        }

        int registers = 0;
        bool immediateSeen = false;
        operation->Segment = SegmentNumber(instruction.MemorySegment, SegmentIndex.Ds);
        for (int i = 0; i < instruction.OpCount; i++)
        {
            switch (instruction.GetOpKind(i))
            {
                case OpKind.Register:
                    byte number = RegisterNumber(instruction.GetOpRegister(i));
                    switch (registers++)
                    {
                        case 0: operation->Reg0 = number; break;
                        case 1: operation->Reg1 = number; break;
                        case 2: operation->Reg2 = number; break;
                        default: break;
                    }

                    break;

                case OpKind.NearBranch16:
                case OpKind.NearBranch32:
                case OpKind.NearBranch64:
                    operation->Immediate = instruction.NearBranchTarget - blockRip;
                    break;

                case OpKind.FarBranch16:
                    operation->Immediate = instruction.FarBranch16;
                    operation->Displacement = instruction.FarBranchSelector;
                    break;

                case OpKind.FarBranch32:
                    operation->Immediate = instruction.FarBranch32;
                    operation->Displacement = instruction.FarBranchSelector;
                    break;

                case OpKind.Memory:
                    FillMemory(in instruction, mode, blockRip, operation, ref flags);
                    break;

                case OpKind.MemorySegSI:
                case OpKind.MemorySegDI:
                case OpKind.MemoryESDI:
                    flags |= OperationFlags.Address16;
                    break;

                case OpKind.MemorySegESI:
                case OpKind.MemorySegEDI:
                case OpKind.MemoryESEDI:
                    flags |= OperationFlags.Address32;
                    break;

                case OpKind.MemorySegRSI:
                case OpKind.MemorySegRDI:
                case OpKind.MemoryESRDI:
                    break;

                case OpKind.Immediate8_2nd:
                    operation->Displacement = instruction.Immediate8_2nd;
                    break;

                default:
                    if (!immediateSeen)
                    {
                        immediateSeen = true;
                        operation->Immediate = instruction.GetImmediate(i);
                    }

                    break;
            }
        }

        // XCHG with memory locks without a prefix (SDM Vol. 2B, XCHG).
        if (instruction.Mnemonic == Mnemonic.Xchg && (instruction.Op0Kind == OpKind.Memory || instruction.Op1Kind == OpKind.Memory))
        {
            flags |= OperationFlags.Lock;
        }

        operation->Flags = flags;
        if (!Selectors.TrySelect(in instruction, in mode, operation))
        {
            operation->Handler = &InvalidInstructions.Undefined;
        }
    }

    /// <summary>
    /// A register operand as <see cref="Operation"/> names it: byte offset into the register file for general registers, the plain number
    /// for all others (segment, control, debug, MMX, x87 and vector registers).
    /// </summary>
    public static byte RegisterNumber(Register register) => register switch
    {
        >= Register.AH and <= Register.BH => (byte)(((register - Register.AH) * 8) + 1),
        Register.None => CpuState.ZeroRegister,
        _ when register.IsGPR8() => (byte)(GprNumber8(register) * 8),
        _ when register.IsGPR() => (byte)(register.GetNumber() * 8),
        _ => (byte)register.GetNumber(),
    };

    private static int GprNumber8(Register register) => register switch
    {
        <= Register.BL => register - Register.AL,
        _ => register - Register.SPL + 4,
    };

    private static byte SegmentNumber(Register register, SegmentIndex otherwise) =>
        register is >= Register.ES and <= Register.GS ? (byte)(register - Register.ES) : (byte)otherwise;

    private static void FillMemory(
        in Instruction instruction, DecodeMode mode, ulong blockRip, Operation* operation, ref OperationFlags flags)
    {
        var baseRegister = instruction.MemoryBase;
        var indexRegister = instruction.MemoryIndex;
        int addressBits = AddressBits(in instruction, mode, baseRegister, indexRegister);
        flags |= addressBits switch { 16 => OperationFlags.Address16, 32 => OperationFlags.Address32, _ => OperationFlags.None };

        long displacement = (long)instruction.MemoryDisplacement64;
        if (baseRegister is Register.RIP or Register.EIP)
        {
            operation->Base = CpuState.RipRegister;
            displacement -= (long)blockRip;
            if (baseRegister == Register.EIP)
            {
                displacement = (int)displacement;
            }
        }
        else if (baseRegister != Register.None)
        {
            operation->Base = (byte)(baseRegister.GetNumber() * 8);
        }

        if (indexRegister.IsGPR() && !indexRegister.IsGPR8())
        {
            operation->Index = (byte)(indexRegister.GetNumber() * 8);
        }
        else if (indexRegister.IsVectorRegister())
        {
            operation->Index = (byte)indexRegister.GetNumber();
        }

        operation->Scale = (byte)System.Numerics.BitOperations.Log2((uint)instruction.MemoryIndexScale);
        bool longFlat = mode.Bitness == 64 && addressBits == 64 && operation->Segment < (byte)SegmentIndex.Fs;
        if (longFlat)
        {
            flags |= OperationFlags.Flat;
        }

        operation->Displacement = (int)displacement;
        if (baseRegister is Register.RIP && displacement > int.MaxValue)
        {
            // As seen from the block's first instruction it may lie up to a block's length farther than 31 bits reach.
            operation->Index = CpuState.FourGigabytesRegister;
        }
    }

    private static int AddressBits(in Instruction instruction, DecodeMode mode, Register baseRegister, Register indexRegister)
    {
        var register = baseRegister != Register.None ? baseRegister : indexRegister.IsVectorRegister() ? Register.None : indexRegister;
        if (register is Register.RIP || register.IsGPR64())
        {
            return 64;
        }

        if (register is Register.EIP || register.IsGPR32())
        {
            return 32;
        }

        if (register.IsGPR16())
        {
            return 16;
        }

        return instruction.MemoryDisplSize switch { 8 => 64, 4 => 32, 2 => 16, _ => mode.Bitness };
    }
}
