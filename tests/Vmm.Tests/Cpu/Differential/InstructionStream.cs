using Iced.Intel;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>One instruction of a stream with what prepares it and what hides its undefined results.</summary>
/// <param name="Offset">From the start of the stream.</param>
/// <param name="Length">Bytes of all its instructions.</param>
/// <param name="Subject">The instruction that the unit is about.</param>
/// <param name="Instructions">How many there are.</param>
internal readonly record struct StreamUnit(int Offset, int Length, Instruction Subject, int Instructions);

/// <summary>A random stream of user code in units, ended by UD2.</summary>
internal sealed partial class InstructionStream
{
    // TF would single-step; NT does not survive every kernel's way into user code.
    private const ulong TrapAndNestedTask = (1 << 8) | (1 << 14);
    private const ulong ArithmeticFlags = 0x8d5;

    private readonly Random _random;
    private readonly int _bitness;
    private readonly RandomInstruction _maker;
    private readonly List<Instruction> _unit = [];
    private readonly byte[] _bytes = new byte[Ring3Layout.CodeSize];

    public InstructionStream(Random random, InstructionPool pool, int bitness, int units)
    {
        _random = random;
        _bitness = bitness;
        _maker = new RandomInstruction(random, bitness);
        while (Units.Count < units)
        {
            TryAppend(pool.Pick(random));
            if (Units.Count != 0 && Units[^1].Subject.RflagsModified != RflagsBits.None && pool.HasBranches && random.Next(6) == 0)
            {
                // Engines like to take a branch and the flags before it together.
                TryAppend(pool.PickBranch(random));
            }
        }

        Finish();
    }

    /// <summary>A stream of one unit about a given form; empty if the draws have no encoding.</summary>
    public InstructionStream(Random random, Code code, int bitness)
    {
        _random = random;
        _bitness = bitness;
        _maker = new RandomInstruction(random, bitness);
        for (int i = 0; i < 100 && Units.Count == 0; i++)
        {
            TryAppend(code);
        }

        Finish();
    }

