using System.Globalization;
using System.Numerics;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Decoding;
using WebVm.Vmm.Cpu.Soft.Operations;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>
/// Every form of every general-purpose instruction in 64-bit and 32-bit code, on random operands, against the host's processor.
/// </summary>
public sealed unsafe class NativeComparisonTests : IDisposable
{
    private const ulong StatusFlags = 0x8d5;

    private static readonly ulong[] _corners =
        [0, 1, 2, 7, 8, 0x0f, 0x10, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff,
            0x8000_0000,
         0xffff_ffff, 0x1_0000_0000, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, 0xffff_ffff_ffff_ff80, 0xffff_ffff_ffff_8000,
         0xffff_ffff_8000_0000, ulong.MaxValue];

    private static readonly bool HostIsAmd = X86Base.CpuId(0, 0) is (_, 0x6874_7541, _, _);

    private readonly HostScratch _scratch = new();
    private readonly byte[] _before = new byte[HostScratch.Size];

    private enum Verdict
    {
        Compared,
        Faulted,
        Unencodable,
    }

    // Far fewer forms would mean that the generator or the selector has lost some.
    [Theory]
    [InlineData(64, 700)]
    [InlineData(32, 500)]
    public void Every_form_agrees_with_the_host(int bitness, int leastForms) => Compare(bitness, seed: 20261120, rounds: 12, leastForms);

    [Theory(Explicit = true)]
    [InlineData(64)]
    [InlineData(32)]
    public void Every_form_agrees_with_the_host_at_length(int bitness) => Compare(bitness, Random.Shared.Next(), rounds: 2000, 1);

    public void Dispose() => _scratch.Dispose();

    private void Compare(int bitness, int seed, int rounds, int leastForms)
    {
        using IReferenceProcessor host = bitness == 64 ? new HostProcessor() : new CompatibilityProcessor();
        using var soft = new SoftProcessor(bitness);
        var random = new Random(seed);
        var generator = new InstructionGenerator(random, bitness);
        var failures = new List<string>();
        int forms = 0;
        foreach (var code in Enum.GetValues<Code>())
        {
            for (int memory = 0; memory < 2; memory++)
            {
                int compared = 0;
                for (int round = 0; round < rounds; round++)
                {
                    if (!IsCandidate(code, generator, bitness, memory != 0, out var instruction))
                    {
                        break;
                    }

                    var verdict = CompareOne(host, soft, random, bitness, ref instruction, out string? difference);
                    compared += verdict == Verdict.Compared ? 1 : 0;
                    if (difference != null)
                    {
                        failures.Add(difference);
                        break;
                    }
                }

                forms += compared > 0 ? 1 : 0;
            }
        }

        Assert.True(failures.Count == 0, $"{failures.Count} forms differ, seed {seed}\n{string.Join('\n', failures.Take(30))}");
        Assert.True(forms >= leastForms, $"Only {forms} forms were compared.");
    }

    private static bool IsCandidate(Code code, InstructionGenerator generator, int bitness, bool memory, out Instruction instruction)
    {
        instruction = default;
        var info = code.ToOpCode();
        if (!info.IsInstruction || !(bitness == 64 ? info.Mode64 : info.Mode32)
            || info.Encoding is not (EncodingKind.Legacy or EncodingKind.VEX)
            || info.Mnemonic is Mnemonic.Ud0 or Mnemonic.Ud1 or Mnemonic.Ud2 or Mnemonic.Bound or Mnemonic.Reservednop
            || IsOfOtherProcessors(code)
            || !generator.TryCreate(code, memory, out instruction))
        {
            return false;
        }

        bool hasMemory = false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            hasMemory |= instruction.GetOpKind(i) == OpKind.Memory;
            if (instruction.GetOpKind(i) == OpKind.Register && !instruction.GetOpRegister(i).IsGPR())
            {
                return false;
            }
        }

        if (memory && !hasMemory)
        {
            return false;
        }

