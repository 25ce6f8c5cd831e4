using Iced.Intel;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>
/// Makes one random instruction of a given form, and notes the values that registers must have for it to make sense: addresses
/// mostly inside the guest's data, sometimes on pages that are read-only, privileged or absent.
/// </summary>
internal sealed class RandomInstruction(Random random, int bitness)
{
    private const int StateSize = 1024;

    private Instruction _instruction;

    /// <summary>Registers to set before.</summary>
    public Dictionary<Register, ulong> Setup { get; } = [];

    /// <summary>The vector of indices to make small first, if the instruction gathers.</summary>
    public Register VectorIndex { get; private set; }

    /// <summary>Element bytes of <see cref="VectorIndex"/>.</summary>
    public int VectorIndexBytes { get; private set; }

    /// <summary>Linear address of the memory operand; 0 without one.</summary>
    public ulong Target { get; private set; }

    public ref readonly Instruction Instruction => ref _instruction;

    /// <summary>False if this draw has no encoding; draw again.</summary>
    public bool TryMake(Code code)
    {
        Setup.Clear();
        Target = 0;
        VectorIndex = Register.None;
        OpCodeInfo info = code.ToOpCode();
        _instruction = new Instruction { Code = code };
        for (int i = 0; i < info.OpCount; i++)
        {
            if (!TrySetOperand(i, info.GetOpKind(i)))
            {
                return false;
            }
        }

        if (info.CanUseLockPrefix && _instruction.Op0Kind == OpKind.Memory && random.Next(3) == 0)
        {
            _instruction.HasLockPrefix = true;
        }

        if (info.CanUseRepPrefix && random.Next(2) == 0)
        {
            _instruction.HasRepPrefix = true;
            Need(Register.RCX, (ulong)random.Next(40));
        }
        else if (info.CanUseRepnePrefix && random.Next(2) == 0)
        {
            _instruction.HasRepnePrefix = true;
            Need(Register.RCX, (ulong)random.Next(40));
        }

        return SetSpecialRegisters() && IsPlausible();
    }

    private bool TrySetOperand(int i, OpCodeOperandKind kind)
    {
        string name = kind.ToString();
        bool choice = name.EndsWith("_or_mem", StringComparison.Ordinal);
        if (kind is OpCodeOperandKind.mem or OpCodeOperandKind.mem_mib || (choice && random.Next(2) == 0))
        {
            return SetMemory(i);
        }

        switch (kind)
        {
            case OpCodeOperandKind.mem_offs:
                SetAbsolute(i);
                return true;
            case OpCodeOperandKind.mem_vsib32x or OpCodeOperandKind.mem_vsib64x:
                return SetGather(i, Register.XMM0, kind == OpCodeOperandKind.mem_vsib32x ? 4 : 8);
            case OpCodeOperandKind.mem_vsib32y or OpCodeOperandKind.mem_vsib64y:
                return SetGather(i, Register.YMM0, kind == OpCodeOperandKind.mem_vsib32y ? 4 : 8);
            case OpCodeOperandKind.seg_rSI:
                _instruction.SetOpKind(i, bitness == 64 ? OpKind.MemorySegRSI : OpKind.MemorySegESI);
                return Need(Register.RSI, PickAddress(8));
            case OpCodeOperandKind.es_rDI:
                _instruction.SetOpKind(i, bitness == 64 ? OpKind.MemoryESRDI : OpKind.MemoryESEDI);
                return Need(Register.RDI, PickAddress(8));
            case OpCodeOperandKind.seg_rDI:
                _instruction.SetOpKind(i, bitness == 64 ? OpKind.MemorySegRDI : OpKind.MemorySegEDI);
                return Need(Register.RDI, PickAddress(StateSize));
            case OpCodeOperandKind.seg_rBX_al:
                _instruction.SetOpKind(i, OpKind.Memory);
                _instruction.MemoryBase = bitness == 64 ? Register.RBX : Register.EBX;
                _instruction.MemoryIndex = Register.AL;
                return Need(Register.RBX, PickAddress(256));
        }

        if (name.StartsWith("imm", StringComparison.Ordinal))
        {
            SetImmediate(i, kind);
            return true;
        }

        if (name.StartsWith("br", StringComparison.Ordinal))
        {
            _instruction.SetOpKind(i, bitness == 64 ? OpKind.NearBranch64 : OpKind.NearBranch32);
            return true;
        }

        Register register = PickRegister(kind, name);
        if (register == Register.None)
        {
            return false;
        }

        _instruction.SetOpKind(i, OpKind.Register);
        _instruction.SetOpRegister(i, register);
        return true;
    }

