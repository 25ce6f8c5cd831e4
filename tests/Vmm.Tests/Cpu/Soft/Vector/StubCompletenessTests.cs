using System.Runtime.InteropServices;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Decoding;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics;
using WebVm.Vmm.Tests.Cpu.Differential;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft.Vector;

/// <summary>No encoding may lead to a stub that cannot be made: the guest would stop its VMM.</summary>
public sealed unsafe class StubCompletenessTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(64)]
    [InlineData(32)]
    public void Every_offered_form_has_a_handler(int bitness)
    {
        var mode = new DecodeMode((byte)bitness, (byte)bitness, bitness == 64, Protected: true);
        var operation = (Operation*)NativeMemory.AlignedAlloc((nuint)sizeof(Operation), 32);
        var random = new Random(5);
        List<string> missing = [];
        foreach (Code code in new InstructionPool(bitness).All.Distinct())
        {
            for (int i = 0; i < 8; i++)
            {
                var stream = new InstructionStream(random, code, bitness);
                if (stream.Units.Count == 0)
                {
                    continue;
                }

                Instruction instruction = Redecode(stream, bitness);
                if (instruction.IsInvalid)
                {
                    // A gather with a register twice.
                    continue;
                }

                OperationDecoder.Fill(in instruction, mode, instruction.IP, operation, tooLong: false);
                if ((nint)operation->Handler == (nint)(delegate*<CpuContext*, Operation*, Operation*>)&InvalidInstructions.Undefined)
                {
                    missing.Add($"{code}: {instruction}");
                    break;
                }
            }
        }

        NativeMemory.AlignedFree(operation);
        Assert.True(missing.Count == 0, string.Join('\n', missing));
    }

    [Fact]
    public void Random_vector_encodings_always_select_or_refuse()
    {
        const int Seed = 77;
        var random = new Random(Seed);
        var operation = (Operation*)NativeMemory.AlignedAlloc((nuint)sizeof(Operation), 32);
        byte[] bytes = new byte[15];
        byte[][] starts = 
        [
            [0x0f], [0x66, 0x0f], [0xf2, 0x0f], [0xf3, 0x0f], [0x0f, 0x38], [0x66, 0x0f, 0x38], [0x66, 0x0f, 0x3a], [0xc5],
            [0xc4, 0xe1], [0xc4, 0xe2], [0xc4, 0xe3], [0xd9], [0xdb], [0xdf], [0x0f, 0xae], [0x0f, 0xc7],
        ];
        for (int i = 0; i < 100_000; i++)
        {
            random.NextBytes(bytes);
            starts[random.Next(starts.Length)].CopyTo(bytes, 0);
            int bitness = random.Next(3) switch { 0 => 16, 1 => 32, _ => 64 };
            var decoder = Decoder.Create(bitness, bytes);
            decoder.IP = 0x1000;
            decoder.Decode(out Instruction instruction);
            var mode = new DecodeMode((byte)bitness, (byte)bitness, bitness == 64, Protected: random.Next(2) == 0);
            try
            {
                OperationDecoder.Fill(in instruction, mode, 0x1000, operation, tooLong: false);
            }
            catch (Exception failure)
            {
                Assert.Fail($"seed {Seed}, {Convert.ToHexString(bytes)} in {bitness}-bit code: {instruction}: {failure}");
            }
        }

        NativeMemory.AlignedFree(operation);
    }

    /// <summary>
    /// A guest that executes every form with every immediate byte does not run the engine out of room for stubs, which would end its
    /// machine.
    /// </summary>
    [Fact]
    public void All_forms_together_fit_into_the_arena()
    {
        var random = new Random(6);
        var operation = (Operation*)NativeMemory.AlignedAlloc((nuint)sizeof(Operation), 32);
        var mode = new DecodeMode(64, 64, Flat: true, Protected: true);
        var decoded = new HashSet<(Code, bool)>();
        foreach (Code code in new InstructionPool(64).All.Distinct())
        {
            for (int attempt = 0; attempt < 12; attempt++)
            {
                var stream = new InstructionStream(random, code, 64);
                if (stream.Units.Count == 0 || stream.Units[0].Subject is not { IsInvalid: false } subject
                    || !decoded.Add((code, Enumerable.Range(0, subject.OpCount).Any(i => subject.GetOpKind(i) == OpKind.Memory))))
                {
                    continue;
                }

                bool immediate = subject.OpCount > 0 && subject.GetOpKind(subject.OpCount - 1) == OpKind.Immediate8;
                for (int value = 0; value < (immediate ? 256 : 1); value++)
                {
                    if (immediate)
                    {
                        subject.Immediate8 = (byte)value;
                    }

                    // Throws when there is no room.
                    OperationDecoder.Fill(in subject, mode, subject.IP, operation, tooLong: false);
                }
            }
        }

        NativeMemory.AlignedFree(operation);
        output.WriteLine($"{decoded.Count} forms, {HostStub.Used} bytes of stubs");
        Assert.True(decoded.Count > 1000);
        Assert.True(HostStub.Used < HostStub.ArenaSize * 3 / 4);
    }

    private static Instruction Redecode(InstructionStream stream, int bitness)
    {
        StreamUnit unit = stream.Units[0];
        var decoder = Decoder.Create(bitness, stream.Bytes.Slice(unit.Offset, unit.Length).ToArray(), DecoderOptions.ForceReservedNop);
        decoder.IP = Ring3Layout.Code;
        Instruction instruction;
        do
        {
            decoder.Decode(out instruction);
        }
        while (instruction.Code != unit.Subject.Code && !instruction.IsInvalid && decoder.IP < Ring3Layout.Code + (ulong)unit.Length);

        return instruction;
    }
}
