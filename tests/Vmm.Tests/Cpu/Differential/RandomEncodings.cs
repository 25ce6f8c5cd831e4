using Iced.Intel;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <content>
/// Streams of random bytes: prefixes that mean nothing, unusual forms of operands, reserved bits, undefined opcodes. What two processors
/// make of the same bytes must agree in length, meaning and #UD.
/// </content>
internal sealed partial class InstructionStream
{
    private const int MaximumLength = 15;
    private static readonly byte[] _prefixes = [0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf0];

    private InstructionStream(Random random, int bitness)
    {
        _random = random;
        _bitness = bitness;
        _maker = new RandomInstruction(random, bitness);
    }

    public static InstructionStream OfRandomBytes(Random random, HashSet<Code> known, int units)
    {
        var stream = new InstructionStream(random, 64);
        byte[] bytes = new byte[MaximumLength + 1];
        while (stream.Units.Count < units)
        {
            random.NextBytes(bytes);
            Shape(random, bytes);
            var decoder = Decoder.Create(64, bytes, DecoderOptions.ForceReservedNop);
            decoder.IP = Ring3Layout.Code + (ulong)stream.Length;
            decoder.Decode(out Instruction subject);
            if (subject.IsInvalid ? IsNobodys(bytes) : IsComparable(subject, known))
            {
                stream.AppendBytes(subject, bytes);
            }
        }

        stream.Finish();
        return stream;
    }

    private void AppendBytes(in Instruction subject, byte[] bytes)
    {
        _unit.Clear();
        if (!subject.IsInvalid)
        {
            PrepareOperands(subject);
        }

        int length = subject.IsInvalid ? MaximumLength : subject.Length;
        _unit.Add(Instruction.CreateDeclareByte(bytes, 0, length));
        if (!subject.IsInvalid)
        {
            HideUndefinedFlags(subject);
            RestoreStackPointer(subject);
        }

        if (TryEncode(Length, subject, out int encoded, out _))
        {
            Units.Add(new StreamUnit(Length, encoded, subject, _unit.Count));
            Length += encoded;
        }
    }

    /// <summary>Makes the memory operand lie in the guest's data where a register can do that.</summary>
    private void PrepareOperands(in Instruction subject)
    {
        ulong target = Ring3Layout.Data + (ulong)_random.Next(0x3f00);
        target &= _random.Next(3) == 0 ? ~0UL : ~31UL;
        if (subject.IsStringInstruction || subject.Mnemonic == Mnemonic.Xlatb)
        {
            Set(Register.RSI, target);
            Set(Register.RDI, target ^ 0x1000);
            Set(Register.RCX, (ulong)_random.Next(20));
            return;
        }

        if (subject.IsStackInstruction || subject.Mnemonic is Mnemonic.Enter or Mnemonic.Leave)
        {
            Set(Register.RSP, Ring3Layout.Stack + 0x1000);
            Set(Register.RBP, Ring3Layout.Stack + 0x1100);
        }

        Register index = subject.MemoryIndex.GetFullRegister();
        if (index.IsGPR64() && index != Register.RSP)
        {
            Set(index, (ulong)_random.Next(64));
        }

        Register memoryBase = subject.MemoryBase.GetFullRegister();
        if (memoryBase.IsGPR64() && memoryBase != index && (memoryBase != Register.RSP || !subject.IsStackInstruction))
        {
            Set(memoryBase, target - subject.MemoryDisplacement64);
        }
    }

    private static bool IsComparable(in Instruction subject, HashSet<Code> known) =>
        known.Contains(subject.Code) && subject.FlowControl is FlowControl.Next or FlowControl.Exception && known.Contains(subject.Code)
        && subject.IsVsib == false
        && subject.Mnemonic is not (Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsavec or Mnemonic.Xsavec64 or Mnemonic.Xrstor
            or Mnemonic.Xrstor64
            or Mnemonic.Fxsave or Mnemonic.Fxsave64 or Mnemonic.Fxrstor or Mnemonic.Fxrstor64 or Mnemonic.Fnsave or Mnemonic.Frstor
            or Mnemonic.Fnstenv or Mnemonic.Fldenv or Mnemonic.Dpps or Mnemonic.Dppd or Mnemonic.Vdpps or Mnemonic.Vdppd
            or Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq or Mnemonic.Shld or Mnemonic.Shrd
            or Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu)
        && !subject.Mnemonic.ToString().StartsWith("Sha", StringComparison.Ordinal);

    /// <summary>
    /// Bytes that no processor takes for an instruction; not those that belong to extensions which Iced leaves to options.
    /// </summary>
    private static bool IsNobodys(byte[] bytes)
    {
        ReadOnlySpan<byte> head = bytes.AsSpan(0, 9);
        int escape = head.IndexOf((byte)0x0f);

        // Where the vendors differ: registers that do not exist (below privilege 0 some say #GP; some read the operand first), non-temporal
        // stores, fences and others with a prefix that selects nothing, LOCK before what is privileged.
        bool disputed = escape >= 0 && bytes[escape + 1] is (>= 0x20 and <= 0x23) or 0xc3 or 0xae or 0x01 or 0xe7;

        // How long far calls and jumps would be, if there were any: with some prefixes too long on one processor (#GP) and undefined on
        // another.
        disputed |= head.ContainsAny((byte)0x9a, (byte)0xea);

        // VPERMQ and VPERMPD without VEX.W: Zen 5 reads the operand first.
        int vex = head.IndexOf((byte)0xc4);
        disputed |= vex >= 0 && (bytes[vex + 1] & 0x1f) == 3 && (bytes[vex + 2] & 0x80) == 0 && bytes[vex + 3] is 0x00 or 0x01;
        return !disputed && !head.ContainsAny((byte)0x62, (byte)0x8f) && !head.ContainsAny((byte)0x8e, (byte)0xf0) && bytes[0] != 0x0f;
    }

    private static void Shape(Random random, byte[] bytes)
    {
        int position = 0;
        for (int i = random.Next(4); i > 1; i--)
        {
            bytes[position++] = _prefixes[random.Next(random.Next(10) == 0 ? _prefixes.Length : _prefixes.Length - 1)];
        }

        if (random.Next(2) == 0)
        {
            bytes[position++] = (byte)(0x40 | random.Next(16));
        }

        switch (random.Next(10))
        {
            case 0 or 1 or 2 or 3:
                break;
            case 4 or 5:
                bytes[position] = 0x0f;
                break;
            case 6:
                bytes[position] = 0x0f;
                bytes[position + 1] = 0x38;
                break;
            case 7:
                bytes[position] = 0x0f;
                bytes[position + 1] = 0x3a;
                break;
            case 8:
                bytes[position] = 0xc5;
                break;
            default:
                bytes[position] = 0xc4;
                bytes[position + 1] = (byte)((bytes[position + 1] & 0xe0) | random.Next(1, 4));
                break;
        }
    }
}
