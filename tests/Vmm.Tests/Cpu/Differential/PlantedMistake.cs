using Iced.Intel;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>
/// A processor with a known mistake: its ADC takes the carry flag for clear. To show that the comparison finds such things.
/// </summary>
internal sealed class PlantedMistake(IRing3Machine inner) : IRing3Machine
{
    public GuestMemory Memory => inner.Memory;

    public void Run(Ring3State state)
    {
        byte[] code = new byte[Ring3Layout.CodeSize];
        Memory.TryRead(new GuestPhysicalAddress(Ring3Layout.Code), code);
        int position = (int)(state.Rip - Ring3Layout.Code);
        var reader = new ByteArrayCodeReader(code, position, code.Length - position);
        var decoder = Decoder.Create(64, reader);
        Instruction instruction;
        do
        {
            int start = reader.Position;
            decoder.Decode(out instruction);
            if (instruction.Mnemonic == Mnemonic.Adc && instruction.Op0Kind == OpKind.Register)
            {
                Sabotage(code.AsSpan(position + start, instruction.Length));
            }
        }
        while (!instruction.IsInvalid && instruction.Code != Code.Ud2 && reader.CanReadByte);

        Memory.TryWrite(new GuestPhysicalAddress(Ring3Layout.Code), code);
        inner.Run(state);
    }

    public void Dispose() => inner.Dispose();

    /// <summary>Turns ADC into ADD: opcodes 10-15 into 00-05, or /2 into /0 of the immediate group.</summary>
    private static void Sabotage(Span<byte> instruction)
    {
        for (int i = 0; i < instruction.Length; i++)
        {
            if (instruction[i] is >= 0x10 and <= 0x15)
            {
                instruction[i] -= 0x10;
                return;
            }

            if (instruction[i] is >= 0x80 and <= 0x83)
            {
                instruction[i + 1] &= 0xc7;
                return;
            }
        }
    }
}