    public List<StreamUnit> Units { get; } = [];

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, Length);

    private void Finish()
    {
        _bytes[Length] = 0x0f;
        _bytes[Length + 1] = 0x0b;
        Length += 2;
    }

    private void TryAppend(Code code)
    {
        if (!_maker.TryMake(code))
        {
            return;
        }

        Instruction subject = _maker.Instruction;
        if (!Compose(ref subject, Ring3Layout.Code + (ulong)Length + 40) || !TryEncode(Length, subject, out int length, out int behind))
        {
            return;
        }

        if (NeedsTarget(subject))
        {
            // Now the lengths are known: branch to the instruction behind the subject, or behind the marker that follows it.
            if (!Compose(ref subject, Ring3Layout.Code + (ulong)behind) || !TryEncode(Length, subject, out int again, out _)
                || again != length)
            {
                return;
            }
        }

        Units.Add(new StreamUnit(Length, length, subject, _unit.Count));
        Length += length;
    }

    private static bool NeedsTarget(in Instruction subject) =>
        subject.FlowControl is FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch or FlowControl.Call
            or FlowControl.IndirectBranch or FlowControl.IndirectCall or FlowControl.Return;

    /// <summary>Lists the unit's instructions. <paramref name="target"/>: where branches go.</summary>
    private bool Compose(ref Instruction subject, ulong target)
    {
        _unit.Clear();
        foreach (var (register, value) in _maker.Setup)
        {
            Set(register, value);
        }

        bool stack = subject.IsStackInstruction || subject.Mnemonic is Mnemonic.Enter or Mnemonic.Leave;
        if (stack)
        {
            if (_maker.Setup.ContainsKey(Register.RSP))
            {
                return false;
            }

            Set(Register.RSP, Ring3Layout.Stack + 0x800 + (_maker.Target & 0x7f8));
        }

        ComposeSubject(ref subject, target);
        HideUndefinedMemory(subject);
        HideUndefinedFlags(subject);
        RestoreStackPointer(subject);
        return true;
    }

    private void ComposeSubject(ref Instruction subject, ulong target)
    {
        Instruction marker = Instruction.Create(Code.Mov_r32_imm32, Register.EDX, 0x600d);
        switch (subject.FlowControl)
        {
            case FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch
                or FlowControl.Call when subject.Op0Kind is OpKind.NearBranch64 or OpKind.NearBranch32:
                if (_bitness == 64)
                {
                    subject.NearBranch64 = target;
                }
                else
                {
                    subject.NearBranch32 = (uint)target;
                }

                _unit.Add(subject);
                _unit.Add(marker);
                return;
            case FlowControl.IndirectBranch or FlowControl.IndirectCall when subject.Op0Kind == OpKind.Register:
                Set(subject.Op0Register.GetFullRegister(), target);
                _unit.Add(subject);
                _unit.Add(marker);
                return;
            case FlowControl.IndirectBranch or FlowControl.IndirectCall:
                StoreTarget(subject, target);
                _unit.Add(subject);
                _unit.Add(marker);
                return;
            case FlowControl.Return:
                _unit.Add(Instruction.Create(_bitness == 64 ? Code.Pushq_imm32 : Code.Pushd_imm32, (int)target));
                _unit.Add(subject);
                _unit.Add(marker);
                return;
        }

        switch (subject.Mnemonic)
        {
            case Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq:
                int flags = (int)((ulong)_random.Next() & ~TrapAndNestedTask);
                _unit.Add(Instruction.Create(_bitness == 64 ? Code.Pushq_imm32 : Code.Pushd_imm32, flags));
                break;
            case Mnemonic.Ldmxcsr or Mnemonic.Vldmxcsr when _random.Next(4) != 0:
                StoreDword(subject, (uint)(_random.Next(0x10000) | (_random.Next(4) != 0 ? 0x1f80 : 0)));
                break;
            case Mnemonic.Dpps or Mnemonic.Dppd or Mnemonic.Vdpps or Mnemonic.Vdppd:
                // With exceptions unmasked, which flags are set depends on which of the sums is formed first.
                Instruction mask = Instruction.Create(Code.Ldmxcsr_m32, new MemoryOperand(Ring3Layout.Stack, _bitness == 64 ? 8 : 4));
                StoreDword(mask, 0x1f80 | ((uint)_random.Next(4) << 13));
                _unit.Add(mask);
                break;
            case Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsavec or Mnemonic.Xsavec64:
                UseVectorState();
                break;
            case Mnemonic.Xrstor:
                Precede(subject, Code.Xsave_mem);
                break;
            case Mnemonic.Xrstor64:
                Precede(subject, Code.Xsave64_mem);
                break;
            case Mnemonic.Fxrstor:
                Precede(subject, Code.Fxsave_m512byte);
                break;
            case Mnemonic.Fxrstor64:
                Precede(subject, Code.Fxsave64_m512byte);
                break;
            case Mnemonic.Vgatherdpd or Mnemonic.Vgatherdps or Mnemonic.Vgatherqpd or Mnemonic.Vgatherqps
                or Mnemonic.Vpgatherdd or Mnemonic.Vpgatherdq or Mnemonic.Vpgatherqd or Mnemonic.Vpgatherqq:
                ShrinkIndices();
                break;
        }

        _unit.Add(subject);
    }

    /// <summary>Makes a gather's indices small numbers.</summary>
    private void ShrinkIndices()
    {
        Register ymm = _maker.VectorIndex.IsYMM() ? _maker.VectorIndex : Register.YMM0 + (_maker.VectorIndex - Register.XMM0);
        _unit.Add(_maker.VectorIndexBytes == 4
            ? Instruction.Create(Code.VEX_Vpsrld_ymm_ymm_imm8, ymm, ymm, 23)
            : Instruction.Create(Code.VEX_Vpsrlq_ymm_ymm_imm8, ymm, ymm, 55));
    }

    /// <summary>Which components count as in use when they hold nothing but zeros is each processor's own business.</summary>
    private void UseVectorState() =>
        _unit.Add(Instruction.Create(Code.VEX_Vpcmpeqd_ymm_ymm_ymmm256, Register.YMM7, Register.YMM7, Register.YMM7));

    private void Precede(in Instruction subject, Code code)
    {
        UseVectorState();
        Instruction save = subject;
        save.Code = code;
        _unit.Add(save);
        HideUndefinedMemory(save);
        if (subject.Mnemonic is Mnemonic.Xrstor or Mnemonic.Xrstor64)
        {
            // A valid header of the standard format.
            StoreDword(subject, (uint)_random.Next(8), 512);
            for (int offset = 516; offset < 536; offset += 4)
            {
                StoreDword(subject, 0, offset);
            }
        }
    }

    private void StoreTarget(in Instruction subject, ulong target)
    {
        Instruction store = subject;
        store.Code = _bitness == 64 ? Code.Mov_rm64_imm32 : Code.Mov_rm32_imm32;
        store.Op1Kind = _bitness == 64 ? OpKind.Immediate32to64 : OpKind.Immediate32;
        if (_bitness == 64)
        {
            store.Immediate32to64 = (int)target;
        }
        else
        {
            store.Immediate32 = (uint)target;
        }

        _unit.Add(store);
    }

    private void StoreDword(in Instruction subject, uint value, int displacement = 0, bool word = false)
    {
        Instruction store = subject;
        store.Code = word ? Code.Mov_rm16_imm16 : Code.Mov_rm32_imm32;
        store.Op1Kind = word ? OpKind.Immediate16 : OpKind.Immediate32;
        if (word)
        {
            store.Immediate16 = (ushort)value;
        }
        else
        {
            store.Immediate32 = value;
        }

        if (displacement != 0)
        {
            store.MemoryDisplacement64 = subject.MemoryDisplacement64 + (ulong)displacement;
            store.MemoryDisplSize = store.MemoryBase == Register.None ? store.MemoryDisplSize : 1;
        }

        _unit.Add(store);
    }

    /// <summary>Instruction and data pointers are kept differently by every processor; MXCSR_MASK and the header say what it has.</summary>
    private void HideUndefinedMemory(in Instruction subject)
    {
        switch (subject.Mnemonic)
        {
            case Mnemonic.Fxsave or Mnemonic.Fxsave64 or Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsavec or Mnemonic.Xsavec64:
                if (subject.Mnemonic is Mnemonic.Xsave or Mnemonic.Xsave64)
                {
                    StoreDword(subject, 0, 512);
                }

                StoreDword(subject, 0, 6, word: true);
                for (int offset = 8; offset < 24; offset += 4)
                {
                    StoreDword(subject, 0, offset);
                }

                StoreDword(subject, 0, 28);
                break;
            case Mnemonic.Fnstenv or Mnemonic.Fnsave when subject.MemorySize is MemorySize.FpuEnv28 or MemorySize.FpuState108:
                for (int offset = 12; offset < 28; offset += 4)
                {
                    StoreDword(subject, 0, offset);
                }

                break;
            case Mnemonic.Fnstenv or Mnemonic.Fnsave:
                for (int offset = 6; offset < 14; offset += 2)
                {
                    StoreDword(subject, 0, offset, word: true);
                }

                break;
        }
    }

    /// <summary>A result in RSP is kept in memory; some kernels emulate user code once RSP is no address.</summary>
    private void RestoreStackPointer(in Instruction subject)
    {
        for (int i = 0; i < subject.OpCount; i++)
        {
            if (subject.GetOpKind(i) == OpKind.Register && subject.GetOpRegister(i).GetFullRegister() == Register.RSP)
            {
                var top = new MemoryOperand(Ring3Layout.Stack + 0x1ff0, _bitness == 64 ? 8 : 4);
                _unit.Add(_bitness == 64
                    ? Instruction.Create(Code.Mov_rm64_r64, top, Register.RSP)
                    : Instruction.Create(Code.Mov_rm32_r32, top, Register.ESP));
                Set(Register.RSP, Ring3Layout.Stack + 0x1000);
                return;
            }
        }
    }

    /// <summary>Clears the flags that the instruction leaves undefined, so that the defined ones can be compared.</summary>
    private void HideUndefinedFlags(in Instruction subject)
    {
        ulong undefined = UndefinedFlags(subject);
        if (undefined == 0)
        {
            return;
        }

        Set(Register.RSP, Ring3Layout.Stack + 0x1800);
        if (_bitness == 64)
        {
            _unit.Add(Instruction.Create(Code.Pushfq));
            _unit.Add(Instruction.Create(Code.And_rm64_imm32, new MemoryOperand(Register.RSP), (int)~undefined));
            _unit.Add(Instruction.Create(Code.Popfq));
        }
        else
        {
            _unit.Add(Instruction.Create(Code.Pushfd));
            _unit.Add(Instruction.Create(Code.And_rm32_imm32, new MemoryOperand(Register.ESP), (int)~undefined));
            _unit.Add(Instruction.Create(Code.Popfd));
        }
    }

    private static ulong UndefinedFlags(in Instruction subject)
    {
        RflagsBits bits = subject.RflagsUndefined;
        ulong flags = 0;
        flags |= bits.HasFlag(RflagsBits.OF) ? 0x800UL : 0;
        flags |= bits.HasFlag(RflagsBits.SF) ? 0x80UL : 0;
        flags |= bits.HasFlag(RflagsBits.ZF) ? 0x40UL : 0;
        flags |= bits.HasFlag(RflagsBits.AF) ? 0x10UL : 0;
        flags |= bits.HasFlag(RflagsBits.PF) ? 0x4UL : 0;
        flags |= bits.HasFlag(RflagsBits.CF) ? 0x1UL : 0;
        switch (subject.Mnemonic)
        {
            // A count of the operand size or more leaves CF undefined; of other than one, OF.
            case Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr:
                flags |= OperandBytes(subject) < 4 ? 1UL : 0;
                flags |= Counted(subject) ? 0x810UL : 0x10;
                break;
            case Mnemonic.Sar:
                flags |= Counted(subject) ? 0x810UL : 0x10;
                break;
            case Mnemonic.Shld or Mnemonic.Shrd:
                flags |= 0x810;
                break;
            case Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr when Counted(subject):
                flags |= 0x800;
                break;
        }

        return flags & ArithmeticFlags;
    }

    private static bool Counted(in Instruction subject) =>
        subject.Op1Kind == OpKind.Register || (subject.Op1Kind == OpKind.Immediate8 && (subject.Immediate8 & 0x3f) != 1);

    private static int OperandBytes(in Instruction subject) =>
        subject.Op0Kind == OpKind.Register ? subject.Op0Register.GetSize() : subject.MemorySize.GetSize();

    private void Set(Register register, ulong value) =>
        _unit.Add(_bitness == 64
            ? Instruction.Create(Code.Mov_r64_imm64, register, value)
            : Instruction.Create(Code.Mov_r32_imm32, Register.EAX + (register - Register.RAX), (uint)value));

    /// <summary>Encodes the unit at an offset of the stream.</summary>
    /// <param name="behind">Offset behind the subject and its marker.</param>
    private bool TryEncode(int offset, in Instruction subject, out int length, out int behind)
    {
        var writer = new SpanWriter(_bytes, offset);
        var encoder = Encoder.Create(_bitness, writer);
        behind = offset;
        length = 0;
        bool seen = false;
        foreach (Instruction instruction in _unit)
        {
            if (writer.Position > Ring3Layout.CodeSize - 64
                || !encoder.TryEncode(instruction, Ring3Layout.Code + (ulong)writer.Position, out _, out _))
            {
                return false;
            }

            bool marker = seen && instruction.Code == Code.Mov_r32_imm32 && NeedsTarget(subject) && behind == offset;
            if (marker)
            {
                behind = writer.Position;
            }

            seen |= instruction.Code == subject.Code;
        }

        length = writer.Position - offset;
        return true;
    }

    private sealed class SpanWriter(byte[] bytes, int position) : CodeWriter
    {
        public int Position { get; private set; } = position;

        public override void WriteByte(byte value) => bytes[Position++] = value;
    }
}
