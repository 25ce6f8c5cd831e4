using System.Globalization;
using Iced.Intel;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Benchmarks;

/// <summary>From a guest's instruction on the soft engine to a device's register and back: what a doorbell costs.</summary>
internal sealed class MmioBenchmark : IBenchmark, IGuestBus, IMmioHandler
{
    private const ulong Iterations = 100_000;

    private readonly SystemBus _bus = new();
    private IVirtualCpu? _vcpu;
    private long _accesses;

    public MmioBenchmark()
    {
        for (ulong page = 0; page < 16; page++)
        {
            _bus.Add(new MmioWindow(new GuestPhysicalAddress(SoftGuest.MemorySize + (page << 12)), 4096, this), "device");
        }
    }

    public string Name => "mmio";

    public IEnumerable<Measurement> Run() =>
    [
        Measure("write of a register, 4 bytes", 1, assembler => assembler.mov(__dword_ptr[rdi], eax)),
        Measure("read of a register, 4 bytes", 1, assembler => assembler.mov(eax, __dword_ptr[rdi])),
        Measure("writes to two devices in turn", 2, assembler =>
        {
            assembler.mov(__dword_ptr[rdi], eax);
            assembler.mov(__dword_ptr[rdi + 0x3000], eax);
        }),
    ];

    public uint ReadPort(ushort port, int size) => 0;

    /// <summary>The guest is done.</summary>
    public void WritePort(ushort port, int size, uint value) => _vcpu!.Kick();

    public ulong ReadMmio(GuestPhysicalAddress address, int size) => _bus.ReadMmio(address, size);

    public void WriteMmio(GuestPhysicalAddress address, int size, ulong value) => _bus.WriteMmio(address, size, value);

    ulong IMmioHandler.ReadMmio(ulong offset, int size) => (ulong)++_accesses;

    void IMmioHandler.WriteMmio(ulong offset, int size, ulong value) => _accesses++;

    private Measurement Measure(string what, int accesses, Action<Assembler> access)
    {
        var loop = new GuestLoop(what, accesses + 2, Iterations, assembler =>
        {
            assembler.mov(rdi, SoftGuest.MemorySize);
            var again = assembler.CreateLabel();
            assembler.Label(ref again);
            access(assembler);
            assembler.dec(rcx);
            assembler.jnz(again);
        });
        using var guest = new SoftGuest(this, loop);
        _vcpu = guest.Vcpu;
        guest.Run();
        long before = _accesses;
        var (seconds, _, bytes) = guest.Run();
        if (_accesses == before)
        {
            throw new InvalidOperationException("No access came to the device.");
        }

        double count = Iterations * (double)accesses;
        return new(what, seconds * 1e9 / count, "ns", string.Create(CultureInfo.InvariantCulture, $"{bytes / count:f1} B each"));
    }
}
