using Xunit;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Exceptions;
using WebVm.Vmm.Cpu.Soft.Interpretation;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>The soft engine's processor, one instruction at a time: flat 64-bit or 32-bit protected mode, or real mode.</summary>
internal sealed unsafe class SoftProcessor : IDisposable
{
    /// <summary>Where instructions are put.</summary>
    public const ulong CodeAddress = 0x10000;

    /// <summary>Bytes of guest memory, all of them mapped one to one.</summary>
    public const ulong MemorySize = 1 << 30;

    private const ulong TableBase = 0x1000;

    private readonly GuestMemory _memory = new();
    private readonly SoftVcpu _vcpu;
    private readonly CpuState _initial;

    public SoftProcessor(int bitness)
    {
        var map = new PhysicalMap(_ => { });
        _memory.AddListener(map);
        var region = _memory.CreateRegion("ram", GuestMemoryKind.Ram, MemorySize);
        Assert.True(_memory.TryMap(region, new GuestPhysicalAddress(0)));
        _vcpu = new SoftVcpu(0, 0, _memory, map, new SilentBus());
        CpuState state;
        _vcpu.Save(&state);
        if (bitness == 64)
        {
            BuildTables();
            state.Cr3 = TableBase;
            state.Cr4 = 1 << 5;
            state.Efer = (1 << 8) | (1 << 10);
            state.Cr0 = 0x8001_0031;
        }
        else if (bitness == 32)
        {
            state.Cr0 = 0x0000_0031;
        }

        var data = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.WritableOrReadable | SegmentAttributes.Accessed;
        for (var segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
        {
            var attributes = segment == SegmentIndex.Cs ? data | SegmentAttributes.Code : data;
            if (bitness != 16)
            {
                attributes |= SegmentAttributes.Granularity4K;
                attributes |= bitness == 64 && segment == SegmentIndex.Cs ? SegmentAttributes.Long : SegmentAttributes.Default32;
            }

            state.Segments[segment] = new SegmentRegister
            {
                Base = 0,
                Limit = bitness == 16 ? 0xffff : uint.MaxValue,
                Attributes = attributes,
                Selector = (ushort)(bitness == 16 ? 0 : segment == SegmentIndex.Cs ? 8 : 16),
            };
        }

        _initial = state;
    }

    /// <summary>Host address of guest address 0.</summary>
    public byte* Memory => _memory.HostBase;

    /// <summary>Vector of the exception that the last instruction raised.</summary>
    public ExceptionVector Exception => _vcpu.Context->Exception;

    /// <summary>Program counter after the last instruction.</summary>
    public ulong Rip => _vcpu.Context->State.Rip;

    /// <summary>Executes one instruction. False if it raised an exception.</summary>
    public bool Run(ReadOnlySpan<byte> instruction, ref ProcessorState state)
    {
        ulong address = CodeAddress;
        if ((_initial.Cr0 & 1) == 0)
        {
            address = 0x1000;
        }

        instruction.CopyTo(new Span<byte>(Memory + address, 16));
        var cpu = _initial;
        for (int i = 0; i < 16; i++)
        {
            cpu.Gpr[i] = state.Gpr[i];
        }

        cpu.Rip = address;
        cpu.Rflags = (state.Rflags & HostProcessor.LoadedFlags) | 2;
        _vcpu.Load(&cpu);
        Outcome outcome;
        do
        {
            // A repeated string instruction pauses between elements when stepped.
            _vcpu.Step(1, out outcome);
        }
        while (outcome != Outcome.Exception && _vcpu.Context->State.Rip == address);

        _vcpu.Save(&cpu);
        for (int i = 0; i < 16; i++)
        {
            state.Gpr[i] = cpu.Gpr[i];
        }

        state.Rflags = cpu.Rflags & HostProcessor.LoadedFlags;
        return outcome != Outcome.Exception;
    }

    public void Dispose()
    {
        _vcpu.Dispose();
        _memory.Dispose();
    }

    /// <summary>One to one in 2 MiB pages.</summary>
    private void BuildTables()
    {
        ulong* root = (ulong*)(Memory + TableBase);
        root[0] = (TableBase + 0x1000) | 7;
        root[512] = (TableBase + 0x2000) | 7;
        for (ulong i = 0; i < 512; i++)
        {
            root[1024 + i] = (i << 21) | 0x87;
        }
    }
}
