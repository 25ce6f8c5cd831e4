using System.Text;
using Iced.Intel;
using WebVm.Vmm.Memory;
using Decoder = Iced.Intel.Decoder;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>
/// Runs random streams on the host's processor and on another one from the same state, and finds the instruction that made a difference.
/// A stream is run whole; after an exception it continues behind the unit that raised it.
/// </summary>
internal sealed unsafe class DifferentialRun(
    IRing3Machine oracle, IRing3Machine subject, InstructionPool pool, int bitness, int maximumFindings = 20)
{
    private const int UnitsPerStream = 48;
    private const int UserBytes = Ring3Layout.DataSize + Ring3Layout.StackSize;

    private const int InvalidOpcode = 6;
    private const int StackFault = 12;
    private const int GeneralProtection = 13;
    private const int SimdFault = 19;
    private const int MxcsrOffset = 24;
    private const int PrecisionFlag = 1 << 5;
    private const uint InitialMxcsr = 0x1f80;

    /// <summary>MXCSR.MM (AMD64 Architecture Programmer's Manual Vol. 1 §4.2.2).</summary>
    private const uint MisalignedExceptionMask = 1 << 17;
    private const int XmmOffset = 160;
    private const int XmmBytes = 256;

    // KVM without hardware virtualization takes a #GP of user code for an instruction to emulate; if it does not know it, the guest gets
    // #UD; and it has its own mind about which segment an address with two overrides lies in.
    private readonly bool _hidesProtectionFaults = HidesProtectionFaults(oracle);
    private readonly Ring3State _start = new();
    private readonly Ring3State _expected = new();
    private readonly Ring3State _actual = new();
    private readonly byte[] _startMemory = new byte[UserBytes];
    private readonly Dictionary<string, string> _findings = [];
    private readonly Dictionary<string, int> _counts = [];

    /// <summary>Instructions executed on each processor.</summary>
    public long Instructions { get; private set; }

    /// <summary>Runs that differed once and not again.</summary>
    public int Disturbances { get; private set; }

    public int FindingCount => _findings.Count;

    /// <summary>Executes about so many instructions, seeded.</summary>
    public void Execute(int seed, long instructions)
    {
        for (int i = 0; Instructions < instructions && _findings.Count < maximumFindings; i++)
        {
            ExecuteStream(unchecked((seed * 1_000_003) + i));
        }
    }

    /// <summary>So many streams of random bytes.</summary>
    public void ExecuteEncodings(int seed, int streams)
    {
        HashSet<Code> known = [.. pool.All];
        for (int i = 0; i < streams && _findings.Count < maximumFindings; i++)
        {
            int one = unchecked((seed * 1_000_003) + i);
            var random = new Random(one);
            Execute(InstructionStream.OfRandomBytes(random, known, UnitsPerStream), random, one);
        }
    }

    /// <summary>One stream of its own seed, as a finding names it.</summary>
    public void ExecuteStream(int seed)
    {
        var random = new Random(seed);
        var stream = new InstructionStream(random, pool, bitness, UnitsPerStream);
        Execute(stream, random, seed);
    }

    public void Execute(InstructionStream stream, Random random, int seed)
    {
        Randomize(random);
        Load(stream.Bytes);
        int unit = 0;
        while (unit < stream.Units.Count)
        {
            Snapshot();
            int next;
            string? failure = TryRunBoth(stream.Units[unit].Offset);
            if (failure == null && Ring3Comparison.AreEqual(_expected, _actual)
                && Ring3Comparison.DescribeMemory(oracle.Memory, subject.Memory) == null)
            {
                next = UnitBehind(stream, _expected.Rip, unit);
                RunAgain(stream, unit, seed);
            }
            else
            {
                next = Locate(stream, unit, seed, failure);
            }

            for (int i = unit; i < next; i++)
            {
                Instructions += stream.Units[i].Instructions;
            }

            unit = next;
            GoOn();
        }
    }

    /// <summary>Code that was decoded and chained before must do the same again.</summary>
    private void RunAgain(InstructionStream stream, int unit, int seed)
    {
        CopyTo(subject.Memory, _startMemory);
        _actual.CopyFrom(_start);
        _actual.Rip = Ring3Layout.Code + (ulong)stream.Units[unit].Offset;
        subject.Run(_actual);
        Forgive();
        string differences = Ring3Comparison.Describe(_expected, _actual) + Ring3Comparison.DescribeMemory(oracle.Memory, subject.Memory);
        if (differences.Length != 0)
        {
            Add(stream, stream.Units[unit], seed, "the second time, from here on:\n" + differences);
            CopyMemory();
        }
    }

    /// <summary>What differed, for a failure message.</summary>
    public string Report()
    {
        var text = new StringBuilder(
            $"{Instructions} instructions; {Disturbances} runs disturbed; {_findings.Count} kinds of difference (expected | actual)\n");
        foreach (var (name, finding) in _findings)
        {
            text.Append($"--- {name} ({_counts[name]} times) {finding}\n");
        }

        return text.ToString();
    }

    private static bool HidesProtectionFaults(IRing3Machine machine)
    {
        // ORPD with a misaligned operand.
        machine.Memory.TryWrite(new GuestPhysicalAddress(Ring3Layout.Code), (ReadOnlySpan<byte>)[0x66, 0x0f, 0x56, 0x00]);
        var state = new Ring3State { Rip = Ring3Layout.Code };
        state.Gpr[0] = Ring3Layout.Data + 1;
        state.Gpr[4] = Ring3Layout.Stack + 0x1000;
        BitConverter.TryWriteBytes(state.Xsave.AsSpan(24), 0x1f80u);
        machine.Run(state);
        return state.Vector == InvalidOpcode;
    }

    private string? TryRunBoth(int offset)
    {
        if (_start.Gpr[4] >= Ring3Layout.MemorySize)
        {
            // Some kernels emulate user code that they enter with a stack pointer that is no address.
            _start.Gpr[4] = Ring3Layout.Stack + 0x1000;
        }

        _expected.CopyFrom(_start);
        _actual.CopyFrom(_start);
        _expected.Rip = _actual.Rip = Ring3Layout.Code + (ulong)offset;
        oracle.Run(_expected);
        try
        {
            subject.Run(_actual);
            Forgive();
            return null;
        }
        catch (InvalidOperationException failure)
        {
            return failure.Message + "\n";
        }
    }

    /// <summary>What the oracle ended with is what both begin with next; without RFLAGS.RF and what only the oracle has.</summary>
    private void GoOn()
    {
        _start.CopyFrom(_expected);
        _start.Rflags &= ~0x10000UL;
        uint mxcsr = BitConverter.ToUInt32(_start.Xsave, MxcsrOffset) & ~MisalignedExceptionMask;
        BitConverter.TryWriteBytes(_start.Xsave.AsSpan(MxcsrOffset), mxcsr);
    }

    /// <summary>Takes out the differences that are known and nobody's mistake.</summary>
    private void Forgive()
    {
        if (_hidesProtectionFaults && _expected.Vector is InvalidOpcode or StackFault && _actual.Vector == GeneralProtection
            && _actual.ErrorCode == 0 && _expected.Rip == _actual.Rip)
        {
            _expected.Vector = GeneralProtection;
        }

        if (_expected.Vector == SimdFault && _actual.Vector == SimdFault)
        {
            // Whether an unmasked overflow or underflow was inexact too is not worked out: PE may be set in excess.
            _actual.Xsave[MxcsrOffset] &= (byte)(_expected.Xsave[MxcsrOffset] | ~PrecisionFlag);
        }

        if ((BitConverter.ToUInt32(_expected.Xsave, MxcsrOffset) & MisalignedExceptionMask) != 0 && _actual.Vector == GeneralProtection)
        {
            // An AMD host took a control word that means nothing on the processor that guests are offered.
            _actual.CopyFrom(_expected);
            CopyMemory();
        }

        if (BitConverter.ToUInt32(_actual.Xsave, MxcsrOffset) == InitialMxcsr
            && !_expected.Xsave.AsSpan(XmmOffset, XmmBytes).ContainsAnyExcept((byte)0))
        {
            // With SSE state in its initial configuration the kernel may hand out the MXCSR that it saved last.
            BitConverter.TryWriteBytes(_expected.Xsave.AsSpan(MxcsrOffset), InitialMxcsr);
        }
    }

    /// <summary>Runs unit by unit from the last snapshot until one makes a difference; returns the unit behind it.</summary>
    private int Locate(InstructionStream stream, int first, int seed, string? failure)
    {
        string together = failure
            ?? (Ring3Comparison.Describe(_expected, _actual) + Ring3Comparison.DescribeMemory(oracle.Memory, subject.Memory));
        Restore(_startMemory);
        byte[] whole = [.. _startMemory];
        var wholeStart = new Ring3State();
        wholeStart.CopyFrom(_start);
        for (int i = first; i < stream.Units.Count; i++)
        {
            StreamUnit unit = stream.Units[i];
            Isolate(stream, unit);
            Snapshot();
            failure = TryRunBoth(unit.Offset);
            string differences = failure ?? Ring3Comparison.Describe(_expected, _actual);
            differences += Ring3Comparison.DescribeMemory(oracle.Memory, subject.Memory);
            Load(stream.Bytes);
            if (differences.Length != 0)
            {
                Add(stream, unit, seed, differences);
                CopyMemory();
                return i + 1;
            }

            GoOn();
        }

        // Not seen one by one. Once more as a whole: the oracle may have been disturbed (a host interrupt while RSP was no address).
        Restore(whole);
        _start.CopyFrom(wholeStart);
        if (TryRunBoth(stream.Units[first].Offset) == null && Ring3Comparison.AreEqual(_expected, _actual)
            && Ring3Comparison.DescribeMemory(oracle.Memory, subject.Memory) == null)
        {
            Disturbances++;
            return UnitBehind(stream, _expected.Rip, first);
        }

        // Reproducible, but only in company: find the shortest run that shows it.
        for (int last = first; last < stream.Units.Count; last++)
        {
            Restore(whole);
            _start.CopyFrom(wholeStart);
            Isolate(stream, stream.Units[last]);
            failure = TryRunBoth(stream.Units[first].Offset);
            string differences = failure
                ?? (Ring3Comparison.Describe(_expected, _actual) + Ring3Comparison.DescribeMemory(oracle.Memory, subject.Memory));
            Load(stream.Bytes);
            if (differences.Length != 0 || last == stream.Units.Count - 1)
            {
                Add(stream, stream.Units[last], seed, $"only behind the {last - first} units before it:\n{differences}{together}");
                break;
            }
        }

        CopyMemory();
        return stream.Units.Count;
    }

    private void Add(InstructionStream stream, StreamUnit unit, int seed, string differences)
    {
        string name = unit.Subject.IsInvalid
            ? "undefined " + Convert.ToHexString(stream.Bytes.Slice(unit.Offset, 4))
            : unit.Subject.Code.ToString();
        _counts[name] = _counts.GetValueOrDefault(name) + 1;
        if (_findings.ContainsKey(name))
        {
            return;
        }

        var text = new StringBuilder();
        text.Append($"seed {seed}, bytes {Convert.ToHexString(stream.Bytes.Slice(unit.Offset, unit.Length))}\n");
        var decoder = Decoder.Create(bitness, new ByteArrayCodeReader(stream.Bytes.Slice(unit.Offset, unit.Length).ToArray()));
        decoder.IP = Ring3Layout.Code + (ulong)unit.Offset;
        while (decoder.IP < Ring3Layout.Code + (ulong)(unit.Offset + unit.Length))
        {
            decoder.Decode(out Instruction instruction);
            text.Append($"  {instruction.IP:x} {instruction}\n");
        }

        text.Append(
            $"before: rflags {_start.Rflags:x} mxcsr {BitConverter.ToUInt32(_start.Xsave, 24):x} fcw {BitConverter.ToUInt16(_start.Xsave, 0):x}")
            .Append($" fsw {BitConverter.ToUInt16(_start.Xsave, 2):x} ftw {_start.Xsave[4]:x}\n");
        text.Append("  gpr ").AppendJoin(' ', _start.Gpr.Select(value => value.ToString("x", null))).Append('\n');
        for (int i = 0; i < unit.Subject.OpCount; i++)
        {
            if (unit.Subject.GetOpKind(i) == OpKind.Register)
            {
                text.Append(Before(unit.Subject.GetOpRegister(i)));
            }
        }

        text.Append(differences);
        _findings.Add(name, text.ToString());
    }

    private string Before(Register register) =>
        register.IsGPR() && !register.IsGPR8() ? $"  {register} {_start.Gpr[register.GetNumber()]:x}\n"
        : register.IsXMM()
            || register.IsYMM() ? $"  {register} {Convert.ToHexString(_start.Xsave, 160 + (register.GetNumber() * 16), 16)}\n"
        : register.IsST() ? $"  {register} {Convert.ToHexString(_start.Xsave, 32 + (register.GetNumber() * 16), 10)}\n"
        : string.Empty;

    private static int UnitBehind(InstructionStream stream, ulong rip, int from)
    {
        int offset = (int)(rip - Ring3Layout.Code);
        for (int i = from; i < stream.Units.Count; i++)
        {
            if (offset < stream.Units[i].Offset + stream.Units[i].Length)
            {
                return i + 1;
            }
        }

        return stream.Units.Count;
    }

    private void Randomize(Random random)
    {
        _start.Compatibility = bitness == 32;
        for (int i = 0; i < 16; i++)
        {
            _start.Gpr[i] = RandomValue.Integer(random) & (bitness == 32 ? uint.MaxValue : ulong.MaxValue);
        }

        _start.Rflags = 0x202 | ((ulong)random.Next() & 0x8d5);
        RandomValue.Fill(random, _start.Xsave);
        _start.Xsave.AsSpan(0, 32).Clear();
        _start.Xsave.AsSpan(416).Slice(0, 160).Clear();
        BitConverter.TryWriteBytes(
            _start.Xsave, (ushort)(0x40 | (random.Next(4) != 0 ? 0x3f : random.Next(0x40)) | (random.Next(16) << 8)));
        BitConverter.TryWriteBytes(_start.Xsave.AsSpan(2), (ushort)(random.Next(8) << 11));
        _start.Xsave[4] = random.Next(3) == 0 ? (byte)0 : (byte)random.Next(256);
        uint mxcsr = (uint)((random.Next(4) != 0 ? 0x1f80 : random.Next(0x40) << 7) | (random.Next(4) << 13)
            | (random.Next(4) == 0 ? 0x8040 : 0));
        BitConverter.TryWriteBytes(_start.Xsave.AsSpan(24), mxcsr);
        BitConverter.TryWriteBytes(_start.Xsave.AsSpan(512), 7UL);
        for (int i = 0; i < 8; i++)
        {
            RandomValue.Extended(random, _start.Xsave.AsSpan(32 + (i * 16), 10));
            _start.Xsave.AsSpan(42 + (i * 16), 6).Clear();
        }

        RandomValue.Fill(random, new Span<byte>(oracle.Memory.HostAt(Ring3Layout.Data), Ring3Layout.DataSize));
        new Span<byte>(oracle.Memory.HostAt(Ring3Layout.Stack), Ring3Layout.StackSize).Clear();
        CopyMemory();
    }

    private void Load(ReadOnlySpan<byte> code)
    {
        oracle.Memory.TryWrite(new GuestPhysicalAddress(Ring3Layout.Code), code);
        subject.Memory.TryWrite(new GuestPhysicalAddress(Ring3Layout.Code), code);
    }

    /// <summary>Ends the code behind one unit.</summary>
    private void Isolate(InstructionStream stream, StreamUnit unit)
    {
        byte[] code = stream.Bytes.ToArray();
        int end = unit.Offset + unit.Length;
        code[end] = 0x0f;
        code[end + 1] = 0x0b;
        Load(code);
    }

    private void Snapshot()
    {
        new ReadOnlySpan<byte>(oracle.Memory.HostAt(Ring3Layout.Data), Ring3Layout.DataSize).CopyTo(_startMemory);
        new ReadOnlySpan<byte>(oracle.Memory.HostAt(Ring3Layout.Stack), Ring3Layout.StackSize).CopyTo(
            _startMemory.AsSpan(Ring3Layout.DataSize));
    }

    private void Restore(byte[] memory)
    {
        CopyTo(oracle.Memory, memory);
        CopyTo(subject.Memory, memory);
    }

    private static void CopyTo(GuestMemory target, byte[] memory)
    {
        memory.AsSpan(0, Ring3Layout.DataSize).CopyTo(new Span<byte>(target.HostAt(Ring3Layout.Data), Ring3Layout.DataSize));
        memory.AsSpan(Ring3Layout.DataSize).CopyTo(new Span<byte>(target.HostAt(Ring3Layout.Stack), Ring3Layout.StackSize));
    }

    /// <summary>Gives the subject the oracle's memory.</summary>
    private void CopyMemory()
    {
        Buffer.MemoryCopy(
            oracle.Memory.HostAt(Ring3Layout.Data), subject.Memory.HostAt(Ring3Layout.Data), Ring3Layout.DataSize, Ring3Layout.DataSize);
        Buffer.MemoryCopy(
            oracle.Memory.HostAt(Ring3Layout.Stack), subject.Memory.HostAt(Ring3Layout.Stack), Ring3Layout.StackSize,
            Ring3Layout.StackSize);
    }
}