    private Register PickRegister(OpCodeOperandKind kind, string name)
    {
        int count = bitness == 64 ? 16 : 8;
        int number = random.Next(count);
        if (name.StartsWith("r8_", StringComparison.Ordinal))
        {
            return bitness == 64 && random.Next(4) != 0 ? ByteRegisters.Numbered(number) : Register.AL + random.Next(8);
        }

        return kind switch
        {
            OpCodeOperandKind.al => Register.AL,
            OpCodeOperandKind.cl => Register.CL,
            OpCodeOperandKind.ax => Register.AX,
            OpCodeOperandKind.dx => Register.DX,
            OpCodeOperandKind.eax => Register.EAX,
            OpCodeOperandKind.rax => Register.RAX,
            OpCodeOperandKind.st0 => Register.ST0,
            OpCodeOperandKind.sti_opcode => Register.ST0 + random.Next(8),
            OpCodeOperandKind.es => Register.ES,
            OpCodeOperandKind.cs => Register.CS,
            OpCodeOperandKind.ss => Register.SS,
            OpCodeOperandKind.ds => Register.DS,
            OpCodeOperandKind.fs => Register.FS,
            OpCodeOperandKind.gs => Register.GS,
            OpCodeOperandKind.seg_reg => Register.ES + random.Next(6),
            _ when name.StartsWith("r16_", StringComparison.Ordinal) => Register.AX + number,
            _ when name.StartsWith("r32_", StringComparison.Ordinal) => Register.EAX + number,
            _ when name.StartsWith("r64_", StringComparison.Ordinal) => Register.RAX + number,
            _ when name.StartsWith("mm_", StringComparison.Ordinal) => Register.MM0 + random.Next(8),
            _ when name.StartsWith("xmm_", StringComparison.Ordinal) => Register.XMM0 + number,
            _ when name.StartsWith("ymm_", StringComparison.Ordinal) => Register.YMM0 + number,
            _ => Register.None,
        };
    }

    private void SetImmediate(int i, OpCodeOperandKind kind)
    {
        ulong value = RandomValue.Integer(random);
        switch (kind)
        {
            case OpCodeOperandKind.imm8 or OpCodeOperandKind.imm8_const_1:
                _instruction.SetOpKind(i, _instruction.Code is Code.Enterq_imm16_imm8 or Code.Enterd_imm16_imm8 or Code.Enterw_imm16_imm8
                    ? OpKind.Immediate8_2nd : OpKind.Immediate8);
                byte imm8 = kind == OpCodeOperandKind.imm8_const_1 ? (byte)1 : (byte)value;
                if (_instruction.GetOpKind(i) == OpKind.Immediate8_2nd)
                {
                    _instruction.Immediate8_2nd = (byte)(imm8 & (random.Next(2) == 0 ? 3 : 31));
                }
                else
                {
                    _instruction.Immediate8 = imm8;
                }

                break;
            case OpCodeOperandKind.imm16:
                _instruction.SetOpKind(i, OpKind.Immediate16);
                _instruction.Immediate16 = (ushort)value;
                break;
            case OpCodeOperandKind.imm32:
                _instruction.SetOpKind(i, OpKind.Immediate32);
                _instruction.Immediate32 = (uint)value;
                break;
            case OpCodeOperandKind.imm64:
                _instruction.SetOpKind(i, OpKind.Immediate64);
                _instruction.Immediate64 = value;
                break;
            case OpCodeOperandKind.imm32sex64:
                _instruction.SetOpKind(i, OpKind.Immediate32to64);
                _instruction.Immediate32to64 = (int)value;
                break;
            case OpCodeOperandKind.imm8sex16:
                _instruction.SetOpKind(i, OpKind.Immediate8to16);
                _instruction.Immediate8to16 = (sbyte)value;
                break;
            case OpCodeOperandKind.imm8sex32:
                _instruction.SetOpKind(i, OpKind.Immediate8to32);
                _instruction.Immediate8to32 = (sbyte)value;
                break;
            case OpCodeOperandKind.imm8sex64:
                _instruction.SetOpKind(i, OpKind.Immediate8to64);
                _instruction.Immediate8to64 = (sbyte)value;
                break;
        }
    }

