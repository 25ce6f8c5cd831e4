using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Kvm;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

/// <summary>A tiny guest on real KVM: 1 MiB of memory, 16-bit code at 0x1000, a bus that records.</summary>
internal sealed unsafe class KvmGuest : IDisposable
{
    public const ushort CodeAddress = 0x1000;

    private readonly CpuState* _state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);

    public KvmGuest(int vcpus = 1)
    {
        if (!File.Exists("/dev/kvm"))
        {
            Assert.Skip("This host has no /dev/kvm.");
        }

        Ram = Memory.CreateRegion("ram", GuestMemoryKind.Ram, 1 << 20);
        Assert.True(Memory.TryMap(Ram, new GuestPhysicalAddress(0)));
        Engine = new KvmEngine(Memory, Bus, Clock);
        Vcpus = [.. Enumerable.Range(0, vcpus).Select(index => (KvmVcpu)Engine.CreateVcpu(index, CpuTopology.Single(vcpus)[index]))];
        Clock.Start();
    }

    public GuestMemory Memory { get; } = new();

    public GuestMemoryRegion Ram { get; }

    public RecordingBus Bus { get; } = new();

    public VirtualClock Clock { get; } = new();

    public KvmEngine Engine { get; }

    public KvmVcpu[] Vcpus { get; }

    public KvmVcpu Vcpu => Vcpus[0];

    /// <summary>Assembles 16-bit code and points the processor at it.</summary>
    public void Load(string assembly)
    {
        Write(CodeAddress, Assemble($"bits 16\norg {CodeAddress}\n{assembly}"));
        Vcpu.Save(_state);
        foreach (var segment in (SegmentIndex[])[SegmentIndex.Cs, SegmentIndex.Ds, SegmentIndex.Es, SegmentIndex.Ss])
        {
            _state->Segments[segment].Base = 0;
            _state->Segments[segment].Selector = 0;
        }

        _state->Rip = CodeAddress;
        _state->Rflags = 2;
        _state->Gpr[4] = 0x8000;
        Vcpu.Load(_state);
    }

    public void SaveCpu(Span<byte> destination, int vcpu = 0)
    {
        Vcpus[vcpu].Save(_state);
        new Span<byte>(_state, sizeof(CpuState)).CopyTo(destination);
    }

    public void LoadCpu(ReadOnlySpan<byte> source, int vcpu = 0)
    {
        source.CopyTo(new Span<byte>(_state, sizeof(CpuState)));
        Vcpus[vcpu].Load(_state);
    }

    public ulong TimeStamp(int vcpu)
    {
        Vcpus[vcpu].Save(_state);
        return _state->Msr.Tsc;
    }

    public ulong Register(int index)
    {
        Vcpu.Save(_state);
        return _state->Gpr[index];
    }

    public void Write(uint address, params ReadOnlySpan<byte> bytes) =>
        Assert.True(Memory.TryWrite(new GuestPhysicalAddress(address), bytes));

    public T Read<T>(uint address)
        where T : unmanaged
    {
        Assert.True(Memory.TryRead<T>(new GuestPhysicalAddress(address), out var value));
        return value;
    }

    /// <summary>Runs until the guest writes port 0xf4, from another thread's point of view; the last value it wrote there.</summary>
    public uint RunToEnd(int vcpu = 0)
    {
        Bus.OnEnd = Vcpus[vcpu].Kick;
        Vcpus[vcpu].Deadline = Stopwatch.GetTimestamp() + (120 * Stopwatch.Frequency);
        var exit = Vcpus[vcpu].Run();
        Vcpus[vcpu].Deadline = 0;
        Assert.True(exit == VcpuExit.Kicked, $"{exit}: {Vcpus[vcpu].Failure}");
        return Bus.Ended ?? throw new InvalidOperationException("The guest was stopped before its end.");
    }

    public void Dispose()
    {
        Engine.Dispose();
        Memory.Dispose();
        NativeMemory.AlignedFree(_state);
    }

    public static byte[] Assemble(string source)
    {
        var directory = Directory.CreateTempSubdirectory("webvm-asm-");
        try
        {
            string input = Path.Combine(directory.FullName, "guest.asm");
            string output = Path.Combine(directory.FullName, "guest.bin");
            File.WriteAllText(input, source);
            using var process = Process.Start(
                new ProcessStartInfo("nasm", ["-f", "bin", "-o", output, input]) { RedirectStandardError = true })!;
            string errors = process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? File.ReadAllBytes(output) : throw new InvalidOperationException(errors);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }
}

/// <summary>Answers every read with a recognizable pattern, or what was set, and notes every access.</summary>
internal sealed class RecordingBus : IGuestBus
{
    public const ushort EndPort = 0xf4;

    public ConcurrentQueue<string> Accesses { get; } = new();

    public ConcurrentDictionary<ulong, ulong> Answers { get; } = new();

    /// <summary>Notes nothing.</summary>
    public bool Quiet { get; set; }

    public Action? OnEnd { get; set; }

    public Action<ushort>? OnWrite { get; set; }

    public uint? Ended { get; private set; }

    public uint ReadPort(ushort port, int size)
    {
        if (Quiet)
        {
            return 0;
        }

        Accesses.Enqueue($"in {port:x} {size}");
        return (uint)Answers.GetValueOrDefault(port, 0x44332211u) & (uint)Mask(size);
    }

    public void WritePort(ushort port, int size, uint value)
    {
        if (port == EndPort)
        {
            Ended = value;
            OnEnd?.Invoke();
            return;
        }

        Accesses.Enqueue($"out {port:x} {size} {value:x}");
        OnWrite?.Invoke(port);
    }

    public ulong ReadMmio(GuestPhysicalAddress address, int size)
    {
        Accesses.Enqueue($"read {address.Value:x} {size}");
        return Answers.GetValueOrDefault(address.Value, 0x8877665544332211) & Mask(size);
    }

    public void WriteMmio(GuestPhysicalAddress address, int size, ulong value) =>
        Accesses.Enqueue($"write {address.Value:x} {size} {value:x}");

    private static ulong Mask(int size) => size == 8 ? ulong.MaxValue : (1UL << (size * 8)) - 1;
}