        var mode = new DecodeMode((byte)bitness, (byte)bitness, true, true);
        Operation operation;
        return IntegerSelector.TrySelect(in instruction, in mode, &operation);
    }

    /// <summary>Encodings of the 80486's first steps and of Knights Corner, which decode only on request.</summary>
    private static bool IsOfOtherProcessors(Code code) =>
        code is Code.Cmpxchg486_rm8_r8 or Code.Cmpxchg486_rm16_r16 or Code.Cmpxchg486_rm32_r32
        || code.ToString().StartsWith("VEX_KNC", StringComparison.Ordinal);

    private Verdict CompareOne(
        IReferenceProcessor host, SoftProcessor soft, Random random, int bitness, ref Instruction instruction, out string? difference)
    {
        difference = null;
        var info = instruction.OpCode;
        if (HasBitNumber(in instruction) && Number(instruction.Op1Register) == Number(instruction.MemoryBase))
        {
            // The bit's number would be the address as well and reach far outside the scratch memory.
            return Verdict.Unencodable;
        }

        if (info.CanUseLockPrefix && instruction.Op0Kind == OpKind.Memory)
        {
            instruction.HasLockPrefix = random.Next(3) == 0;
        }

        if (instruction.IsStringInstruction)
        {
            int prefix = random.Next(3);
            instruction.HasRepPrefix = prefix == 1;
            instruction.HasRepnePrefix = prefix == 2 && info.CanUseRepnePrefix;
        }

        using var stream = new MemoryStream();
        var encoder = Encoder.Create(bitness, new StreamCodeWriter(stream));
        if (!encoder.TryEncode(in instruction, SoftProcessor.CodeAddress, out _, out _))
        {
            return Verdict.Unencodable;
        }

        byte[] bytes = stream.ToArray();
        random.NextBytes(_scratch.Bytes[..256]);
        for (int i = 256; i < HostScratch.Size; i += 256)
        {
            _scratch.Bytes[..256].CopyTo(_scratch.Bytes[i..]);
        }

        var state = Prepare(random, bitness, in instruction);
        _scratch.Bytes.CopyTo(_before);
        var guest = new Span<byte>(soft.Memory + HostScratch.Address, HostScratch.Size);
        _scratch.Bytes.CopyTo(guest);

        var actual = state;
        string name = instruction.ToString();
        bool mustFault = IsDivideError(in instruction, state);
        bool faulted = !soft.Run(bytes, ref actual);
        var expected = state;
        ulong rip = SoftProcessor.CodeAddress;
        if (!mustFault)
        {
            host.Run(bytes, ref expected);
            rip += (ulong)bytes.Length;
        }

        string? problem = faulted != mustFault || (faulted && soft.Exception != ExceptionVector.DivideError)
                ? $"exception expected: {mustFault}, raised: {faulted} ({soft.Exception})"
            : soft.Rip != rip ? string.Create(CultureInfo.InvariantCulture, $"RIP {soft.Rip:x} for {rip:x}")
            : !IsSame(expected, actual, mustFault ? ulong.MaxValue : ComparableFlags(in instruction)) ? "registers"
            : !guest.SequenceEqual(_scratch.Bytes) ? "memory"
            : null;
        if (problem != null)
        {
            difference = $"{name} ({Convert.ToHexString(bytes)}): {problem}\n before {state}\n expect {expected}\n actual {actual}";
        }

        return mustFault ? Verdict.Faulted : Verdict.Compared;
    }

    private static bool IsSame(in ProcessorState expected, in ProcessorState actual, ulong flags)
    {
        bool same = ((expected.Rflags ^ actual.Rflags) & flags) == 0;
        for (int i = 0; i < 16; i++)
        {
            same &= expected.Gpr[i] == actual.Gpr[i];
        }

        return same;
    }

    /// <summary>
    /// On AMD's processors all flags are compared: the engine does as they do where the manuals leave flags undefined. But for bit scans,
    /// of which Zen 3 leaves alone what Zen 5 sets.
    /// </summary>
    private static ulong ComparableFlags(in Instruction instruction)
    {
        ulong undefined = 0;
        var bits = instruction.RflagsUndefined;
        undefined |= (bits & Iced.Intel.RflagsBits.CF) != 0 ? 1UL : 0;
        undefined |= (bits & Iced.Intel.RflagsBits.PF) != 0 ? 4UL : 0;
        undefined |= (bits & Iced.Intel.RflagsBits.AF) != 0 ? 0x10UL : 0;
        undefined |= (bits & Iced.Intel.RflagsBits.ZF) != 0 ? 0x40UL : 0;
        undefined |= (bits & Iced.Intel.RflagsBits.SF) != 0 ? 0x80UL : 0;
        undefined |= (bits & Iced.Intel.RflagsBits.OF) != 0 ? 0x800UL : 0;
        return HostIsAmd && instruction.Mnemonic is not (Mnemonic.Bsf or Mnemonic.Bsr)
            ? StatusFlags | 0x400
            : (StatusFlags | 0x400) & ~undefined;
    }

    private ProcessorState Prepare(Random random, int bitness, in Instruction instruction)
    {
        ProcessorState state = default;
        for (int i = 0; i < (bitness == 64 ? 16 : 8); i++)
        {
            state.Gpr[i] = Value(random);
        }

        if (random.Next(4) == 0)
        {
            state.Gpr[2] = 0;
        }

        state.Rflags = (ulong)random.Next() & HostProcessor.LoadedFlags;
        state.Gpr[4] = HostScratch.Address + (HostScratch.Size / 2) + (ulong)random.Next(-64, 64);
        if (instruction.IsStringInstruction)
        {
            state.Gpr[1] = (ulong)random.Next(0, 600);
            state.Gpr[6] = HostScratch.Address + (HostScratch.Size / 2) + (ulong)random.Next(-3000, 3000);
            state.Gpr[7] = random.Next(2) == 0
                ? HostScratch.Address + (HostScratch.Size / 2) + (ulong)random.Next(-3000, 3000)
                : state.Gpr[6] + (ulong)random.Next(-20, 20);
            if (random.Next(2) == 0)
            {
                // Long runs of equal elements, for the comparing ones.
                _scratch.Bytes.Fill((byte)state.Gpr[0]);
                state.Gpr[0] = (byte)state.Gpr[0] * 0x0101_0101_0101_0101UL;
                _scratch.Bytes[random.Next((HostScratch.Size / 2) - 3000, (HostScratch.Size / 2) + 3000)] ^= 1;
            }

        }
        else if (instruction.Mnemonic == Mnemonic.Xlatb)
        {
            state.Gpr[3] = HostScratch.Address + (HostScratch.Size / 2);
        }
        else if (instruction.Mnemonic is Mnemonic.Enter or Mnemonic.Leave)
        {
            state.Gpr[5] = HostScratch.Address + (HostScratch.Size / 2) + (ulong)random.Next(-64, 64);
        }
        else if (HasMemory(in instruction) && instruction.Mnemonic != Mnemonic.Lea)
        {
            Aim(random, in instruction, &state);
        }
        else if (instruction.Mnemonic == Mnemonic.Cmpxchg && random.Next(2) == 0)
        {
            state.Gpr[Number(instruction.Op0Register)] = state.Gpr[0];
        }

        for (int i = 0; i < 8 && bitness == 32; i++)
        {
            state.Gpr[i] = (uint)state.Gpr[i];
        }

        return state;
    }

    private static bool HasBitNumber(in Instruction instruction) =>
        instruction.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc
        && instruction.Op0Kind == OpKind.Memory && instruction.Op1Kind == OpKind.Register;

    private static bool HasMemory(in Instruction instruction)
    {
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Memory)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Sets base and index so that the operand lies in the middle of the scratch memory, at times across a page boundary.
    /// </summary>
    private void Aim(Random random, in Instruction instruction, ProcessorState* state)
    {
        ulong target = HostScratch.Address + (HostScratch.Size / 2)
            + (random.Next(6) == 0 ? (ulong)-(long)random.Next(0, 16) : (ulong)random.Next(-1000, 1000));
        if (instruction.Mnemonic is Mnemonic.Cmpxchg16b or Mnemonic.Cmpxchg8b)
        {
            target &= ~15UL;
        }

        bool bits = HasBitNumber(in instruction);
        if (bits)
        {
            state->Gpr[Number(instruction.Op1Register)] = (ulong)random.Next(-3000, 3000);
        }

        ulong address = target - instruction.MemoryDisplacement64;
        if (instruction.MemoryIndex != Register.None)
        {
            int index = Number(instruction.MemoryIndex);
            if (!bits)
            {
                state->Gpr[index] = (ulong)random.Next(-100, 100);
            }

            address -= state->Gpr[index] * (ulong)instruction.MemoryIndexScale;
        }

        state->Gpr[Number(instruction.MemoryBase)] = address;
        if ((instruction.Mnemonic is Mnemonic.Cmpxchg or Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b) && random.Next(2) == 0)
        {
            int offset = (int)(target - HostScratch.Address);
            if (instruction.Mnemonic == Mnemonic.Cmpxchg8b)
            {
                BitConverter.TryWriteBytes(_scratch.Bytes[offset..], (uint)state->Gpr[0]);
                BitConverter.TryWriteBytes(_scratch.Bytes[(offset + 4)..], (uint)state->Gpr[2]);
            }
            else
            {
                BitConverter.TryWriteBytes(_scratch.Bytes[offset..], state->Gpr[0]);
                BitConverter.TryWriteBytes(_scratch.Bytes[(offset + 8)..], state->Gpr[2]);
            }
        }
    }

    private static ulong Value(Random random) => random.Next(3) switch
    {
        0 => _corners[random.Next(_corners.Length)],
        1 => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
        _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue) >> random.Next(64),
    };

    private static int Number(Register register) => register.GetFullRegister().GetNumber();

    /// <summary>Whether DIV or IDIV must fault, by the definition in unbounded integers.</summary>
    private bool IsDivideError(in Instruction instruction, ProcessorState state)
    {
        if (instruction.Mnemonic is not (Mnemonic.Div or Mnemonic.Idiv))
        {
            return instruction.Mnemonic == Mnemonic.Aam && instruction.Immediate8 == 0;
        }

        bool signed = instruction.Mnemonic == Mnemonic.Idiv;
        int size = instruction.Op0Kind == OpKind.Memory ? instruction.MemorySize.GetSize() : instruction.Op0Register.GetSize();
        Span<byte> operand = stackalloc byte[8];
        if (instruction.Op0Kind == OpKind.Memory)
        {
            ulong address = state.Gpr[Number(instruction.MemoryBase)] + instruction.MemoryDisplacement64;
            if (instruction.MemoryIndex != Register.None)
            {
                address += state.Gpr[Number(instruction.MemoryIndex)] * (ulong)instruction.MemoryIndexScale;
            }

            _before.AsSpan((int)(uint)(address - HostScratch.Address), size).CopyTo(operand);
        }
        else
        {
            bool high = instruction.Op0Register is >= Register.AH and <= Register.BH;
            int number = high ? instruction.Op0Register - Register.AH : Number(instruction.Op0Register);
            BitConverter.TryWriteBytes(operand, state.Gpr[number] >> (high ? 8 : 0));
        }

        var divisor = new BigInteger(operand[..size], isUnsigned: !signed);
        Span<byte> dividendBytes = stackalloc byte[16];
        BitConverter.TryWriteBytes(dividendBytes, state.Gpr[0]);
        if (size > 1)
        {
            BitConverter.TryWriteBytes(dividendBytes[size..], state.Gpr[2]);
        }

        var dividend = new BigInteger(dividendBytes[..(2 * size)], isUnsigned: !signed);
        if (divisor.IsZero)
        {
            return true;
        }

        var quotient = BigInteger.Divide(dividend, divisor);
        int bits = size * 8;
        return signed
            ? quotient < -BigInteger.Pow(2, bits - 1) || quotient >= BigInteger.Pow(2, bits - 1)
            : quotient >= BigInteger.Pow(2, bits);
    }
}