    private bool SetMemory(int i)
    {
        _instruction.SetOpKind(i, OpKind.Memory);
        ulong target = PickAddress(AccessSize());
        Target = target;
        if (random.Next(16) == 0)
        {
            bool fs = random.Next(2) == 0;
            _instruction.SegmentPrefix = fs ? Register.FS : Register.GS;
            target -= fs ? Ring3Layout.FsBase : Ring3Layout.GsBase;
        }

        bool wide = bitness == 64 && random.Next(8) != 0;
        Register first = wide ? Register.RAX : Register.EAX;
        int count = bitness == 64 ? 16 : 8;
        int form = random.Next(8);
        if (form == 0)
        {
            _instruction.MemoryDisplSize = bitness == 64 ? 8 : 4;
            _instruction.MemoryDisplacement64 = target;
            if (bitness == 64 && random.Next(2) == 0)
            {
                _instruction.MemoryBase = Register.RIP;
            }

            return true;
        }

        int displacement = form switch { <= 2 => 0, <= 5 => random.Next(-128, 128), _ => random.Next(-100000, 100000) };
        _instruction.MemoryDisplacement64 = (ulong)displacement;
        _instruction.MemoryDisplSize = displacement == 0 ? 0 : 1;
        ulong rest = target - (ulong)displacement;
        if (random.Next(3) == 0)
        {
            int index = random.Next(count);
            if (index == 4)
            {
                return false;
            }

            int scale = random.Next(4);
            ulong value = (ulong)random.Next(0, 1000);
            _instruction.MemoryIndex = first + index;
            _instruction.MemoryIndexScale = 1 << scale;
            rest -= value << scale;
            if (!Need(Register.RAX + index, value))
            {
                return false;
            }
        }

        int number = random.Next(count);
        _instruction.MemoryBase = first + number;
        if (!wide)
        {
            rest = (uint)rest;

            // Garbage above the address size must not matter (but RSP is better an address: see DifferentialRun).
            rest |= bitness == 64 && number != 4 && random.Next(2) == 0 ? (ulong)random.NextInt64() << 32 : 0;
        }

        return Need(Register.RAX + number, rest);
    }

    private void SetAbsolute(int i)
    {
        Target = PickAddress(8);
        _instruction.SetOpKind(i, OpKind.Memory);
        _instruction.MemoryDisplSize = bitness == 64 ? 8 : 4;
        _instruction.MemoryDisplacement64 = Target;
    }

    private bool SetGather(int i, Register first, int indexBytes)
    {
        _instruction.SetOpKind(i, OpKind.Memory);
        VectorIndex = first + random.Next(bitness == 64 ? 16 : 8);
        VectorIndexBytes = indexBytes;
        int number = random.Next(bitness == 64 ? 16 : 8);
        _instruction.MemoryBase = (bitness == 64 ? Register.RAX : Register.EAX) + number;
        _instruction.MemoryIndex = VectorIndex;
        _instruction.MemoryIndexScale = 1 << random.Next(4);
        Target = PickAddress(8);
        return Need(Register.RAX + number, Target);
    }

    /// <summary>Registers that an instruction uses without naming them.</summary>
    private bool SetSpecialRegisters()
    {
        switch (_instruction.Mnemonic)
        {
            case Mnemonic.Bt or Mnemonic.Btc or Mnemonic.Btr or Mnemonic.Bts when _instruction.Op1Kind == OpKind.Register:
                return random.Next(8) == 0 || Need(_instruction.Op1Register.GetFullRegister(), (ulong)random.Next(-2000, 2000));
            case Mnemonic.Div or Mnemonic.Idiv when random.Next(4) != 0:
                ulong high = random.Next(3) == 0 ? (ulong)random.Next(100) : 0;
                return Need(Register.RDX, high) && (random.Next(2) == 0 || Need(Register.RAX, RandomValue.Integer(random)));
            case Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne or Mnemonic.Jcxz or Mnemonic.Jecxz or Mnemonic.Jrcxz:
                return Need(Register.RCX, (ulong)random.Next(3));
            case Mnemonic.Enter:
                _instruction.Immediate16 &= 0x1ff;
                return Need(Register.RBP, Ring3Layout.Stack + 0x1000 + (ulong)random.Next(0x200));
            case Mnemonic.Leave:
                return Need(Register.RBP, Ring3Layout.Stack + 0x400 + (ulong)random.Next(0x1000));
            case Mnemonic.Shld or Mnemonic.Shrd when _instruction.Op0Register.GetSize() == 2 || _instruction.MemorySize.GetSize() == 2:
                // A count above the operand size has no defined result.
                _instruction.Immediate8 &= 15;
                return _instruction.Op2Kind != OpKind.Register || Need(Register.RCX, (ulong)random.Next(16));
            case Mnemonic.Xsavec or Mnemonic.Xsavec64:
                // Whether x87 state counts as in use, and so is stored, is every processor's own business.
                return Need(Register.RAX, (ulong)random.Next(8) & 6) && Need(Register.RDX, 0);
            case Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xrstor or Mnemonic.Xrstor64:
                return Need(Register.RAX, (ulong)random.Next(8)) && Need(Register.RDX, 0);
            case Mnemonic.Pcmpestri or Mnemonic.Pcmpestrm or Mnemonic.Vpcmpestri or Mnemonic.Vpcmpestrm when random.Next(2) == 0:
                return Need(Register.RAX, (ulong)random.Next(-20, 20)) && Need(Register.RDX, (ulong)random.Next(-20, 20));
            default:
                return true;
        }
    }

