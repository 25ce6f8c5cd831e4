namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>A processor that is right by definition.</summary>
internal interface IReferenceProcessor : IDisposable
{
    /// <summary>Executes the instruction on <paramref name="state"/>.</summary>
    void Run(ReadOnlySpan<byte> instruction, ref ProcessorState state);
}
