using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>
/// A soft processor in 64-bit mode at CPL 0 with 16 MiB of memory, identity mapped by 2 MiB pages (user accessible), and a bus that
/// records: what a test of instructions needs.
/// </summary>
internal sealed unsafe class LongModeProcessor : IGuestBus, IDisposable
{
    public const ulong MemorySize = 16 << 20;
    public const ulong PageTables = 0x10000;
    public const ulong Gdt = 0x1000;
    public const ulong Code = 0x20_0000;
    public const ulong Data = 0x40_0000;
    public const ulong Stack = 0x80_0000;

    /// <param name="profile">What CPUID shows; null for all that is implemented, of Intel.</param>
    public LongModeProcessor(CpuProfile? profile = null)
    {
        Memory = new GuestMemory();
        var region = Memory.CreateRegion("ram", GuestMemoryKind.Ram, MemorySize);
        Memory.TryMap(region, new GuestPhysicalAddress(0));
        Region = region;
        Vcpu = new SoftVcpu(0, CpuPlace.Alone, Memory, this, profile);
        Dropper.Add(Vcpu);
        Memory.AddListener(Dropper);
        Write(PageTables, (PageTables + 0x1000) | 7);
        Write(PageTables + 0x1000, (PageTables + 0x2000) | 7);
        for (ulong i = 0; i < MemorySize >> 21; i++)
        {
            Write(PageTables + 0x2000 + (i * 8), (i << 21) | 0xe7);
        }

        // Null, 64-bit code, data, 32-bit user code, user data, 64-bit user code.
        ulong[] gdt = [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x00cf_fb00_0000_ffff, 0x00cf_f300_0000_ffff,
            0x00af_fb00_0000_ffff];
        for (int i = 0; i < gdt.Length; i++)
        {
            Write(Gdt + ((ulong)i * 8), gdt[i]);
        }

        ref var state = ref Vcpu.Context->State;
        state.Cr0 = 0x8005_0033;
        state.Cr3 = PageTables;
        state.Cr4 = 0x4_0620;
        state.Efer = 0xd01;
        state.Xcr0 = 7;
        state.Rflags = 2;
        state.Rip = Code;
        state.Gpr[4] = Stack;
        state.Gdtr = new DescriptorTableRegister { Base = Gdt, Limit = 0xffff };
        state.Xsave.ControlWord = 0x37f;
        var data = (SegmentAttributes)0xc093;
        for (var segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
        {
            state.Segments[segment] = new SegmentRegister { Selector = 0x10, Limit = uint.MaxValue, Attributes = data };
        }

        state.Segments[SegmentIndex.Cs] = new SegmentRegister { Selector = 8, Limit = uint.MaxValue,
            Attributes = (SegmentAttributes)0xa09b };
        Vcpu.StateReplaced();
    }

    public GuestMemory Memory { get; }

    /// <summary>What its memory consists of.</summary>
    public GuestMemoryRegion Region { get; }

    public TranslationDropper Dropper { get; } = new();

    public SoftVcpu Vcpu { get; }

    public CpuContext* Cpu => Vcpu.Context;

    public List<(ushort Port, uint Value)> PortWrites { get; } = [];

    public List<(ulong Address, int Size, ulong Value)> MmioWrites { get; } = [];

    public Action? OnMmioWrite { get; set; }

    /// <summary>A general register by its number.</summary>
    public ref ulong Gpr(int number) => ref Vcpu.Context->State.Gpr[number];

    public void Write<T>(ulong address, T value)
        where T : unmanaged => Assert.True(Memory.TryWrite(new GuestPhysicalAddress(address), value));

    public T Read<T>(ulong address)
        where T : unmanaged
    {
        Assert.True(Memory.TryRead(new GuestPhysicalAddress(address), out T value));
        return value;
    }

    /// <summary>Maps the addresses from 16 to 32 MiB, where there is nothing at first, to themselves too.</summary>
    public void MapBeyond()
    {
        for (ulong i = MemorySize >> 21; i < MemorySize >> 20; i++)
        {
            Write(PageTables + 0x2000 + (i * 8), (i << 21) | 0xe7);
        }
    }

    /// <summary>Places code at <see cref="Code"/>.</summary>
    public void Place(ReadOnlySpan<byte> code, ulong at = Code) => Assert.True(Memory.TryWrite(new GuestPhysicalAddress(at), code));

    /// <summary>Places what the assembler produced.</summary>
    public void Place(Action<Iced.Intel.Assembler> program, ulong at = Code, int bitness = 64)
    {
        var assembler = new Iced.Intel.Assembler(bitness);
        program(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new Iced.Intel.StreamCodeWriter(stream), at);
        Place(stream.ToArray(), at);
    }

    /// <summary>Runs from RIP with block chaining until HLT, whose interrupt flag does not matter, or an exit.</summary>
    public VcpuExit RunToHalt()
    {
        using var watchdog = new Timer(_ => Vcpu.Kick(), null, 20_000, Timeout.Infinite);
        return Vcpu.RunUntilHalt();
    }

    public uint ReadPort(ushort port, int size) => 0xffff_ffff;

    public void WritePort(ushort port, int size, uint value) => PortWrites.Add((port, value));

    public ulong ReadMmio(GuestPhysicalAddress address, int size) =>
        0x1122_3344_5566_7788 & (size == 8 ? ulong.MaxValue : (1UL << (size * 8)) - 1);

    public void WriteMmio(GuestPhysicalAddress address, int size, ulong value)
    {
        MmioWrites.Add((address.Value, size, value));
        OnMmioWrite?.Invoke();
    }

    public void Dispose()
    {
        Vcpu.Dispose();
        Memory.Dispose();
    }
}