    /// <summary>What the encoder accepts and the processor takes as a different instruction or refuses.</summary>
    private bool IsPlausible() =>
        !(_instruction.Op0Kind == OpKind.Register && _instruction.Op0Register == Register.CS && _instruction.Mnemonic == Mnemonic.Mov)
        && !(_instruction.SegmentPrefix != Register.None && _instruction.MemoryBase == Register.RIP && bitness != 64);

    private int AccessSize()
    {
        string name = _instruction.Code.ToString();
        return _instruction.Mnemonic.ToString().StartsWith("Sha", StringComparison.Ordinal)
            || _instruction.Mnemonic is Mnemonic.Fnsave or Mnemonic.Frstor or Mnemonic.Fnstenv or Mnemonic.Fldenv ? StateSize
            : name.Contains("256", StringComparison.Ordinal) || name.Contains("ymm", StringComparison.Ordinal) ? 32
            : name.Contains("128", StringComparison.Ordinal) || name.Contains("xmm", StringComparison.Ordinal) ? 16
            : name.Contains("512byte", StringComparison.Ordinal) || name.StartsWith("Xsave", StringComparison.Ordinal)
                || name.StartsWith("Xrstor", StringComparison.Ordinal) ? StateSize
            : 8;
    }

    private ulong PickAddress(int size)
    {
        if (size >= StateSize)
        {
            // Where in a long operand a fault is reported, and whether SHA needs alignment, is every processor's own business.
            return Ring3Layout.Data + ((ulong)random.Next(Ring3Layout.DataSize - (2 * StateSize)) & ~63UL);
        }

        int draw = random.Next(100);
        if (draw < 3)
        {
            return Ring3Layout.ReadOnlyPage + (ulong)random.Next(0x800);
        }

        if (draw < 5)
        {
            return Ring3Layout.SupervisorPage + (ulong)random.Next(0x800);
        }

        if (draw < 9)
        {
            // Around the end of the data, behind which nothing is present; or before its start.
            return random.Next(2) == 0
                ? Ring3Layout.Data + Ring3Layout.DataSize - (ulong)random.Next(size + 8)
                : Ring3Layout.Data - (ulong)random.Next(size + 8);
        }

        if (draw == 9)
        {
            // Across two pages that are both there.
            return Ring3Layout.Data + 0x1000 - (ulong)random.Next(size + 1);
        }

        ulong offset = (ulong)random.Next(Ring3Layout.DataSize - 300);
        ulong alignment = size >= 16 && random.Next(8) != 0 ? (ulong)size : random.Next(2) == 0 ? 8UL : 1UL;
        return Ring3Layout.Data + (offset & ~(alignment - 1));
    }

    private bool Need(Register register, ulong value)
    {
        Register full = register.GetFullRegister();
        if (full.IsGPR32())
        {
            full = Register.RAX + (full - Register.EAX);
        }

        if (Setup.TryGetValue(full, out ulong already))
        {
            return already == value;
        }

        Setup.Add(full, value);
        return true;
    }
}

/// <summary>Byte registers by number, as REX numbers them.</summary>
internal static class ByteRegisters
{
    public static Register Numbered(int number) => number switch
    {
        < 4 => Register.AL + number,
        < 8 => Register.SPL + (number - 4),
        _ => Register.R8L + (number - 8),
    };
}
