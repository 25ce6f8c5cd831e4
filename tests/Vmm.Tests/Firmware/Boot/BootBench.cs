using WebVm.Vmm.Devices;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Firmware.Boot;

/// <summary>A guest's memory with a little RAM, an ACPI block at its end, and short ways to look at it.</summary>
internal sealed unsafe class BootBench : IDisposable
{
    public const ulong TablesSize = 0x1_0000;

    public BootBench(ulong ramSize = 64 << 20)
    {
        var ram = Memory.CreateRegion("ram", GuestMemoryKind.Ram, ramSize);
        Assert.True(Memory.TryMap(ram, new(0)));
        Tables = new(ramSize - TablesSize);
        Map = MemoryMap.Of(Memory, PlatformMap.Direct, [new(Tables, TablesSize, MemoryMapType.AcpiReclaimable)]);
        Memory.TryFill(Tables, TablesSize, 0xa5);
        Memory.TryFill(new(MemoryMap.SystemRom), 0x1_0000, 0xa5);
    }

    public GuestMemory Memory { get; } = new();

    public MemoryMap Map { get; }

    public GuestPhysicalAddress Tables { get; }

    public BootSurroundings Surroundings { get; } = new() { AcpiRootPointer = new(MemoryMap.SystemRom) };

    public BootPlan Load(BootSource source, BootSurroundings? surroundings = null) =>
        BootLoader.Load(source, Memory, Map, surroundings ?? Surroundings);

    public BootPlan Load(byte[] kernel, string commandLine = "", params BootModule[] modules) =>
        Load(new BootSource { Kernel = SyntheticKernel.File(kernel), CommandLine = commandLine, Modules = modules });

    public CpuState Enter(BootPlan plan)
    {
        CpuState state = default;
        plan.Apply(&state);
        return state;
    }

    /// <summary>A general register at the entry, by its number in an instruction's encoding.</summary>
    public ulong Register(BootPlan plan, int register)
    {
        var state = Enter(plan);
        return state.Gpr[register];
    }

    public byte[] Bytes(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        Assert.True(Memory.TryRead(new GuestPhysicalAddress(address), bytes.AsSpan()));
        return bytes;
    }

    public uint UInt32(ulong address) => BitConverter.ToUInt32(Bytes(address, 4));

    public ulong UInt64(ulong address) => BitConverter.ToUInt64(Bytes(address, 8));

    public string Text(ulong address)
    {
        byte[] bytes = Bytes(address, 4096);
        return System.Text.Encoding.UTF8.GetString(bytes, 0, Array.IndexOf(bytes, (byte)0));
    }

    /// <summary>Whether reserved memory still holds what was there before loading.</summary>
    public bool ReservedMemoryIsUntouched =>
        !Bytes(Tables.Value, (int)TablesSize).AsSpan().ContainsAnyExcept((byte)0xa5)
        && !Bytes(MemoryMap.SystemRom, 0x1_0000).AsSpan().ContainsAnyExcept((byte)0xa5)
        && !Bytes(MemoryMap.ExtendedBiosData, 0x400).AsSpan().ContainsAnyExcept((byte)0);

    public void Dispose() => Memory.Dispose();
}
