using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>The soft engine's processor, one instruction at a time: flat 64-bit or 32-bit protected mode, or real mode.</summary>
internal sealed unsafe class SoftProcessor : IDisposable
{
    /// <summary>Where instructions are put in protected and long mode.</summary>
    public const ulong CodeAddress = 0x10000;

    /// <summary>The same in real mode.</summary>
    public const ulong RealModeCodeAddress = 0x1000;

    /// <summary>Bytes of guest memory, all of them mapped one to one.</summary>
    public const ulong MemorySize = 1 << 30;

    private const ulong TableBase = 0x1000;

    private readonly GuestMemory _memory;
    private readonly bool _ownsMemory;
    private readonly SoftVcpu _vcpu;
    private readonly CpuState _initial;
    private readonly ulong _codeAddress;

    public SoftProcessor(int bitness)
        : this(bitness, new GuestMemory(), bitness == 16 ? RealModeCodeAddress : CodeAddress)
    {
        _ownsMemory = true;
    }

    /// <summary>A further processor on the same memory; its instructions lie elsewhere.</summary>
    public SoftProcessor(SoftProcessor other)
        : this(64, other._memory, other._codeAddress + 0x1000)
    {
    }

    private SoftProcessor(int bitness, GuestMemory memory, ulong codeAddress)
    {
        _memory = memory;
        _codeAddress = codeAddress;
        if (_memory.Regions.Count == 0)
        {
            var region = _memory.CreateRegion("ram", GuestMemoryKind.Ram, MemorySize);
            Assert.True(_memory.TryMap(region, new GuestPhysicalAddress(0)));
        }

        _vcpu = new SoftVcpu(0, CpuPlace.Alone, _memory, new SilentBus());
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

        var data = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.WritableOrReadable
            | SegmentAttributes.Accessed;
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
    public byte* Memory => _memory.HostAt(0);

    /// <summary>Vector of the exception that the last instruction raised.</summary>
    public ExceptionVector Exception => _vcpu.Context->Exception;

    /// <summary>Program counter after the last instruction.</summary>
    public ulong Rip => _vcpu.Context->State.Rip;

    /// <summary>Executes one instruction. False if it raised an exception.</summary>
    public bool Run(ReadOnlySpan<byte> instruction, ref ProcessorState state)
    {
        ulong address = _codeAddress;
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

    /// <summary>Takes the 2 MiB page at an address out of the page tables of 64-bit mode.</summary>
    public void Unmap(ulong address)
    {
        ((ulong*)(Memory + TableBase))[1024 + (address >> 21)] = 0;
        _vcpu.Tlb.FlushAll(_vcpu.Context);
    }

    public void Dispose()
    {
        _vcpu.Dispose();
        if (_ownsMemory)
        {
            _memory.Dispose();
        }
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
