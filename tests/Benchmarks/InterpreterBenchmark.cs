using System.Globalization;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Memory;

namespace WebVm.Benchmarks;

/// <summary>Guest instructions a second of the soft engine, on loops of 64-bit code with paging, and what they allocate.</summary>
internal sealed class InterpreterBenchmark : IBenchmark, IGuestBus
{
    private IVirtualCpu? _vcpu;

    public string Name => "interpreter";

    public IEnumerable<Measurement> Run()
    {
        foreach (var loop in GuestLoop.All)
        {
            var ours = Measure(loop);
            double theirs = QemuLoop.MeasureMips(loop);
            yield return ours;
            yield return new Measurement(
                "  QEMU -accel tcg, the same", theirs, "MIPS",
                string.Create(CultureInfo.InvariantCulture, $"{theirs / ours.Value:f1} times ours"));
        }
    }

    public uint ReadPort(ushort port, int size) => 0;

    /// <summary>The guest is done.</summary>
    public void WritePort(ushort port, int size, uint value) => _vcpu!.Kick();

    public ulong ReadMmio(GuestPhysicalAddress address, int size) => 0;

    public void WriteMmio(GuestPhysicalAddress address, int size, ulong value)
    {
    }

    private Measurement Measure(GuestLoop loop)
    {
        using var guest = new SoftGuest(this, loop);
        _vcpu = guest.Vcpu;
        var (seconds, instructions, bytes) = guest.Run();
        double millions = instructions / 1e6;
        return new(
            loop.Name, millions / seconds, "MIPS", string.Create(
                CultureInfo.InvariantCulture, $"{bytes / millions:f1} B per million instructions"));
    }
}
